// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Command gohost is a TCP/IP host of a benchmark, in a process of its own. It sends
// to each connection to port 9 until that is closed, and returns what it receives at
// port 7.
//
//	gohost NETWORK PREFIX MTU
//
// NETWORK is "shm:" or "sockets:" and a locator: how frames are to go. With "gvisor:"
// and the name of a kind, the host is a stack of gVisor with an endpoint of that
// kind, on the descriptors from 3 on.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/go-vde/sdk/bench/internal/gvisor"
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
	join := joinVDE
	if strings.HasPrefix(network, "gvisor:") {
		join = joinGVisor
	}
	listen, err := join(network, addr, mtu)
	if err != nil {
		return err
	}
	ended := make(chan error)
	for port, answer := range map[uint16]func(net.Conn) error{7: echo, 9: source} {
		l, err := listen(port)
		if err != nil {
			return err
		}
		go func() { ended <- serve(l, answer) }()
	}
	fmt.Println("ready")
	go func() {
		io.Copy(io.Discard, os.Stdin) // to its end
		os.Exit(0)
	}()
	return <-ended
}

// A listener listens on a port of TCP.
type listener func(port uint16) (net.Listener, error)

// joinVDE returns a host on a VDE network.
func joinVDE(network string, addr netip.Prefix, mtu int) (listener, error) {
	how, vnl, _ := strings.Cut(network, ":")
	mode := vde.SharedMemoryNever
	if how == "shm" {
		mode = vde.SharedMemoryAlways
	}
	c, err := vde.Open(context.Background(), vnl, vde.WithSharedMemory(mode), vde.WithMaxFrameSize(max(mtu+frame.HeaderLen, frame.DefaultMaxSize)))
	if err != nil {
		return nil, err
	}
	if c.Caps().SharedMemory != (how == "shm") {
		return nil, errors.New("the switch did not take the offer of shared memory")
	}
	host, err := netstack.NewHost(c, netstack.HostConfig{Addrs: []netip.Prefix{addr}, MTU: mtu})
	if err != nil {
		return nil, err
	}
	return func(port uint16) (net.Listener, error) { return host.Listen("tcp", fmt.Sprintf(":%d", port)) }, nil
}

// joinGVisor returns a bare stack, the side of a link that sends.
func joinGVisor(network string, addr netip.Prefix, mtu int) (listener, error) {
	kind, err := gvisor.KindOf(strings.TrimPrefix(network, "gvisor:"))
	if err != nil {
		return nil, err
	}
	files := make([]*os.File, kind.Files())
	for i := range files {
		files[i] = os.NewFile(uintptr(3+i), "link")
	}
	ep, err := kind.Endpoint(gvisor.Sender, files, mtu)
	if err != nil {
		return nil, err
	}
	s, err := gvisor.NewBareStack(ep, addr, kind.Queue)
	if err != nil {
		return nil, err
	}
	return s.Listen, nil
}

func serve(l net.Listener, answer func(net.Conn) error) error {
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			_ = answer(conn) // until the other side closes it
		}()
	}
}

func source(c net.Conn) error {
	for b := make([]byte, 256<<10); ; {
		if _, err := c.Write(b); err != nil {
			return err
		}
	}
}

func echo(c net.Conn) error {
	b := make([]byte, 64<<10)
	for {
		n, err := c.Read(b)
		if err != nil {
			return err
		}
		if _, err := c.Write(b[:n]); err != nil {
			return err
		}
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
