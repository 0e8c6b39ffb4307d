// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package exec_test

import (
	"context"
	"fmt"
	"os"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/exec"
	"github.com/go-vde/sdk/vde"
)

// To join a network through a command, name the command in the locator. This one
// sends everything back; another would be "cmd://ssh server vde_plug /run/vde.ctl".
func Example() {
	c, err := vde.Open(context.Background(), "cmd://cat")
	if err != nil {
		panic(err)
	}
	defer c.Close()

	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	if _, err := c.Write(append(f, "hello"...)); err != nil {
		panic(err)
	}
	buf := make([]byte, c.MaxFrameSize())
	n, err := c.Read(buf)
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s\n", frame.Frame(buf[:n]).Payload())
	// Output: hello
}

// To set options, open with a driver of your own.
func ExampleDriver() {
	drivers := link.Mux{"cmd": exec.Driver{Stderr: os.Stderr, PipeSize: 1 << 20}}
	c, err := vde.Open(context.Background(), "cmd://"+exec.Quote("sh", "-c", "cat; exit 1"), vde.WithDrivers(drivers))
	if err != nil {
		panic(err)
	}
	fmt.Println(c.LocalAddr())
	if err := c.Close(); err != nil {
		panic(err)
	}
	// Output: cmd://sh -c cat\;\ exit\ 1
}
