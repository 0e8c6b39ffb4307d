// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package transport is a VDE connection after its handshake, for the client and
// for the switch alike: a control stream, whose end is the connection's end, and
// a [Transport], which carries the frames. Together they are a [link.Link].
package transport

import (
	"errors"
	"time"

	"github.com/go-vde/sdk/link"
)

// ErrDrained is returned by [Transport.Recv] after Hangup when no frame is left.
var ErrDrained = errors.New("transport: no frame left to receive")

// ErrUnreadable is matched by an error of [Transport.Recv] after which nothing that the
// other side sends can be understood.
var ErrUnreadable = errors.New("transport: what follows cannot be understood")

// A Transport carries frames to and from another process: a datagram socket, or
// rings in shared memory. Its methods are those of [link.Link], but that it does
// not learn by itself that the other side has gone.
type Transport interface {
	Recv(r link.Rx) (n int, err error)
	Send(t link.Tx) (n, calls int, err error)
	AwaitRoom() error
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Close() (unread int, err error)
	Caps() link.Caps

	// Shut refuses what the other side sends from here on. What it sent before
	// can still be received.
	Shut()

	// Hangup ends waiting for good, for pending calls too: Recv delivers what is
	// left and then returns [ErrDrained], Send and AwaitRoom return
	// [os.ErrDeadlineExceeded] instead of waiting. Deadlines set later have no
	// effect. It is idempotent.
	Hangup()
}
