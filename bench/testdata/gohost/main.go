// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Command gohost is a TCP/IP host of a benchmark, in a process of its own: it
// sends to whoever connects to port 9, for as long as he likes.
//
//	gohost NETWORK PREFIX MTU
//
// NETWORK is "shm:" or "sockets:" and a locator: how frames are to go.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

func run(network, prefix, mtuText string) error {
	mtu, err := strconv.Atoi(mtuText)
	if err != nil {
		return err
	}
	addr, err := netip.ParsePrefix(prefix)
	if err != nil {
		return err
	}
	how, vnl, _ := strings.Cut(network, ":")
	mode := vde.SharedMemoryNever
	if how == "shm" {
		mode = vde.SharedMemoryAlways
	}
	c, err := vde.Open(context.Background(), vnl, vde.WithSharedMemory(mode), vde.WithMaxFrameSize(max(mtu+frame.HeaderLen, frame.DefaultMax)))
	if err != nil {
		return err
	}
	if c.SharedMemory() != (how == "shm") {
		return errors.New("the switch did not take the offer of shared memory")
	}
	host, err := netstack.NewHost(c, netstack.HostConfig{Addrs: []netip.Prefix{addr}, MTU: mtu})
	if err != nil {
		return err
	}
	l, err := host.Listen("tcp", ":9")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	go func() {
		io.Copy(io.Discard, os.Stdin) // to its end
		os.Exit(0)
	}()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			for b := make([]byte, 256<<10); ; {
				if _, err := conn.Write(b); err != nil {
					return
				}
			}
		}()
	}
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: gohost NETWORK PREFIX MTU")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "gohost:", err)
		os.Exit(1)
	}
}
