// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/ringbuf"
	"github.com/go-vde/sdk/vde"
)

// An inproc is an in-process cable: the switch's outlet on one side and the
// [link.Link] of a Conn on the other.
//
// What the Conn receives is in a ring of buffers. Forwarding goroutines push
// with in held and wake the one reader if it sleeps; the reader pops with out
// held, and so does a producer that makes room under [DropOldest]. Each side
// takes its lock once for a batch.
//
// What the Conn sends is forwarded by the goroutine that sends.
type inproc struct {
	sw    *Switch
	cable *cable
	conn  *vde.Conn // written before the cable is plugged in
	tap   bool      // receives only

	ring *ringbuf.SPSC[*pool.Buffer]
	in   sync.Mutex // held by whoever pushes
	out  sync.Mutex // held by whoever pops

	// ended says that nothing is pushed any more; written with in held, before
	// done is closed. closed says that this was Close.
	ended, closed atomic.Bool
	done          chan struct{}

	wake     chan struct{} // one slot; a token tells the reader to look again
	sleeping atomic.Bool   // the reader waits for a token, or is about to

	room    chan struct{} // one slot; a token tells one waiting sender to look again
	waiters atomic.Int32  // senders that wait, or are about to

	rdeadline, wdeadline deadline

	// agreed says that frames have offload headers, in the ring too; written with
	// in and out held.
	agreed atomic.Bool

	refs [maxBatch]*pool.Buffer // the reader's scratch
}

var _ link.Link = (*inproc)(nil)

// Attach plugs the calling process into the switch, into the port that
// [vde.WithPort] asks for or the lowest free one. The connection's frames move
// through memory: forwarding is done by the goroutine that writes, without a
// system call where the destination is in-process too.
//
// A frame received through Frames is the very buffer that the switch holds. If
// it was flooded or mirrored, other in-process ports have the same one, so the
// bytes of a received Frame must be copied before they are changed. The read
// methods copy.
//
// A write returns when the switch has taken the frames. Whether that can take
// time is up to the ports they are for; see [Policy]. Only a frame for a single
// station can make it wait. TryWriteBatch stops, with [vde.ErrFull], at a frame
// for a station whose port is full and has the policy [WaitForRoom]; whatever a
// drop policy drops, and what is flooded, counts as sent here and as dropped
// there. So does what there is no room for of an offloaded frame that is cut,
// once its first part has been taken.
//
// The options about sockets have no effect; neither has [vde.WithWriteBuffer],
// because frames wait at their destination.
func (sw *Switch) Attach(opts ...vde.Option) (*vde.Conn, error) {
	return sw.attach(KindInProcess, opts, func(c *cable, s link.Settings) error {
		n := anyPort
		switch {
		case s.Port == wire.ManagementPort:
			n = 0
		case s.Port != wire.AnyPort:
			n = int(s.Port)
		}
		return sw.plug(c, n, 1, sw.cfg.NumPorts)
	})
}

// attach makes an in-process connection and calls plug for its cable.
func (sw *Switch) attach(kind string, opts []vde.Option, plug func(*cable, link.Settings) error) (*vde.Conn, error) {
	var (
		l        *inproc
		settings link.Settings
	)
	attached, err := link.Attach("vswitch://"+sw.cfg.Name, opts, func(s link.Settings) (link.Link, error) {
		settings = s
		l = newInproc(sw, kind)
		return l, nil
	})
	if err != nil {
		return nil, fmt.Errorf("vswitch: attach: %w", err)
	}
	l.conn = attached.Conn.(*vde.Conn)
	c := l.cable
	c.ended = attached.End
	c.info = Cable{
		Kind: kind, Description: settings.Description,
		UID: uint32(max(os.Geteuid(), 0)), GID: uint32(max(os.Getegid(), 0)), PID: int32(os.Getpid()),
		Since: time.Now(),
	}
	if err := plug(c, settings); err != nil {
		l.conn.Close()
		return nil, err
	}
	return l.conn, nil
}

func newInproc(sw *Switch, kind string) *inproc {
	l := &inproc{
		sw: sw, tap: kind == KindTap,
		done: make(chan struct{}), wake: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
	l.cable = &cable{out: (*inprocOutlet)(l)}
	l.rdeadline.onExpire = l.wakeReader
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

// pop waits for frames and takes up to len(refs).
func (l *inproc) pop(refs []*pool.Buffer) (int, error) {
	for {
		switch {
		case l.closed.Load():
			return 0, net.ErrClosed
		case l.rdeadline.past.Load() && !l.ended.Load():
			return 0, os.ErrDeadlineExceeded
		}
		ended := l.ended.Load() // before looking: nothing is pushed after it
		if n := l.tryPop(refs); n > 0 {
			return n, nil
		}
		if ended {
			if l.closed.Load() {
				return 0, net.ErrClosed
			}
			return 0, link.ErrDrained
		}
		l.sleeping.Store(true)
		// From here on whoever changes what the loop looks at leaves a token.
		if l.ring.Len() == 0 && !l.ended.Load() && !l.rdeadline.past.Load() {
			<-l.wake
		}
		l.sleeping.Store(false)
	}
}

// tryPop takes up to len(refs) frames, counts them and wakes a sender.
func (l *inproc) tryPop(refs []*pool.Buffer) int {
	l.out.Lock()
	n := l.ring.Pop(refs)
	if n > 0 {
		bytes := 0
		for _, r := range refs[:n] {
			bytes += len(r.Bytes())
		}
		if l.agreed.Load() {
			bytes -= n * frame.VNetHeaderLen
		}
		out := &l.cable.port.out
		out.frames.Add(uint64(n))
		out.bytes.Add(uint64(bytes))
	}
	l.out.Unlock()
	if n > 0 && l.waiters.Load() > 0 && (*inprocOutlet)(l).roomy() {
		l.wakeSender()
	}
	return n
}

// Recv implements link.Link.
func (l *inproc) Recv(bufs [][]byte, sizes []int) (int, error) {
	refs := l.refs[:min(len(bufs), len(sizes), maxBatch)]
	if len(refs) == 0 {
		return 0, nil
	}
	n, err := l.pop(refs)
	for i, r := range refs[:n] {
		sizes[i] = len(r.Bytes())
		copy(bufs[i], r.Bytes())
	}
	pool.ReleaseBatch(refs[:n])
	return n, err
}

// RecvBuffers implements link.Link.
func (l *inproc) RecvBuffers(_ *pool.Pool, bs []*pool.Buffer, sizes []int) (int, error) {
	refs := l.refs[:min(len(bs), len(sizes), maxBatch)]
	if len(refs) == 0 {
		return 0, nil
	}
	n, err := l.pop(refs)
	for i, r := range refs[:n] {
		sizes[i] = len(r.Bytes())
		if bs[i] != nil {
			bs[i].Release()
		}
		bs[i], refs[i] = r, nil
	}
	return n, err
}

// Send implements link.Link.
func (l *inproc) Send(frames [][]byte, wait bool) (n, calls int, err error) {
	if err := l.sendable(wait); err != nil {
		return 0, 0, err
	}
	agreed := l.agreed.Load()
	b := l.newBatch(wait)
	defer b.free()
	for n < len(frames) && err == nil {
		for _, f := range frames[n:min(n+maxBatch, len(frames))] {
			if agreed {
				b.addHeaded(f)
			} else {
				b.add(f)
			}
		}
		k, e := l.forward(b)
		if err = e; k > 0 {
			n += k
			calls++
		}
	}
	return n, calls, err
}

// SendBuffers implements link.Link. The pieces are gathered in the buffer that
// the frame travels in.
func (l *inproc) SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error) {
	if err := l.sendable(wait); err != nil {
		return 0, 0, err
	}
	agreed := l.agreed.Load()
	b := l.newBatch(wait)
	defer b.free()
	for n < len(frames) && err == nil {
		for _, pieces := range frames[n:min(n+maxBatch, len(frames))] {
			l.gather(b, pieces, agreed)
		}
		k, e := l.forward(b)
		if err = e; k > 0 {
			n += k
			calls++
		}
	}
	return n, calls, err
}

// gather adds a frame given in pieces to b; with agreed, an offload header comes
// first.
func (l *inproc) gather(b *batch, pieces net.Buffers, agreed bool) {
	size := 0
	for _, p := range pieces {
		size += len(p)
	}
	it := &b.items[b.n]
	b.n++
	ahead, longest := 0, l.sw.cfg.MaxFrame
	if agreed {
		ahead, longest = min(frame.VNetHeaderLen, size), max(longest, frame.MaxGSO)
	}
	it.size = size - ahead
	if it.size > longest {
		return // no data: it is a giant
	}
	it.buf = l.sw.poolFor(it.size).Get()
	it.buf.SetLen(it.size)
	it.buf.Prepend(ahead)
	data := it.buf.Bytes()
	at := 0
	for _, p := range pieces {
		at += copy(data[at:], p)
	}
	if !agreed {
		it.data = data
		return
	}
	if it.setHeaded(data, size); it.size < size {
		it.buf.TrimFront(ahead)
	}
}

// newBatch returns a batch for frames sent by the Conn.
func (l *inproc) newBatch(wait bool) *batch {
	b := newBatch(l.cable.port)
	b.exact = true
	if !wait {
		b.mode = waitTry
	}
	b.done = l.done
	return b
}

// sendable returns why nothing can be sent, or nil.
func (l *inproc) sendable(wait bool) error {
	ended := l.ended.Load() // before closed, which is written first
	switch {
	case l.closed.Load():
		return net.ErrClosed
	case ended:
		return os.ErrDeadlineExceeded // Hangup
	case l.tap:
		return errTap
	case wait && l.wdeadline.past.Load():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// forward forwards b and empties it. It makes the error one of link.Link's.
func (l *inproc) forward(b *batch) (int, error) {
	if b.mode != waitTry {
		b.expired = l.wdeadline.wait()
		b.waited = 0
	}
	n, err := b.forward()
	b.clear()
	if err != nil && errors.Is(err, net.ErrClosed) && !l.closed.Load() {
		err = os.ErrDeadlineExceeded // Hangup
	}
	return n, err
}

// SetReadDeadline implements link.Link.
func (l *inproc) SetReadDeadline(t time.Time) error { return l.setDeadline(&l.rdeadline, t) }

// SetWriteDeadline implements link.Link.
func (l *inproc) SetWriteDeadline(t time.Time) error { return l.setDeadline(&l.wdeadline, t) }

func (l *inproc) setDeadline(d *deadline, t time.Time) error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	if !l.ended.Load() {
		d.setTo(t)
	}
	return nil
}

// Hangup implements link.Link.
func (l *inproc) Hangup() { l.end(false) }

// end stops pushing, for good, and wakes everybody.
func (l *inproc) end(closing bool) {
	l.in.Lock()
	if closing {
		l.closed.Store(true)
	}
	first := !l.ended.Load()
	l.ended.Store(true)
	l.in.Unlock()
	if first {
		close(l.done)
	}
	l.rdeadline.stop()
	l.wdeadline.stop()
	l.wakeReader()
}

// Gone implements link.Link.
func (l *inproc) Gone() bool { return l.ended.Load() }

// Close implements link.Link.
func (l *inproc) Close() (unread int, err error) {
	if l.cable.port != nil {
		l.sw.unplug(l.cable, net.ErrClosed)
	}
	l.end(true)
	if l.ring == nil {
		return 0, nil
	}
	l.out.Lock()
	defer l.out.Unlock()
	for {
		var left [maxBatch]*pool.Buffer
		n := l.ring.Pop(left[:])
		if n == 0 {
			return unread, nil
		}
		unread += n
		l.cable.port.out.dropped[outClosed].Add(uint64(n))
		pool.ReleaseBatch(left[:n])
	}
}

// SyscallConn implements link.Link.
func (l *inproc) SyscallConn() (syscall.RawConn, error) {
	return nil, fmt.Errorf("an in-process port has no descriptor: %w", errors.ErrUnsupported)
}
