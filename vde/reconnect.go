// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// ErrDown is returned by writes that may not wait while a connection opened
// with [WithReconnect] has no switch.
var ErrDown = errors.New("vde: the link is down, reconnecting")

// A ReconnectPolicy says how a connection comes back after the switch has ended
// it. The zero value tries for ever, with pauses of up to 5 seconds, and lets
// writes wait.
type ReconnectPolicy struct {
	// MinDelay and MaxDelay bound the pauses between attempts (defaults, for 0,
	// 50 milliseconds and 5 seconds). The pause doubles from one to the other;
	// each is shortened by a random part of up to a half, so that the stations
	// of a switch do not come back all at once.
	MinDelay, MaxDelay time.Duration

	// MaxAttempts and MaxOutage are when to give up: after so many failed
	// attempts in a row, or when the outage has lasted so long. 0 is never.
	MaxAttempts int
	MaxOutage   time.Duration

	// FailWrites makes writes fail with [ErrDown] during an outage, counted in
	// Stats.TxRefused. Without it they wait, until the write deadline or Close;
	// TryWriteBatch, which never waits, fails in any case.
	FailWrites bool
}

// WithReconnect keeps the connection alive across the switch's end: it is
// joined again with the same locator and options, which ask for the same port
// if they name one. Reads wait meanwhile, having passed on what the old switch
// had sent, and counters go on. [Conn.Context] ends only when the policy gives
// up, with a cause that matches [ErrHangup], or with Close. Frames that the old
// switch had accepted and not yet forwarded are lost with it; they are in
// Stats.TxFrames, as for every switch that dies.
//
// Stations behind the connection keep their addresses, but the new switch has
// to learn where they are: what they send next tells it. See
// [Conn.OnLinkChange].
func WithReconnect(p ReconnectPolicy) Option {
	return option(func(c *config) { c.reconnect = &p })
}

// withDefaults fills in the defaults, or tells what is wrong with p.
func (p ReconnectPolicy) withDefaults() (ReconnectPolicy, error) {
	if p.MinDelay == 0 {
		p.MinDelay = 50 * time.Millisecond
	}
	if p.MaxDelay == 0 {
		p.MaxDelay = max(5*time.Second, p.MinDelay)
	}
	if p.MinDelay < 0 || p.MaxDelay < p.MinDelay || p.MaxAttempts < 0 || p.MaxOutage < 0 {
		return p, fmt.Errorf("WithReconnect(%+v): give 0 < MinDelay <= MaxDelay, and nothing negative", p)
	}
	return p, nil
}

// delay returns the pause before the given attempt, counted from 1.
func (p ReconnectPolicy) delay(attempt int) time.Duration {
	d := p.MinDelay
	for ; attempt > 1 && d < p.MaxDelay; attempt-- {
		d *= 2
	}
	d = min(d, p.MaxDelay)
	return d - time.Duration(rand.Int64N(int64(d)/2+1))
}

// spent returns whether to give up after so many failed attempts and so long an
// outage.
func (p ReconnectPolicy) spent(attempts int, outage time.Duration) bool {
	return p.MaxAttempts > 0 && attempts >= p.MaxAttempts || p.MaxOutage > 0 && outage >= p.MaxOutage
}

// A LinkState tells of a change in a connection opened with [WithReconnect].
type LinkState struct {
	Up      bool
	Attempt int           // to reconnect, counted from 1: the one that failed or succeeded; 0 when the link has just gone down
	Err     error         // why it is down: ErrHangup, ErrSharedMemory, or what the attempt failed with; nil if Up
	Outage  time.Duration // since the link went down
}

// OnLinkChange lets f be called at each change: when the switch has gone, after
// each attempt that failed, and when the connection is up again. Calls come one
// after the other, and until f has returned the connection does not go on
// reconnecting; f must not call Close or stop. stop ends the calls, and none is
// under way when it returns.
//
// A connection opened without [WithReconnect] never calls f.
func (c *Conn) OnLinkChange(f func(LinkState)) (stop func()) {
	if l, ok := c.link.(changing); ok {
		return l.onChange(f)
	}
	return func() {}
}

// Reconnects reports whether c was opened with [WithReconnect].
func (c *Conn) Reconnects() bool {
	_, ok := c.link.(changing)
	return ok
}

// changing is a link that goes down and comes up again.
type changing interface {
	onChange(func(LinkState)) (stop func())
}
