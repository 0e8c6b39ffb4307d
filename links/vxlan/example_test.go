// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan_test

import (
	"context"
	"log"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/vxlan"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
)

// To send a frame to a VXLAN tunnel to another endpoint, open a locator.
func Example() {
	c, err := vde.Open(context.Background(), "vxlan://192.0.2.7/vni=42")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(make([]byte, 60)); err != nil {
		log.Fatal(err)
	}
}

// Where only links are needed, without what package vde adds, use the driver.
func ExampleDriver_Open() {
	l, err := vxlan.Driver{}.Open(context.Background(), vnl.Parse("vxlan://192.0.2.7/vni=42"), link.Settings{})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	if _, _, err := l.Send(link.Tx{Frames: [][]byte{make([]byte, 60)}}); err != nil {
		log.Fatal(err)
	}
}
