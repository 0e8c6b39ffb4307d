// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package linktest

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/internal/framequeue"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
)

// Pipe returns two links such that what is sent on one is received on the other.
// Up to depth frames, at least 1, wait in each direction. There is no goroutine
// and no descriptor behind them, so they also work in a bubble of
// [testing/synctest]. They take GSO frames and partial checksums, lose nothing
// and keep every promise of the suite.
func Pipe(depth int) (a, b link.Link) {
	ab, ba := framequeue.New(max(depth, 1)), framequeue.New(max(depth, 1))
	l, r := &pipe{in: ba, out: ab, gone: make(chan struct{})}, &pipe{in: ab, out: ba, gone: make(chan struct{})}
	l.peer, r.peer = r, l
	l.resolver.Source, r.resolver.Source = l.in.Get, r.in.Get
	return l, r
}

// A pipe is one end of a Pipe.
type pipe struct {
	in, out  *framequeue.Queue
	peer     *pipe
	resolver gso.Resolver // of frames for receives without Headers
	closed   atomic.Bool
	gone     chan struct{} // closed by Close
}

// Recv implements [link.Link].
func (p *pipe) Recv(r link.Rx) (n int, err error) {
	switch {
	case p.closed.Load():
		return 0, net.ErrClosed
	case r.Headers == nil:
		return p.resolver.Recv(r.Bufs, r.Sizes, !r.NoWait)
	case p.resolver.Pending():
		clear(r.Headers[:len(r.Bufs)]) // kept frames are ordinary
		return p.resolver.Recv(r.Bufs, r.Sizes, !r.NoWait)
	}
	return p.in.Get(r.Bufs, r.Sizes, r.Headers, !r.NoWait)
}

// Send implements [link.Link].
func (p *pipe) Send(t link.Tx) (n, calls int, err error) {
	n, err = p.out.Put(framequeue.Batch{Frames: t.Frames, Pieces: t.Pieces, Headers: t.Headers}, !t.NoWait)
	return n, min(n, 1), err
}

// AwaitRoom implements [link.Link].
func (p *pipe) AwaitRoom() error { return p.out.AwaitRoom() }

// SetReadDeadline implements [link.Link].
func (p *pipe) SetReadDeadline(t time.Time) error {
	if p.closed.Load() {
		return net.ErrClosed
	}
	p.in.GetDeadline.Set(t)
	return nil
}

// SetWriteDeadline implements [link.Link].
func (p *pipe) SetWriteDeadline(t time.Time) error {
	if p.closed.Load() {
		return net.ErrClosed
	}
	p.out.PutDeadline.Set(t)
	return nil
}

// Done implements [link.Link].
func (p *pipe) Done() <-chan struct{} { return p.peer.gone }

// Err implements [link.Link].
func (p *pipe) Err() error {
	select {
	case <-p.peer.gone:
		return link.ErrHangup
	default:
		return nil
	}
}

// Close implements [link.Link].
func (p *pipe) Close() (unread int, err error) {
	if p.closed.Swap(true) {
		return 0, nil
	}
	close(p.gone) // before a call of the other side can return the reason
	p.out.EndPut(net.ErrClosed, link.ErrHangup)
	return p.in.EndGet(net.ErrClosed, link.ErrHangup) + p.resolver.Close(), nil
}

// Caps implements [link.Link].
func (p *pipe) Caps() link.Caps {
	return link.Caps{Offload: link.OffloadChecksum | link.OffloadTSO, Counters: func() link.Counters { return link.Counters{} }}
}
