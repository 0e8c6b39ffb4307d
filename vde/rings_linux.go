// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"net"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/shm"
)

// offer makes what to offer the switch that listens at the other end of ctl, or
// nil: for lack of a descriptor, say, frames can still go through sockets.
func (c *config) offer(ctl control) *shm.Offer {
	var features uint64
	if c.mayShare(ctl) && c.maxFrame <= shm.MaxFrame {
		features |= shm.FeatureRings
	}
	if c.offload {
		features |= shm.FeatureHeaders
	}
	if features == 0 {
		return nil
	}
	o, err := shm.NewOffer(features, c.maxFrame)
	if err != nil {
		return nil
	}
	return o
}

// mayShare reports whether the switch may have memory of ours.
func (c *config) mayShare(ctl control) bool {
	if c.sharedMemory != SharedMemorySameUser {
		return c.sharedMemory == SharedMemoryAlways
	}
	cred, err := ctl.peer()
	return err == nil && int(cred.Uid) == os.Geteuid()
}

// peer returns who listens on the control socket.
func (c control) peer() (cred *unix.Ucred, err error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	e := raw.Control(func(fd uintptr) { cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if e != nil {
		return nil, e
	}
	return cred, err
}

// inProcess reports whether that is this process.
func (c control) inProcess() bool {
	cred, err := c.peer()
	return err == nil && int(cred.Pid) == os.Getpid()
}

// A ringSocket makes the rings look like a data socket.
type ringSocket struct {
	*shm.End
	headers atomic.Bool // received frames get their offload header in front

	// Of the receive under way; receives are made one at a time:
	bufs  [][]byte
	sizes []int
}

// Recv is that of [sockio.Socket].
func (r *ringSocket) Recv(bufs [][]byte, sizes []int, wait bool) (n int, err error) {
	r.bufs, r.sizes = bufs, sizes
	n, err = r.End.Recv(r, min(len(bufs), len(sizes)), wait)
	r.bufs, r.sizes = nil, nil
	return n, err
}

// Place implements [shm.Placer].
func (r *ringSocket) Place(i, size int, o frame.VNetHeader) []byte {
	b := r.bufs[i]
	if !r.headers.Load() {
		r.sizes[i] = size
		return b
	}
	r.sizes[i] = frame.VNetHeaderLen + size
	if len(b) < frame.VNetHeaderLen {
		return nil
	}
	o.Put(b)
	return b[frame.VNetHeaderLen:]
}

// enableOffload has frames received with headers, and undone.
func (r *ringSocket) enableOffload() {
	r.headers.Store(true)
	r.TakeOffload()
}

// A headedRing is the rings for frames that begin with an offload header.
type headedRing struct{ *shm.End }

func (r headedRing) Send(frames [][]byte, wait bool) (n, calls int, err error) {
	return r.SendHeaded(frames, wait)
}

func (r headedRing) SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error) {
	return r.SendBuffersHeaded(frames, wait)
}
