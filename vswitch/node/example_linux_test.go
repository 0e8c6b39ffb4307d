// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch/node"
)

// A program becomes a switch, and another connection joins it, as any VDE program
// could.
func Example() {
	dir, err := os.MkdirTemp("/tmp", "n")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "lab.ctl")

	ctx := context.Background()
	host, err := vde.Open(ctx, "switch://"+path+"[mode=0660]", vde.WithDrivers(node.Drivers()))
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()
	cable, err := vde.Open(ctx, path)
	if err != nil {
		log.Fatal(err)
	}
	defer cable.Close()

	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, 0x88b5)
	if _, err := cable.Write(append(f, "hello"...)); err != nil {
		log.Fatal(err)
	}
	b := make([]byte, 1514)
	n, err := host.Read(b)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", b[frame.HeaderLen:n])
	// Output: hello
}
