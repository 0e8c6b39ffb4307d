// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/pool"
)

// A frameSocket moves batches of frames: a data socket, or the rings that take
// its place. The methods are those of [sockio.Socket].
type frameSocket interface {
	frameSender
	Recv(bufs [][]byte, sizes []int, wait bool) (n int, err error)
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Hangup()
	Close() (unread int, err error)
}

// A frameSender is the sending half of it.
type frameSender interface {
	Send(frames [][]byte, wait bool) (n, calls int, err error)
	SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error)
}

// A socketLink carries frames to a switch that was joined by the VDE protocol.
type socketLink struct {
	frameSocket
	rings *ringSocket // the same if it is one, else nil
	ctl   *os.File    // silent; its end-of-file is the connection's end

	broken atomic.Pointer[error] // why the rings are of no more use, before ctl's reader is woken for it

	offload bool // the other side agreed: each datagram begins with an offload header
	offloading

	// early holds the frames that the switch sent before our data socket was
	// connected to it, until they are received; then it is nil for good.
	early atomic.Pointer[[][]byte]

	// Of RecvBuffers, which one goroutine calls:
	windows [readBatch][]byte // the buffers' bytes
	busy    bool              // the last receive brought something
}

var _ link.Link = (*socketLink)(nil)

// link makes the link of a finished join.
func (j *joined) link() *socketLink {
	l := &socketLink{frameSocket: j.data, ctl: j.ctl, offload: j.offload}
	if r, ok := j.data.(*ringSocket); ok {
		l.rings = r
		r.OnBreak(func(err error) {
			l.broken.Store(&err)
			l.leave()
		})
	}
	if len(j.early) > 0 {
		l.early.Store(&j.early)
	}
	return l
}

// leave ends the control stream for both sides, while the link may still be in
// use: watch notices, and the switch frees the port.
func (l *socketLink) leave() {
	raw, err := l.ctl.SyscallConn()
	if err != nil {
		return // closed
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) }) // likewise
}

// conn makes the Conn of a finished join.
func (j *joined) conn(ctx context.Context, vnl string, cfg *config) *Conn {
	l := j.link()
	c := newConn(ctx, l, vnl, cfg)
	c.stats.rxEarly.Store(uint64(j.strangers))
	c.running.Go(func() { l.watch(c.end) })
	return c
}

// watch waits for the end of the control stream, the only sign that the switch
// has gone: a reader of a connected datagram socket is never told.
func (l *socketLink) watch(end func(error)) {
	var b [64]byte
	for {
		// The protocol leaves the stream silent after the reply; whatever a
		// switch says nonetheless means nothing.
		if _, err := l.ctl.Read(b[:]); err != nil {
			cause := ErrHangup
			if broken := l.broken.Load(); broken != nil {
				cause = *broken
			}
			end(cause) // after Close this changes nothing any more
			return
		}
	}
}

func (l *socketLink) Recv(bufs [][]byte, sizes []int) (n int, err error) {
	return l.receive(bufs, sizes, true)
}

// datagrams receives what the other side sent, as it is. Without wait it returns
// link.ErrEmpty if there is nothing.
func (l *socketLink) datagrams(bufs [][]byte, sizes []int, wait bool) (n int, err error) {
	if early := l.early.Load(); early != nil {
		return l.recvEarly(early, bufs, sizes)
	}
	return l.frameSocket.Recv(bufs, sizes, wait)
}

// recvEarly is datagrams from the early ones.
func (l *socketLink) recvEarly(early *[][]byte, bufs [][]byte, sizes []int) (n int, err error) {
	for ; n < min(len(bufs), len(sizes), len(*early)); n++ {
		copy(bufs[n], (*early)[n])
		sizes[n] = len((*early)[n])
	}
	var rest *[][]byte
	if n < len(*early) {
		r := (*early)[n:]
		rest = &r
	}
	if !l.early.CompareAndSwap(early, rest) {
		return 0, net.ErrClosed // and Close has counted them
	}
	return n, nil
}

// RecvBuffers waits with one buffer in hand and asks for a full batch only as
// long as frames keep coming, so that an idle connection holds one buffer.
func (l *socketLink) RecvBuffers(p *pool.Pool, bs []*pool.Buffer, sizes []int) (n int, err error) {
	bs = bs[:min(len(bs), len(sizes), readBatch)]
	for {
		wait := !l.busy || l.early.Load() != nil
		use := bs
		if wait {
			use = bs[:1]
		}
		p.GetBatch(use)
		windows := pool.Windows(l.windows[:], use)
		n, err = l.receive(windows, sizes, wait)
		for i, b := range use[:n] {
			b.SetLen(min(sizes[i], len(windows[i])))
		}
		clear(windows)
		l.busy = n > 0
		if err != link.ErrEmpty {
			return n, err
		}
		pool.ReleaseBatch(bs[1:])
	}
}

func (l *socketLink) Gone() bool {
	raw, err := l.ctl.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		gone = n == 0 && err == nil || err != nil && err != unix.EAGAIN && err != unix.EINTR
	})
	return gone || err != nil
}

func (l *socketLink) Close() (unread int, err error) {
	unread, err = l.frameSocket.Close()
	if early := l.early.Swap(nil); early != nil {
		unread += len(*early)
	}
	unread += l.undo.close()
	// The switch forgets the port when this stream ends.
	if e := l.ctl.Close(); err == nil {
		err = e
	}
	return unread, err
}

func (l *socketLink) SyscallConn() (syscall.RawConn, error) {
	if s, ok := l.frameSocket.(*sockio.Socket); ok {
		return s.RawConn(), nil
	}
	return nil, fmt.Errorf("frames go through shared memory; WithSharedMemory(SharedMemoryNever) has them go through a socket: %w", errors.ErrUnsupported)
}

func (l *socketLink) sharedMemory() bool { return l.rings != nil }
