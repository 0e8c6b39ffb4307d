// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/shm"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
)

// ErrSilent is what the fuzz target of the control protocol compares with.
var ErrSilent = errSilent

// ReadRequest reads a request from r until it is complete.
func ReadRequest(r io.Reader) (wire.Request, error) { return new(requestBuffer).read(r.Read) }

// AttachSocket attaches a client with a data socket to port n and returns the
// client's end of that; detach ends the endpoint. With headers each datagram
// begins with a virtio-net header.
func AttachSocket(sw *Switch, n int, headers bool) (peer *os.File, detach func(), err error) {
	data, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	if err := unix.SetsockoptInt(data[0], unix.SOL_SOCKET, unix.SO_SNDBUF, sw.cfg.WriteBuffer); err != nil {
		return nil, nil, err
	}
	peer = os.NewFile(uintptr(data[1]), "peer")
	sock, err := newSocket(data[0], headers)
	if err != nil {
		return nil, nil, err
	}
	end, err := attachTransport(sw, n, KindSocket, sock)
	return peer, func() { end(); peer.Close() }, err
}

// attachTransport attaches a client whose frames go through t to port n.
func attachTransport(sw *Switch, n int, kind Kind, t transport.Transport) (detach func(), err error) {
	ctl, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(ctl[1]), "control")
	stream, err := transport.NewStream(ctl[0], "control")
	if err != nil {
		return nil, err
	}
	a, err := sw.AttachLink(transport.New(transport.Config{Stream: stream, Transport: t, Refuse: true, StreamFirst: true}), LinkConfig{Port: n, Kind: kind})
	if err != nil {
		return nil, err
	}
	return func() {
		theirs.Close()
		<-a.Done()
	}, nil
}

// AttachRings is AttachSocket with rings in shared memory.
func AttachRings(sw *Switch, n int) (peer *shm.End, detach func(), err error) {
	p, err := attachRings(sw, n)
	if err != nil {
		return nil, nil, err
	}
	return p.End, p.detach, nil
}

// AttachViolator is AttachRings for a peer that violates the protocol when
// violate is called.
func AttachViolator(sw *Switch, n int) (violate, detach func(), err error) {
	p, err := attachRings(sw, n)
	if err != nil {
		return nil, nil, err
	}
	return p.violate, p.detach, nil
}

// A ringPeer is the other side of an endpoint with rings, with a mapping of the
// words of control, and a copy of one of the descriptors that it has.
type ringPeer struct {
	*shm.End
	control   []byte
	frameBell int
	detach    func()
}

// violate writes into the region what cannot be.
func (p *ringPeer) violate() {
	const upTail = 1024
	copy(p.control[upTail:], []byte{1, 0, 0, 0, 0, 0, 0, 1})
	unix.Write(p.frameBell, []byte{1})
}

func attachRings(sw *Switch, n int) (p *ringPeer, err error) {
	dup := func(fds []int) []int {
		var all []int
		for _, fd := range fds {
			fd, e := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
			err = errors.Join(err, e)
			all = append(all, fd)
		}
		return all
	}
	o, err := shm.NewOffer(shm.FeatureRings|shm.FeatureHeaders, sw.cfg.MaxFrameSize)
	if err != nil {
		return nil, err
	}
	p = new(ringPeer)
	if p.control, err = unix.Mmap(o.Descriptors()[0], 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return nil, err
	}
	ours, _, attach, err := shm.Accept(dup(o.Descriptors()), shm.FeatureRings|shm.FeatureHeaders)
	if err != nil {
		return nil, err
	}
	p.frameBell = dup(attach[:1])[0]
	if p.End, _, err = o.Taken(dup(attach)); err != nil {
		return nil, err
	}
	data, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours.Join(&ringEnds)
	end, err := attachTransport(sw, n, KindSharedMemory, &ringTransport{End: ours, data: data})
	if err != nil {
		return nil, err
	}
	p.detach = func() {
		end()
		p.Close()
		transport.CloseDescriptors([]int{p.frameBell})
		unix.Munmap(p.control)
	}
	return p, nil
}

// WaitingOutside reports whether a sender waits for room at an endpoint of port n
// that is a link.
func WaitingOutside(sw *Switch, n int) bool {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	for _, e := range *sw.ports[n].endpoints.Load() {
		if len(e.egress.(*linkEndpoint).waitSlot) > 0 {
			return true
		}
	}
	return false
}

// SetLastEndpoint has the next endpoint get the number after n.
func SetLastEndpoint(sw *Switch, n uint64) {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	sw.lastEndpoint = n
}

// SharedMemoryUsed returns how much of Config.MaxSharedMemory clients have.
func SharedMemoryUsed(sw *Switch) int64 { return sw.sharedMemory.Load() }
