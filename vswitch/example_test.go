// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"expvar"
	"fmt"
	"log"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// Two goroutines on a network of their own.
func Example() {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	alice, err := sw.Attach()
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	bob, err := sw.Attach()
	if err != nil {
		log.Fatal(err)
	}
	defer bob.Close()

	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, 0x88b5)
	if _, err := alice.Write(append(f, "hello"...)); err != nil {
		log.Fatal(err)
	}
	got := <-bob.Frames()
	defer got.Release()
	fmt.Printf("%s says %s\n", got.View().Src(), got.View().Payload())
	for _, e := range sw.FDB() {
		fmt.Printf("%s is behind port %d\n", e.MAC, e.Port)
	}
	// Output:
	// 02:00:00:00:00:01 says hello
	// 02:00:00:00:00:01 is behind port 1
}

// The counters of a switch among a program's published variables.
func ExampleSwitch_Stats() {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	v := expvar.Func(func() any { return sw.Stats() })
	// expvar.Publish("vswitch", v) makes it show at /debug/vars.
	fmt.Println(v.String())
	// Output:
	// {"Ports":[],"Monitors":{"Offered":0,"Mirrored":0,"Probes":0,"Duplicated":0,"Frames":0,"Bytes":0,"Queued":0,"Dropped":{"Full":0,"HeadDrop":0,"Timeout":0,"Stalled":0,"Refused":0,"NoBuffer":0,"TooLong":0,"Closed":0,"Blocked":0,"Impaired":0}},"FDB":{"Entries":0,"Learned":0,"Moved":0,"Aged":0,"Full":0,"StaticMoves":0},"Serve":{"Accepted":0,"Joined":0,"Refused":0,"Malformed":0,"Silent":0,"Evicted":0,"TrailingBytes":0,"RingsRejected":0,"Violations":0,"RingsOverBudget":0}}
}

// A trunk, access ports and a mirror.
func ExampleSwitch_SetPort() {
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{VLAN: 10}})
	defer sw.Close()
	if err := sw.SetPort(1, vswitch.PortConfig{VLAN: vswitch.NoVLAN, Tagged: vswitch.AllVLANs()}); err != nil {
		log.Fatal(err)
	}
	if err := sw.Mirror(1, 2); err != nil {
		log.Fatal(err)
	}
	pc, err := sw.Port(3)
	fmt.Println(pc.VLAN, pc.Policy, err)
	// Output: 10 backpressure <nil>
}
