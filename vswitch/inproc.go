// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/ringbuf"
	"github.com/go-vde/sdk/vde"
)

// An inproc is an in-process endpoint: an egress of the switch, and the
// [link.Link] of a Conn.
//
// What the Conn receives is in a ring of buffers, with their metadata beside it.
// Forwarding goroutines push with in held and wake the one reader if it sleeps;
// the reader pops with out held, and so does a producer that makes room under
// [HeadDrop]. Each side takes its lock once for a batch.
//
// What the Conn sends is forwarded by the goroutine that sends.
type inproc struct {
	sw       *Switch
	endpoint *endpoint
	conn     *vde.Conn // written before the endpoint is attached
	monitor  bool      // receives only

	ring    *ringbuf.SPSC[*pool.Buffer] // nil until attached
	in      sync.Mutex                  // held to push
	out     sync.Mutex                  // held to pop
	pushed  uint64                      // frames so far; guarded by in
	popped  uint64                      // frames so far; guarded by out
	headers headerRing                  // nil until metadata is asked for; written with in and out held

	// ended says that nothing is pushed any more; written with in held, before
	// stop is closed. closed says that this was Close.
	ended, closed atomic.Bool
	stop          chan struct{} // closed when it has ended
	done          chan struct{} // closed when the switch has ended it
	cause         error         // written before done is closed

	wake     chan struct{} // one slot; a token tells the reader to look again
	sleeping atomic.Bool   // the reader waits for a token, or is about to

	room    chan struct{}            // one slot; a token tells one waiting sender to look again
	waiters atomic.Int32             // senders that wait, or are about to
	full    atomic.Pointer[endpoint] // the one that the last send without waiting found full

	readDeadline, writeDeadline deadline.Timer

	// takesPartial says that a receive has asked for metadata; headers and resolver
	// were made before. Receives without Headers go through resolver from then on.
	takesPartial atomic.Bool
	resolver     *gso.Resolver // nil until then; written with in and out held

	caps link.Caps // immutable

	scratch [maxBatch]*pool.Buffer // the reader's
}

var (
	_ egress              = (*inproc)(nil)
	_ link.Link           = (*inproc)(nil)
	_ link.BufferReceiver = (*inproc)(nil)
)

func newInproc(sw *Switch, kind Kind) *inproc {
	l := &inproc{
		sw: sw, monitor: kind == KindMonitor,
		stop: make(chan struct{}), done: make(chan struct{}),
		wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	l.endpoint = &endpoint{egress: l, info: Endpoint{Kind: kind}, ended: l.hangup}
	l.readDeadline.OnExpire = l.wakeReader
	l.caps = link.Caps{Name: l.endpoint.String, Offload: offloadAll, Buffers: l, Pools: sw.Pools, Counters: l.counters}
	return l
}

func (l *inproc) wakeReader() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *inproc) wakeSender() {
	select {
	case l.room <- struct{}{}:
	default:
	}
}

// Caps implements link.Link.
func (l *inproc) Caps() link.Caps { return l.caps }

// counters returns the frames that were lost because Close overlapped a receive, and those
// that a monitor session was too slow for.
func (l *inproc) counters() (c link.Counters) {
	c.Missed = l.endpoint.missed.Load()
	if l.takesPartial.Load() {
		c.Discarded = uint64(l.resolver.Late())
	}
	return c
}

// Done implements link.Link.
func (l *inproc) Done() <-chan struct{} { return l.done }

// Err implements link.Link.
func (l *inproc) Err() error {
	select {
	case <-l.done:
		return l.cause
	default:
		return nil
	}
}

// SetReadDeadline implements link.Link.
func (l *inproc) SetReadDeadline(t time.Time) error { return l.setDeadline(&l.readDeadline, t) }

// SetWriteDeadline implements link.Link.
func (l *inproc) SetWriteDeadline(t time.Time) error { return l.setDeadline(&l.writeDeadline, t) }

func (l *inproc) setDeadline(d *deadline.Timer, t time.Time) error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	if !l.ended.Load() {
		d.Set(t)
	}
	return nil
}

// hangup ends the link from the switch's side.
func (l *inproc) hangup(cause error) {
	l.cause = cause
	close(l.done)
	l.end(false)
}

// end stops pushing, for good, and wakes every call.
func (l *inproc) end(closing bool) {
	l.in.Lock()
	if closing {
		l.closed.Store(true)
	}
	first := !l.ended.Load()
	l.ended.Store(true)
	l.in.Unlock()
	if first {
		close(l.stop)
	}
	l.readDeadline.Stop()
	l.writeDeadline.Stop()
	l.wakeReader()
}

// endReason returns why nothing can be done any more; the link has ended.
func (l *inproc) endReason() error {
	if err := l.Err(); err != nil && !l.closed.Load() {
		return err
	}
	return net.ErrClosed
}

// Close implements link.Link.
func (l *inproc) Close() (unread int, err error) {
	if l.endpoint.port != nil {
		l.sw.removeEndpoint(l.endpoint, net.ErrClosed)
	}
	l.end(true)
	l.endpoint.lines.Wait()
	if l.ring == nil {
		return 0, nil
	}
	l.out.Lock()
	defer l.out.Unlock()
	if l.resolver != nil {
		unread = l.resolver.Close()
	}
	for {
		n := l.discard(maxBatch)
		if n == 0 {
			return unread, nil
		}
		unread += n
		l.endpoint.port.outNow().dropped[outClosed].Add(uint64(n))
	}
}

// popRing takes up to len(bufs) frames off the ring; out is held.
func (l *inproc) popRing(bufs []*pool.Buffer) int {
	n := l.ring.Pop(bufs)
	if pool.LeakMode {
		pool.RemoveOwner(l.endpoint.queueOwner(), bufs[:n]...)
	}
	return n
}

// discard drops at most n of the oldest frames in the ring, and maxBatch, and
// returns how many; out is held.
func (l *inproc) discard(n int) int {
	var old [maxBatch]*pool.Buffer
	n = l.popRing(old[:min(n, maxBatch)])
	l.popped += uint64(n)
	pool.ReleaseBatch(old[:n])
	return n
}

// Recv implements link.Link.
func (l *inproc) Recv(r link.Rx) (n int, err error) {
	switch {
	case r.Headers == nil && l.takesPartial.Load():
		return l.resolver.Recv(r.Bufs, r.Sizes, !r.NoWait)
	case r.Headers == nil:
	case !l.takesPartial.Load():
		l.takePartial()
	case l.resolver.Pending():
		clear(r.Headers[:len(r.Bufs)]) // what it keeps is ordinary
		return l.resolver.Recv(r.Bufs, r.Sizes, false)
	}
	return l.recv(r)
}

// takePartial lets the ring have metadata.
func (l *inproc) takePartial() {
	l.in.Lock()
	defer l.in.Unlock()
	l.out.Lock()
	defer l.out.Unlock()
	if l.ring == nil {
		return // not attached: there is nothing to receive
	}
	l.headers = make(headerRing, 2*l.ring.Cap())
	l.resolver = &gso.Resolver{Source: func(bufs [][]byte, sizes []int, headers []frame.VNetHeader, wait bool) (int, error) {
		return l.recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers, NoWait: !wait})
	}}
	l.takesPartial.Store(true)
}

// A headerRing holds the metadata of frames in a ring, by their number. It has
// twice as many slots as the ring, so that those of frames that were just popped
// are not overwritten before out is unlocked.
type headerRing []frame.VNetHeader

func (r headerRing) at(n uint64) *frame.VNetHeader { return &r[n&uint64(len(r)-1)] }

// recv is Recv of frames as they are in the ring.
func (l *inproc) recv(r link.Rx) (n int, err error) {
	popped := l.scratch[:min(len(r.Bufs), len(r.Sizes), maxBatch)]
	n, err = l.pop(popped, r.Headers, !r.NoWait)
	for i, b := range popped[:n] {
		r.Sizes[i] = len(b.Bytes())
		copy(r.Bufs[i], b.Bytes())
	}
	pool.ReleaseBatch(popped[:n])
	return n, err
}

// RecvBuffers implements link.BufferReceiver.
func (l *inproc) RecvBuffers(bs []*pool.Buffer, headers []frame.VNetHeader) (n int, err error) {
	switch {
	case headers == nil && l.takesPartial.Load():
		return l.recvResolved(bs, true)
	case headers == nil:
	case !l.takesPartial.Load():
		l.takePartial()
	case l.resolver.Pending():
		clear(headers[:len(bs)])
		return l.recvResolved(bs, false)
	}
	popped := l.scratch[:min(len(bs), maxBatch)]
	n, err = l.pop(popped, headers, true)
	for i, b := range popped[:n] {
		if bs[i] != nil {
			bs[i].Release()
		}
		bs[i], popped[i] = b, nil
	}
	return n, err
}

// recvResolved is RecvBuffers for ordinary frames after a receive has asked for
// metadata.
func (l *inproc) recvResolved(bs []*pool.Buffer, wait bool) (n int, err error) {
	const most = 8
	var (
		fresh   [most]*pool.Buffer
		windows [most][]byte
		sizes   [most]int
	)
	use := fresh[:min(len(bs), most)]
	l.sw.buffers.of(l.sw.buffers.maxFrame).GetBatch(use)
	n, err = l.resolver.Recv(pool.Windows(windows[:], use), sizes[:], wait)
	for i, b := range use[:n] {
		b.SetLen(min(sizes[i], len(windows[i])))
		if bs[i] != nil {
			bs[i].Release()
		}
		bs[i] = b
	}
	pool.ReleaseBatch(use[n:])
	return n, err
}

// pop takes up to len(bufs) frames and, if headers is not nil, their metadata;
// with wait it waits for one.
func (l *inproc) pop(bufs []*pool.Buffer, headers []frame.VNetHeader, wait bool) (int, error) {
	if len(bufs) == 0 {
		return 0, nil
	}
	for {
		switch {
		case l.closed.Load():
			return 0, net.ErrClosed
		case wait && l.readDeadline.Passed() && !l.ended.Load():
			return 0, os.ErrDeadlineExceeded
		}
		ended := l.ended.Load() // before looking: nothing is pushed after it
		switch n := l.tryPop(bufs, headers); {
		case n > 0:
			return n, nil
		case ended:
			return 0, l.endReason()
		case !wait:
			return 0, link.ErrEmpty
		}
		l.sleeping.Store(true)
		// From here on every change of what the loop looks at leaves a token.
		if l.ring.Len() == 0 && !l.ended.Load() && !l.readDeadline.Passed() {
			<-l.wake
		}
		l.sleeping.Store(false)
	}
}

// tryPop is pop that does not wait. It counts the frames and wakes a sender.
func (l *inproc) tryPop(bufs []*pool.Buffer, headers []frame.VNetHeader) int {
	l.out.Lock()
	n := l.popRing(bufs)
	if n > 0 {
		bytes := 0
		for _, b := range bufs[:n] {
			bytes += len(b.Bytes())
		}
		if headers != nil {
			for i := range headers[:n] {
				headers[i] = *l.headers.at(l.popped + uint64(i))
			}
		}
		l.popped += uint64(n)
		out := l.endpoint.port.outNow()
		out.frames.Add(uint64(n))
		out.bytes.Add(uint64(bytes))
	}
	l.out.Unlock()
	if n > 0 && l.waiters.Load() > 0 && l.roomy() {
		l.wakeSender()
	}
	return n
}

// errMonitor is the error of writing to a monitor session.
var errMonitor = errors.New("a monitor session does not send")

// sendable returns why nothing can be sent, or nil.
func (l *inproc) sendable(wait bool) error {
	switch {
	case l.ended.Load():
		return l.endReason()
	case l.monitor:
		return errMonitor
	case wait && l.writeDeadline.Passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Send implements link.Link.
func (l *inproc) Send(t link.Tx) (n, calls int, err error) {
	if err := l.sendable(!t.NoWait); err != nil {
		return 0, 0, err
	}
	f := newForwarder(l.endpoint)
	defer f.free()
	f.exact, f.wait.try, f.wait.done = true, t.NoWait, l.stop
	for total := t.Len(); n < total && err == nil; {
		for i := n; i < min(n+maxBatch, total); i++ {
			switch {
			case t.Pieces != nil:
				f.batch.gather(t.Pieces[i], t.Header(i))
			case t.Headers != nil:
				f.batch.setHeader(f.batch.add(t.Frames[i]), t.Headers[i])
			default:
				f.batch.add(t.Frames[i])
			}
		}
		k, e := l.forward(f)
		if err = e; k > 0 {
			n += k
			calls++
		}
	}
	return n, calls, err
}

// forward forwards f's batch and empties it.
func (l *inproc) forward(f *forwarder) (n int, err error) {
	if !f.wait.try {
		f.wait.expired = l.writeDeadline.Done()
		f.wait.waited = 0
	}
	n, err = f.forward()
	f.batch.clear()
	switch {
	case err == nil:
	case errors.Is(err, link.ErrFull):
		l.full.Store(f.wait.full)
	case errors.Is(err, net.ErrClosed):
		err = l.endReason()
	}
	return n, err
}

// AwaitRoom implements link.Link. A port has no queue for what it sends: it waits
// for room at the port where the last send without waiting stopped.
func (l *inproc) AwaitRoom() error {
	if err := l.sendable(true); err != nil {
		return err
	}
	full := l.full.Swap(nil)
	w := waiter{done: l.stop, expired: l.writeDeadline.Done()}
	result := l.endpoint.awaitBacklog(&w)
	if full == nil && result != waitAborted {
		return nil
	}
	if result != waitAborted && full.await(&w, Forever) != waitAborted {
		return nil
	}
	if l.ended.Load() {
		return l.endReason()
	}
	l.full.CompareAndSwap(nil, full)
	return os.ErrDeadlineExceeded
}
