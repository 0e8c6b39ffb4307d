// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import "github.com/go-vde/sdk/link"

// A ReconnectPolicy says how a connection comes back after its link has ended. The
// zero value tries for ever, with pauses of up to 5 seconds, and lets writes wait.
type ReconnectPolicy = link.RedialPolicy

// A LinkState describes the link of a connection opened with [WithReconnect].
type LinkState = link.State

// WithReconnect keeps the connection alive across the switch's end: it is
// joined again with the same locator and options, which ask for the same port
// if they name one. Reads wait meanwhile, having passed on what the old switch
// had sent, and counters go on. [Conn.Context] ends only when the policy gives
// up, with a cause that matches [ErrHangup], or with Close. Frames that the old
// switch had accepted and not yet forwarded are lost with it; they are in
// Stats.TxFrames, as for every switch that dies.
//
// Hosts behind the connection keep their addresses, but the new switch has to
// learn where they are from what they send next. See [Conn.OnLinkChange].
func WithReconnect(p ReconnectPolicy) Option {
	return option(func(c *config) { c.reconnect = &p })
}

// LinkState returns the state of the link at this moment. A connection opened
// without [WithReconnect] has a link that is up until the connection ends.
func (c *Conn) LinkState() LinkState {
	if s := c.caps.State; s != nil {
		return s.State()
	}
	err := c.link.Err()
	return LinkState{Up: err == nil, Err: err}
}

// OnLinkChange has f called at each change: when the link has ended, after each
// attempt to open another that failed, and when the connection is up again. Calls
// come one after the other, and the connection does not go on reconnecting before
// f has returned; f must not call Close or stop. stop ends the calls, and none is
// under way when it returns.
//
// f is never called by a connection that was opened without [WithReconnect] and
// whose link is not one of [link.Redial] either.
func (c *Conn) OnLinkChange(f func(LinkState)) (stop func()) {
	if s := c.caps.State; s != nil {
		return s.OnChange(f)
	}
	return func() {}
}
