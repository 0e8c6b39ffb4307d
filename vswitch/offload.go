// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"net"
	"sync/atomic"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/internal/offload"
	"github.com/go-vde/sdk/pool"
)

// An offloader is an in-process cable whose Conn may ask for offload headers.
// The switch takes ordinary frames only: they are finished before it sees them.
type offloader struct {
	*inproc
	enabled atomic.Bool

	soft, softTry offload.Soft // of sends that wait, and of those that do not

	// Of receives:
	behind [maxBatch][]byte
	got    [maxBatch]*pool.Buffer
}

var _ link.Link = (*offloader)(nil)

// EnableOffload implements link.Link.
func (l *offloader) EnableOffload() { l.enabled.Store(true) }

// Send implements link.Link.
func (l *offloader) Send(frames [][]byte, wait bool) (n, calls int, err error) {
	switch {
	case !l.enabled.Load():
		return l.inproc.Send(frames, wait)
	case wait:
		return l.soft.Send(l.inproc, frames, wait)
	}
	return l.softTry.Send(l.inproc, frames, wait)
}

// SendBuffers implements link.Link.
func (l *offloader) SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error) {
	switch {
	case !l.enabled.Load():
		return l.inproc.SendBuffers(frames, wait)
	case wait:
		return l.soft.SendBuffers(l.inproc, frames, wait)
	}
	return l.softTry.SendBuffers(l.inproc, frames, wait)
}

// Recv implements link.Link.
func (l *offloader) Recv(bufs [][]byte, sizes []int) (n int, err error) {
	if !l.enabled.Load() {
		return l.inproc.Recv(bufs, sizes)
	}
	bufs = bufs[:min(len(bufs), maxBatch)]
	behind := offload.Behind(l.behind[:], bufs)
	n, err = l.inproc.Recv(behind, sizes)
	clear(behind)
	offload.PutNothing(bufs[:n], sizes)
	return n, err
}

// RecvBuffers implements link.Link. Others may have the buffers that the switch
// hands over, so with headers it takes copies.
func (l *offloader) RecvBuffers(p *pool.Pool, bs []*pool.Buffer, sizes []int) (n int, err error) {
	if !l.enabled.Load() {
		return l.inproc.RecvBuffers(p, bs, sizes)
	}
	got := l.got[:min(len(bs), maxBatch)]
	n, err = l.inproc.RecvBuffers(p, got, sizes)
	if n == 0 {
		return n, err
	}
	p.GetBatch(bs[:n])
	windows := pool.Windows(l.behind[:], bs[:n])
	for i, b := range got[:n] {
		copy(windows[i][min(frame.OffloadLen, len(windows[i])):], b.Bytes())
	}
	offload.PutNothing(windows, sizes)
	for i, b := range bs[:n] {
		b.SetLen(min(sizes[i], len(windows[i])))
	}
	clear(windows)
	pool.ReleaseBatch(got[:n])
	return n, err
}
