// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"encoding/binary"
	"errors"
	"net"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/shm"
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
	c.agreed = agreed
	if err := plugCable(sw, n, c); err != nil {
		return nil, nil, err
	}
	return peer, func() {
		theirs.Close()
		<-c.done
		<-c.reading
		peer.Close()
	}, nil
}

// plugCable plugs c into port n.
func plugCable(sw *Switch, n int, c *socketCable) error {
	c.naming = func() error { return nil }
	if err := sw.plug(&c.cable, n, 1, sw.cfg.NumPorts); err != nil {
		return err
	}
	go c.read()
	go c.watch()
	return nil
}

// PlugRings is PlugSocket with rings in shared memory.
func PlugRings(sw *Switch, n int) (peer *shm.End, unplug func(), err error) {
	p, err := plugRings(sw, n)
	if err != nil {
		return nil, nil, err
	}
	return p.End, p.unplug, nil
}

// PlugBrokenRings is PlugRings for a peer that breaks the rules when wreck is
// called.
func PlugBrokenRings(sw *Switch, n int) (wreck, unplug func(), err error) {
	p, err := plugRings(sw, n)
	if err != nil {
		return nil, nil, err
	}
	return p.wreck, p.unplug, nil
}

// A ringPeer is the other side of a cable of rings, with copies of two of the
// descriptors that it has.
type ringPeer struct {
	*shm.End
	region, frameBell int
	unplug            func()
}

// wreck breaks the rules.
func (p *ringPeer) wreck() {
	const upTail = 1024
	unix.Pwrite(p.region, []byte{1, 0, 0, 0, 0, 0, 0, 1}, upTail)
	unix.Write(p.frameBell, binary.NativeEndian.AppendUint64(nil, 1))
}

func plugRings(sw *Switch, n int) (p *ringPeer, err error) {
	dup := func(fds []int) []int {
		var all []int
		for _, fd := range fds {
			fd, e := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			err = errors.Join(err, e)
			all = append(all, fd)
		}
		return all
	}
	o, err := shm.NewOffer(shm.FeatureRings|shm.FeatureHeaders, sw.cfg.MaxFrame)
	if err != nil {
		return nil, err
	}
	p = &ringPeer{region: dup(o.Descriptors()[:1])[0]}
	ours, _, attach, err := shm.Accept(dup(o.Descriptors()), shm.FeatureRings|shm.FeatureHeaders)
	if err != nil {
		return nil, err
	}
	p.frameBell = dup(attach[:1])[0]
	if p.End, _, err = o.Taken(dup(attach)); err != nil {
		return nil, err
	}
	ctl, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	theirs, file := os.NewFile(uintptr(ctl[1]), "control"), os.NewFile(uintptr(ctl[0]), "control")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	data, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	c := newSocketCable(sw, conn.(*net.UnixConn), &ringCarrier{End: ours, data: data}, Cable{Kind: KindSharedMemory})
	ours.OnBreak(c.brokeRings)
	ours.Join(&ringEnds, c)
	if err := plugCable(sw, n, c); err != nil {
		return nil, err
	}
	p.unplug = func() {
		theirs.Close()
		<-c.done
		<-c.reading
		p.Close()
		shm.CloseRights([]int{p.region, p.frameBell})
	}
	return p, nil
}

// WaitingOutside reports whether a sender waits for room at a cable of port n to
// another process.
func WaitingOutside(sw *Switch, n int) bool {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	for _, c := range *sw.ports[n].cables.Load() {
		if len(c.out.(*socketCable).gate) > 0 {
			return true
		}
	}
	return false
}
