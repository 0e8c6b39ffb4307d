// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/pool"
)

// A carrier moves frames between the switch and another process. It is a
// [sockio.Socket], or a ringCarrier if the peer offered shared memory.
type carrier interface {
	Send(frames [][]byte, wait bool) (n, calls int, err error)
	SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error)
	AwaitRoom() error
	SetWriteDeadline(t time.Time) error
	Shut()
	Hangup()
	Close() (unread int, err error)
}

// A socketCable is a cable to another process: the control stream, which stays
// silent and whose end is the cable's end, and a carrier of the frames.
//
// Two goroutines serve it. One reads the control stream. The other reads frames
// and forwards them; while it waits on a socket, it holds one buffer. That of
// another cable may do so in its place; see readRings.
type socketCable struct {
	cable
	sw   *Switch
	ctl  *net.UnixConn
	sock carrier
	path string // of our data socket

	agreed bool // each datagram begins with an offload header; not changed once plugged in

	naming func() error // gives the data socket its name, once the port is known

	done    chan struct{} // closed by close
	reading chan struct{} // closed when no more frames are taken from the peer
	taking  sync.Mutex    // held while frames are taken from rings and forwarded
	dead    atomic.Bool   // the peer's socket is gone, or about to: nothing more is sent

	gate chan struct{} // one slot; held by the goroutine that waits for room

	queue   sendQueue
	running sync.WaitGroup // the drainer; added to with queue.mu held
}

var _ outlet = (*socketCable)(nil)

func newSocketCable(sw *Switch, ctl *net.UnixConn, sock carrier, info Cable) *socketCable {
	c := &socketCable{
		sw: sw, ctl: ctl, sock: sock,
		done: make(chan struct{}), reading: make(chan struct{}), gate: make(chan struct{}, 1),
	}
	c.cable.info = info
	c.cable.out = c
	c.cable.ended = func(error) { c.close() }
	return c
}

// plugged implements outlet.
func (c *socketCable) plugged(*cable) error { return c.naming() }

// close releases what the cable holds, and with it ends its goroutines.
func (c *socketCable) close() {
	close(c.done)
	os.Remove(c.path) // the peer has connected, or never will
	// In this order, so that the peer knows before it sends to a socket that is
	// gone; see drainIn.
	c.ctl.Close()
	unread, _ := c.sock.Close()
	c.port.out.dropped[outClosed].Add(uint64(c.queue.close()))
	if unread > 0 {
		// Its sender counts them as sent.
		c.sw.forwarding.RLock()
		c.port.in.frames.Add(uint64(unread))
		c.port.in.dropped[inClosed].Add(uint64(unread))
		c.sw.forwarding.RUnlock()
	}
}

// watch waits for the end of the control stream.
func (c *socketCable) watch() {
	var b [1]byte
	n, err := c.ctl.Read(b[:])
	if n > 0 {
		// Nothing may follow the request. vde_switch takes it for another one
		// and loses its hold on the cable (section 10); here it ends the cable.
		c.sw.serve.late.Add(1)
		err = errLate
	}
	if n == 0 && errors.Is(err, io.EOF) {
		c.drainIn()
	}
	c.hangup(err)
}

// drainIn lets the reader forward what the peer had sent when it ended the
// control stream, and nothing that it may send later.
func (c *socketCable) drainIn() {
	const limit = time.Second // should a port that is sent to keep the reader waiting
	// Sending to a datagram socket that has been closed fails with ECONNREFUSED,
	// and the kernel then also throws away what that socket had sent and we have
	// not read yet.
	c.dead.Store(true)
	timer := time.AfterFunc(limit, func() { c.hangup(io.EOF) })
	defer timer.Stop()
	c.sock.Shut()
	c.sock.Hangup()
	<-c.reading
}

var errLate = errors.New("vswitch: the client sent something after its request")

// headedBatch is the most frames read together from a peer that may send such of
// 64 KiB.
const headedBatch = 16

// read forwards what the peer sends until the cable is closed.
func (c *socketCable) read() {
	switch s := c.sock.(type) {
	case *sockio.Socket:
		c.readSocket(s)
	case *ringCarrier:
		c.readRings(s.End)
	}
}

func (c *socketCable) readSocket(sock *sockio.Socket) {
	const fatal = 16 // errors in a row; one may be left over from something that is over
	var (
		bs      [maxBatch]*pool.Buffer
		windows [maxBatch][]byte
		sizes   [maxBatch]int
		busy    bool // more may follow at once
		failed  int
	)
	p, longest := c.sw.readPool(c.agreed)
	most, ahead := maxBatch, 0
	if c.agreed {
		most, ahead = headedBatch, frame.VNetHeaderLen
	}
	defer close(c.reading)
	defer pool.ReleaseBatch(bs[:])
	for {
		want := 1
		if busy {
			want = most
		} else {
			pool.ReleaseBatch(bs[1:])
		}
		p.GetBatch(bs[:want])
		for i, b := range bs[:want] {
			b.Prepend(ahead)
			windows[i] = b.Bytes()[:ahead+longest]
		}
		n, err := sock.Recv(windows[:want], sizes[:], !busy)
		switch {
		case err == nil:
			failed = 0
		case err == link.ErrEmpty:
			busy = false
			continue
		case errors.Is(err, net.ErrClosed), err == link.ErrDrained:
			return
		default:
			if failed++; failed == fatal {
				c.hangup(err)
				return
			}
			continue
		}
		busy = true
		b := newBatch(c.port)
		b.done = c.done
		for i, size := range sizes[:n] {
			it := &b.items[i]
			it.home, it.size = bs[i], size
			if !c.agreed {
				it.data = windows[i][:min(size, longest)]
				continue
			}
			bs[i].TrimFront(ahead)
			it.setHeaded(windows[i][:min(size, ahead+longest)], size)
		}
		if c.agreed {
			b.keeper = c.sw.largeBuffer + 1
		}
		b.n = n
		b.forward()
		for i := range bs[:n] {
			bs[i] = b.items[i].home // nil if it was handed on
		}
		b.free()
	}
}

// offer implements outlet.
func (c *socketCable) offer(b *batch, items []uint8, as *portConf, give bool) (n int, cause dropCause) {
	if c.dead.Load() {
		return 0, outRefused
	}
	oldest := c.port.conf.Load().Policy == DropOldest
	if !oldest && !c.queue.draining.Load() {
		return c.send(b, items, as)
	}
	q := &c.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.draining.Load() {
		if n, cause = c.send(b, items, as); n == len(items) || cause != outFull {
			return n, cause
		}
	}
	switch {
	case q.closed:
		return n, outClosed
	case !oldest:
		return n, outFull // what was queued under another policy goes first
	}
	ref := b.ref
	if c.queuesHeaded() {
		ref = b.refHeaded
		b.keepHeaded(items[n:], as, give)
	} else {
		b.keep(items[n:], as)
	}
	for _, i := range items[n:] {
		if evicted := q.push(ref(i, as, give), c.port.conf.Load().Queue); evicted != nil {
			evicted.Release()
			c.port.out.dropped[outOldest].Add(1)
		}
	}
	if !q.draining.Load() {
		q.draining.Store(true)
		c.running.Go(c.drain)
	}
	return len(items), outFull
}

// offload implements outlet.
func (c *socketCable) offload() bool {
	if r, ok := c.sock.(*ringCarrier); ok {
		return r.Undone()
	}
	return c.agreed
}

// queuesHeaded reports whether the frames in the queue are behind offload
// headers. Through rings they may be undone at one time and not at another, so
// there they always are.
func (c *socketCable) queuesHeaded() bool {
	_, rings := c.sock.(*ringCarrier)
	return rings || c.agreed
}

// send sends items without waiting.
func (c *socketCable) send(b *batch, items []uint8, as *portConf) (n int, cause dropCause) {
	rings, ok := c.sock.(*ringCarrier)
	if c.agreed || ok && b.undone {
		if c.dead.Load() {
			return 0, outRefused
		}
		msgs := b.gathered(items, as)
		defer b.ungather(msgs)
		var err error
		if ok {
			n, _, err = rings.SendBuffersHeaded(msgs, false)
		} else {
			n, _, err = c.sock.SendBuffers(msgs, false)
		}
		bytes := 0
		for _, m := range msgs[:n] {
			bytes += len(m[1])
		}
		return n, c.sent(n, bytes, err)
	}
	views := b.views[:len(items)]
	for k, i := range items {
		views[k] = b.form(i, as)
	}
	n, cause = c.write(views, false)
	clear(views)
	return n, cause
}

// write sends frames, behind their offload headers if headed, without waiting and
// counts those sent.
func (c *socketCable) write(views [][]byte, headed bool) (n int, cause dropCause) {
	if c.dead.Load() {
		return 0, outRefused
	}
	var err error
	if r, ok := c.sock.(*ringCarrier); ok && headed {
		n, _, err = r.SendHeaded(views, false)
	} else {
		n, _, err = c.sock.Send(views, false)
	}
	bytes := 0
	for _, v := range views[:n] {
		bytes += len(v)
	}
	if headed {
		bytes -= n * frame.VNetHeaderLen
	}
	return n, c.sent(n, bytes, err)
}

// sent counts n frames that were sent and returns what err means for the next.
func (c *socketCable) sent(n, bytes int, err error) (cause dropCause) {
	if n > 0 {
		c.port.out.frames.Add(uint64(n))
		c.port.out.bytes.Add(uint64(bytes))
	}
	if err != nil {
		cause = c.causeOf(err)
	}
	return cause
}

// causeOf returns what a failure to send means for the frame.
func (c *socketCable) causeOf(err error) dropCause {
	var errno syscall.Errno
	errors.As(err, &errno)
	switch {
	case err == link.ErrFull:
		return outFull
	case errors.Is(err, net.ErrClosed):
		return outClosed
	case errno == unix.EMSGSIZE:
		return outTooLong
	case errno == unix.ENOBUFS || errno == unix.ENOMEM:
		return outNoBuffer
	case errno == unix.ECONNREFUSED || errno == unix.ENOTCONN || errno == unix.EPIPE:
		// The peer has closed its data socket, and the kernel has forgotten the
		// connection; or it is about to, and has shut it down for reading. Nothing
		// brings it back.
		c.dead.Store(true)
	}
	return outRefused
}

// await implements outlet.
func (c *socketCable) await(b *batch, left time.Duration) waitResult {
	select {
	case c.gate <- struct{}{}:
	default:
		// Somebody waits here already. His time is not ours.
		start := time.Now()
		alarm := b.alarm(left)
		defer b.silence()
		select {
		case c.gate <- struct{}{}:
			if left != Forever {
				left = max(left-time.Since(start), 1)
			}
		case <-alarm:
			return waitTimeout
		case <-c.done:
			return waitRoom
		case <-b.done:
			return waitAborted
		case <-b.expired:
			return waitAborted
		}
	}
	defer func() { <-c.gate }()
	return c.awaitRoom(left, b.done, b.expired)
}

// patience is how long a sender may be kept from noticing that it should end.
const patience = 20 * time.Millisecond

// awaitRoom waits until the kernel's queue has room again; gate is held. That is
// when three quarters of it are free.
func (c *socketCable) awaitRoom(left time.Duration, done, expired <-chan struct{}) waitResult {
	var until time.Time
	if left != Forever {
		until = time.Now().Add(left)
	}
	if c.sock.SetWriteDeadline(until) != nil {
		return waitRoom // closed: the next send will say so
	}
	if left == Forever || left > patience {
		over, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			select {
			case <-done:
			case <-expired:
			case <-over:
				return
			}
			c.sock.SetWriteDeadline(time.Unix(1, 0))
		}()
		defer func() { close(over); <-ended }()
	}
	err := c.sock.AwaitRoom()
	switch {
	case c.dead.Load():
		return waitRoom // the peer has gone, which is what woke us: the next send will say so
	case err == nil || !errors.Is(err, os.ErrDeadlineExceeded):
		return waitRoom
	case left == Forever || aborting(done, expired):
		return waitAborted
	}
	return waitTimeout
}

// aborting reports whether one of the channels is closed; nil ones are not.
func aborting(done, expired <-chan struct{}) bool {
	select {
	case <-done:
	case <-expired:
	default:
		return false
	}
	return true
}

// queued implements outlet.
func (c *socketCable) queued() int {
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	return c.queue.n
}
