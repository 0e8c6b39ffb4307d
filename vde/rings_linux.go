// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/shm"
)

// offer makes what to offer the switch that listens at the other end of ctl, or
// nil: for lack of a descriptor, say, frames can still go through sockets.
func (c *config) offer(ctl control) *shm.Offer {
	if !c.mayShare(ctl) || c.maxFrame > shm.MaxFrame {
		return nil
	}
	o, err := shm.NewOffer(shm.FeatureRings|shm.FeatureOffload, c.maxFrame)
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

// A ringSocket makes the rings look like a data socket.
type ringSocket struct {
	*shm.End

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
func (r *ringSocket) Place(i, size int, _ frame.Offload) []byte {
	r.sizes[i] = size
	return r.bufs[i]
}
