// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame_test

import (
	"fmt"
	"slices"

	"github.com/go-vde/sdk/frame"
)

func ExampleParse() {
	f, err := frame.Parse([]byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // destination
		0x52, 0x54, 0x00, 0x12, 0x34, 0x56, // source
		0x81, 0x00, 0x60, 0x64, // tag: priority 3, VLAN 100
		0x08, 0x06, // type
		0x00, 0x01, 0x08, 0x00, 0x06, 0x04, 0x00, 0x01,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Src(), "to", f.Dst())
	fmt.Println(f.EtherType(), len(f.Payload()), "bytes")
	if tag, ok := f.Tag(); ok {
		fmt.Println("VLAN", tag.ID(), "priority", tag.Priority())
	}
	// Output:
	// 52:54:00:12:34:56 to ff:ff:ff:ff:ff:ff
	// ARP 8 bytes
	// VLAN 100 priority 3
}

func ExampleParse_short() {
	_, err := frame.Parse([]byte("hello"))
	fmt.Println(err == frame.ErrShort, err)
	// Output: true frame: truncated header
}

func ExampleParseMAC() {
	for _, s := range []string{"00:00:5e:00:53:01", "00-00-5E-00-53-01", "0000.5e00.5301", "00:00:5e"} {
		fmt.Println(frame.ParseMAC(s))
	}
	// Output:
	// 00:00:5e:00:53:01 <nil>
	// 00:00:5e:00:53:01 <nil>
	// 00:00:5e:00:53:01 <nil>
	// 00:00:00:00:00:00 address 00:00:5e: invalid MAC address
}

// A MAC is a value: it can be compared, sorted and used as a map key, and it
// outlives the buffer it was read from.
func ExampleMAC() {
	ports := map[frame.MAC]int{
		{0x52, 0x54, 0x00, 0, 0, 2}: 7,
		{0x52, 0x54, 0x00, 0, 0, 1}: 4,
	}
	var known []frame.MAC
	for m := range ports {
		known = append(known, m)
	}
	slices.SortFunc(known, frame.MAC.Compare)
	for _, m := range known {
		fmt.Println(m, "is behind port", ports[m])
	}
	// Output:
	// 52:54:00:00:00:01 is behind port 4
	// 52:54:00:00:00:02 is behind port 7
}

func ExampleAppendHeader() {
	src := frame.MAC{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}
	b := frame.AppendHeader(nil, frame.Broadcast(), src, frame.EtherTypeExperimental)
	b = append(b, "hello"...)
	fmt.Printf("%x\n", b)
	// Output: ffffffffffff52540012345688b568656c6c6f
}

func ExamplePutHeader() {
	// The payload is in place; the header goes in front of it.
	b := append(make([]byte, frame.HeaderLen), "hello"...)
	frame.PutHeader(b, frame.Broadcast(), frame.MAC{0x52, 0x54}, frame.EtherTypeExperimental)
	f, err := frame.Parse(b)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v %s\n", f.EtherType(), f.Payload())
	// Output: Experimental hello
}
