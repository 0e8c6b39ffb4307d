// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Hello greets everybody on a VDE network and prints what it hears until the
// switch stops. It is the program in README.md.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

func main() {
	c, err := vde.Open(context.Background(), "/tmp/vde.ctl")
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	me := frame.MAC{2, 0, 0, 0, 0, byte(os.Getpid())}
	hello := frame.AppendHeader(nil, frame.Broadcast(), me, frame.EtherTypeExperimental)
	if _, err := c.Write(append(hello, "hello"...)); err != nil {
		log.Print(err)
	}
	for f := range c.Frames() {
		fmt.Printf("%v says %q\n", f.View().Src(), f.View().Payload())
		f.Release()
	}
	fmt.Println("the end:", c.Err())
}
