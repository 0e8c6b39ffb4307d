// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package capture_test

import (
	"bytes"
	"fmt"
	"log"

	"github.com/gopacket/gopacket/pcapgo"

	"github.com/go-vde/sdk/capture"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A capture of one connection. With vde.Open in place of Attach, it is on any VDE
// network, and with a file in place of the buffer, Wireshark can open it.
func Example() {
	var out bytes.Buffer
	file, err := capture.NewFile(&out, 0)
	if err != nil {
		log.Fatal(err)
	}
	eth0, err := file.Interface("eth0")
	if err != nil {
		log.Fatal(err)
	}
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	conn, err := sw.Attach(vde.WithFrameHook(eth0.Record))
	if err != nil {
		log.Fatal(err)
	}
	eth0.CountDrops(conn)

	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	if _, err := conn.Write(append(f, "hello"...)); err != nil {
		log.Fatal(err)
	}
	conn.Close()
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}

	reader, err := pcapgo.NewNgReader(&out, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		log.Fatal(err)
	}
	recorded, _, err := reader.ReadPacketData()
	fmt.Printf("%s %v\n", recorded[frame.HeaderLen:], err)
	// Output: hello <nil>
}
