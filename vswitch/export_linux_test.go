// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/sockio"
)

// What the fuzz target of the control protocol uses.
var (
	ReadRequest = readRequest
	ErrSilent   = errSilent
)

// PlugSocket plugs a socket cable into port n and returns the peer's end of its
// data socket; unplug ends the cable. With agreed each datagram begins with an
// offload header.
func PlugSocket(sw *Switch, n int, agreed bool) (peer *os.File, unplug func(), err error) {
	data, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	ctl, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetsockoptInt(data[0], unix.SOL_SOCKET, unix.SO_SNDBUF, sw.cfg.WriteBuffer); err != nil {
		return nil, nil, err
	}
	peer = os.NewFile(uintptr(data[1]), "peer")
	theirs := os.NewFile(uintptr(ctl[1]), "control")
	ours := os.NewFile(uintptr(ctl[0]), "control")
	defer ours.Close()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, nil, err
	}
	sock, err := sockio.New(data[0], "data")
	if err != nil {
		return nil, nil, err
	}
	c := newSocketCable(sw, conn.(*net.UnixConn), sock, Cable{Kind: KindSocket})
	c.naming = func() error { return nil }
	c.agreed = agreed
	if err := sw.plug(&c.cable, n, 1, sw.cfg.NumPorts); err != nil {
		return nil, nil, err
	}
	go c.read()
	go c.watch()
	return peer, func() {
		theirs.Close()
		<-c.done
		<-c.reading
		peer.Close()
	}, nil
}
