// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tap_test

import (
	"context"
	"fmt"
	"log"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/tap"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
)

// The machine on which a switch runs takes part in its network, through the interface
// lan0.
func ExampleDriver_Open() {
	l, err := tap.Driver{}.Open(context.Background(), vnl.Locator{Scheme: "tap", Arg: "lan0"}, link.Settings{})
	if err != nil {
		log.Fatal(err) // for lack of permission, it says what root has to do once
	}
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	port, err := sw.AttachLink(l, vswitch.LinkConfig{Description: l.Caps().Address})
	if err != nil {
		log.Fatal(err)
	}
	<-port.Done() // the interface was removed
}

// A program reads what the kernel sends on the interface lan0.
func Example() {
	conn, err := vde.Open(context.Background(), "tap://lan0")
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 1514)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d bytes\n", n)
	}
}
