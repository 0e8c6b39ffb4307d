// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"fmt"
	"strings"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// A Direction is which way a frame went, as its connection sees it.
type Direction uint8

const (
	Received Direction = iota + 1 // from the network
	Sent                          // to the network
)

var directionNames = [...]string{Received: "received", Sent: "sent"}

// String returns "received" or "sent".
func (d Direction) String() string {
	if d != Received && d != Sent {
		return fmt.Sprintf("Direction(%d)", uint8(d))
	}
	return directionNames[d]
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (d Direction) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (d *Direction) UnmarshalText(b []byte) error {
	for i, name := range directionNames {
		if name != "" && string(b) == name {
			*d = Direction(i)
			return nil
		}
	}
	return fmt.Errorf("unknown direction %q, want one of %s", b, strings.Join(directionNames[1:], ", "))
}

// WithFrameHook has hook called with every frame that the connection delivers or
// has sent: those counted in Stats.RxFrames and Stats.TxFrames. f is lent for the
// call and must not be modified. Calls are made by the goroutines that read and
// write, so a slow hook slows them down; two directions, and several writers, may
// call at once. Received frames are seen in order before they are delivered, sent
// ones after the kernel or the in-process peer has taken them, so that an answer
// may be seen first.
//
// The frames of [Conn.ReadPackets] and [Conn.WritePackets] are seen without their
// headers: a checksum may be partial, and a frame a long GSO frame.
//
// Module github.com/go-vde/sdk/capture has a hook that writes pcapng files.
func WithFrameHook(hook func(d Direction, f frame.Frame)) Option {
	return option(func(c *config) { c.hook = hook })
}

// hookSent shows the first n frames of t to the hook.
func (c *Conn) hookSent(t *link.Tx, n int) {
	if c.hook == nil {
		return
	}
	if t.Pieces == nil {
		for _, f := range t.Frames[:n] {
			c.hook(Sent, f)
		}
		return
	}
	var whole []byte
	for _, pieces := range t.Pieces[:n] {
		whole = whole[:0]
		for _, p := range pieces {
			whole = append(whole, p...)
		}
		c.hook(Sent, whole)
	}
}

// hookReceived shows a frame to the hook.
func (c *Conn) hookReceived(f []byte) {
	if c.hook != nil {
		c.hook(Received, f)
	}
}
