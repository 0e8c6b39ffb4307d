// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"net"

	"github.com/go-vde/sdk/frame"
)

// A Direction is which way a frame went, as its connection sees it.
type Direction uint8

const (
	Received Direction = iota + 1 // from the network
	Sent                          // to the network
)

// String returns "received" or "sent".
func (d Direction) String() string {
	switch d {
	case Received:
		return "received"
	case Sent:
		return "sent"
	}
	return "no direction"
}

// WithTap lets tap see every frame that the connection delivers or has sent:
// those counted in Stats.RxFrames and Stats.TxFrames. f is lent for the call and
// must not be modified. Calls are made by the goroutines that read and write, so
// a slow tap slows them down; two directions, and several writers, may call at
// once. Received frames are seen in order before they are delivered, sent ones
// after the kernel or the in-process peer has taken them, so that an answer may
// be seen first.
//
// After [Conn.EnableOffload] a tap sees frames without their headers: checksums
// may be missing in those it sees, and some be long segments.
//
// Module github.com/go-vde/sdk/capture has a tap that writes pcapng files.
func WithTap(tap func(d Direction, f frame.Frame)) Option {
	return option(func(c *config) { c.tap = tap })
}

// tapSent shows frames to the tap.
func (c *Conn) tapSent(frames [][]byte) {
	if c.tap == nil {
		return
	}
	for _, f := range frames {
		c.tap(Sent, f[c.headerLen():])
	}
}

// tapPieces is tapSent for frames in pieces.
func (c *Conn) tapPieces(frames []net.Buffers) {
	if c.tap == nil {
		return
	}
	var whole []byte
	for _, pieces := range frames {
		whole = whole[:0]
		for _, p := range pieces {
			whole = append(whole, p...)
		}
		c.tap(Sent, whole[c.headerLen():])
	}
}

// tapReceived shows a frame to the tap.
func (c *Conn) tapReceived(f []byte) {
	if c.tap != nil {
		c.tap(Received, f[c.headerLen():])
	}
}
