// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"errors"
	"net"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/framequeue"
)

var (
	// ErrFull is returned by [Link.Send] with NoWait at a full queue.
	ErrFull = framequeue.ErrFull

	// ErrEmpty is returned by [Link.Recv] with NoWait when no frame has come.
	ErrEmpty = framequeue.ErrEmpty

	// ErrDown is returned by [Link.Send] with NoWait, or with
	// RedialPolicy.FailWrites, while a link made by [Redial] is down.
	ErrDown = errors.New("the link is down, reconnecting")

	// ErrHangup is the reason of an end that the other side decided on.
	// Err of a link that ends so matches it.
	ErrHangup = errors.New("connection closed by peer")

	// ErrViolation is the reason of an end because the other side broke the
	// rules of memory that both sides can write. It does not match [ErrHangup].
	ErrViolation = errors.New("the peer broke the rules of shared memory")
)

// A Link carries Ethernet frames between this program and a network: a port of a
// switch, a tap device, a tunnel.
//
// Recv, and AwaitRoom, are called by one goroutine at a time each. Everything
// else may be called at any time by any goroutine. A send that does not wait
// never queues behind one that waits.
//
// Errors are bare, without the name of an operation: [net.ErrClosed] after Close,
// [os.ErrDeadlineExceeded], [ErrFull], [ErrEmpty], the result of Err after the
// end, or the failure itself, which concerns one frame and leaves the link usable.
type Link interface {
	// Recv waits for a frame and then receives as many as have come and r has
	// room for. err is non-nil only if n is 0. After the end it delivers what
	// had come before, then fails with the result of Err.
	Recv(r Rx) (n int, err error)

	// Send sends frames in order and waits while the queue is full. n counts
	// frames; calls counts the transfers, such as system calls, that took at
	// least one. If fewer than all were sent, err says why frame n was not.
	Send(t Tx) (n, calls int, err error)

	// AwaitRoom waits until the queue may have room for more frames, or until
	// the write deadline.
	AwaitRoom() error

	// SetReadDeadline bounds pending and later Recv calls; the zero time means
	// no bound. After the end it has no effect, after Close it fails.
	SetReadDeadline(t time.Time) error

	// SetWriteDeadline is SetReadDeadline for Send and AwaitRoom.
	SetWriteDeadline(t time.Time) error

	// Done returns a channel that is closed when the other side has ended the
	// link, or the link has failed for good; Close need not close it. From then
	// on Send and AwaitRoom fail instead of waiting.
	Done() <-chan struct{}

	// Err returns nil until Done is closed and then the reason. If Recv or Send has returned
	// the reason, Err does too.
	Err() error

	// Close releases the link and wakes every call. unread is the number of
	// frames that had come and were not received. Calls after the first return
	// 0 and nil.
	Close() (unread int, err error)

	// Caps returns what the link can do at this moment.
	Caps() Caps
}

// An Rx says where Recv puts frames. Its slices are lent for the call.
type Rx struct {
	// Bufs receive the frames: frame i is copied to the front of Bufs[i].
	Bufs [][]byte

	// Sizes[i] is set to the length of frame i in bytes, more than len(Bufs[i])
	// if its end was cut off. There are at least as many as Bufs.
	Sizes []int

	// Headers, if not nil, says that the caller takes GSO frames of TCP and partial
	// checksums: Headers[i] is set to the metadata of frame i, which has been
	// checked against the frame. There are at least as many as Bufs. With nil
	// the link completes checksums and segments GSO frames itself. A link may
	// tell the other side at the first Recv with Headers.
	Headers []frame.VNetHeader

	// USO says that the caller with Headers takes GSO frames of UDP too. Without
	// it the link segments those.
	USO bool

	// NoWait makes Recv return [ErrEmpty] instead of waiting, whatever the
	// deadline.
	NoWait bool
}

// A Tx is frames to send, whole or in pieces. Its slices and the bytes are lent
// for the call and not modified.
type Tx struct {
	// Frames are whole frames. At most one of Frames and Pieces is not nil.
	Frames [][]byte

	// Pieces are frames each given in pieces, which together are the frame.
	Pieces []net.Buffers

	// Headers, if not nil, holds the metadata of each frame, which the caller
	// has checked against the frame. Partial ones may only be sent to a link
	// whose Caps take them.
	Headers []frame.VNetHeader

	// NoWait makes Send return [ErrFull] instead of waiting, whatever the
	// deadline.
	NoWait bool
}

// Len returns the number of frames.
func (t *Tx) Len() int { return len(t.Frames) + len(t.Pieces) }

// Size returns the length of frame i in bytes.
func (t *Tx) Size(i int) (n int) {
	if t.Pieces == nil {
		return len(t.Frames[i])
	}
	for _, p := range t.Pieces[i] {
		n += len(p)
	}
	return n
}

// Header returns the metadata of frame i.
func (t *Tx) Header(i int) (h frame.VNetHeader) {
	if t.Headers != nil {
		h = t.Headers[i]
	}
	return h
}

// From returns t without its first n frames.
func (t *Tx) From(n int) Tx {
	rest := *t
	if t.Pieces == nil {
		rest.Frames = t.Frames[n:]
	} else {
		rest.Pieces = t.Pieces[n:]
	}
	if t.Headers != nil {
		rest.Headers = t.Headers[n:]
	}
	return rest
}
