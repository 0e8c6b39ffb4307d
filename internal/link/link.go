// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package link is the seam between a [vde.Conn] and what carries its frames.
//
// A Conn brings deadlines' meaning, Frames, the context, errors and counters; a
// [Link] brings the bytes: a datagram socket to a switch, or a port inside the
// process. Package vde makes socket links itself; package vswitch, which stands
// on vde, makes in-process ones and turns them into Conns through [Attach].
//
// [vde.Conn]: https://pkg.go.dev/github.com/go-vde/sdk/vde#Conn
//
// [frame.VNetHeader]: https://pkg.go.dev/github.com/go-vde/sdk/frame#Offload
package link

import (
	"errors"
	"net"
	"syscall"
	"time"

	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/pool"
)

var (
	// ErrFull is what a send that must not wait returns at a full queue.
	ErrFull = errors.New("link: queue is full")

	// ErrEmpty is what a receive that must not wait returns when nothing is
	// there.
	ErrEmpty = errors.New("link: nothing to receive now")

	// ErrDrained is what a receive returns after [Link.Hangup] once nothing is
	// left to deliver.
	ErrDrained = errors.New("link: nothing left to receive")
)

// A Link moves batches of frames between a Conn and one port of a network.
//
// Receives are called one at a time. Everything else may be called at any time
// from any goroutine. Errors are bare: [net.ErrClosed] after Close,
// [os.ErrDeadlineExceeded], ErrFull, ErrDrained, or the failure itself.
type Link interface {
	// Recv waits for a frame, then copies as many as there are, at most
	// len(bufs), to the fronts of bufs; sizes[i] is frame i's own length, more
	// than len(bufs[i]) if its end was cut. len(sizes) >= len(bufs).
	// err is non-nil only if n is 0.
	Recv(bufs [][]byte, sizes []int) (n int, err error)

	// RecvBuffers is Recv into bs, transferring one reference to each of the
	// first n elements, whose windows are the frames. Elements that are nil are
	// taken from p; a link that has frames in buffers already hands those over
	// instead. Non-nil elements beyond n stay the caller's. sizes is as in Recv.
	RecvBuffers(p *pool.Pool, bs []*pool.Buffer, sizes []int) (n int, err error)

	// Send sends frames in order. With wait it waits for room; without it stops
	// with ErrFull, whatever the deadline. n counts frames, calls the transfers
	// they took (system calls, or pushes onto a ring) that moved at least one.
	// If n < len(frames), err says why frames[n] was not sent. Frames are lent.
	Send(frames [][]byte, wait bool) (n, calls int, err error)

	// SendBuffers is Send with each frame in pieces.
	SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error)

	// SetReadDeadline and SetWriteDeadline bound pending and later waits.
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error

	// Hangup ends waiting for good, for pending calls too: receives deliver
	// what is left and then return ErrDrained; sends fail instead of waiting.
	// Deadlines set later have no effect. It is idempotent.
	Hangup()

	// Gone reports whether the other side has already ended the connection,
	// even if Hangup has not been called yet.
	Gone() bool

	// Close releases the link and wakes every call. unread is the number of
	// frames that had been received but not handed to the Conn.
	Close() (unread int, err error)

	// EnableOffload makes each frame, in both directions and from the next call
	// on, begin with an offload header, a [frame.VNetHeader] of 10 bytes, which
	// sizes include. Frames to send agree with theirs; received ones may not. A
	// link whose other side has not agreed finishes such frames itself before
	// they leave, and gives a zero header with those it receives. It cannot be
	// undone.
	//
	// A link whose other side may have agreed to take such frames as they are
	// also has a method OffloadAgreed() bool, which says whether it has.
	EnableOffload()

	// SyscallConn gives access to the descriptor that carries frames, or an
	// error matching [errors.ErrUnsupported] where there is none.
	SyscallConn() (syscall.RawConn, error)
}

// Settings are what vde's options ask of a link.
type Settings struct {
	Description  string // as it appears in the port list, suffix included
	Port         wire.Port
	MaxFrameSize int // bytes, Ethernet header included
	WriteBuffer  int // bytes; 0 for the default
}

// An Attached is what [Attach] gives back to the maker of a link.
type Attached struct {
	Conn any               // the *vde.Conn
	End  func(cause error) // to be called once when the other side ends; never blocks
}

// Attach makes a *vde.Conn of the link that open returns for the settings in
// opts, a []vde.Option; name is the Conn's local address. Package vde sets it:
// this package cannot import vde, and vde exports nothing that only a sibling
// package may call.
var Attach func(name string, opts any, open func(Settings) (Link, error)) (Attached, error)
