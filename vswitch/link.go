// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"net"
	"time"

	"github.com/go-vde/sdk/link"
)

// A LinkConfig describes a link to be attached.
type LinkConfig struct {
	// Port is the port to attach the link to: 0 for the lowest free one,
	// [Management] for port 0.
	Port int

	// Kind and Description are shown by [Switch.Ports] (default: KindLink, and
	// nothing).
	Kind        Kind
	Description string

	// Uplink says that the link leads to another switch, or may do so: probes are sent
	// there to find loops, unless [PortConfig.LoopProtection] is off.
	Uplink bool

	// UID, GID and PID say who is at the other side (default, with PID 0: this
	// process). A port takes several endpoints only of the same user.
	UID, GID uint32
	PID      int32
}

// An Attachment is a link attached to a switch.
type Attachment struct{ l *linkEndpoint }

// AttachLink attaches l to a port. The switch owns l from then on, also if that
// fails, and closes it when the endpoint ends: when l ends, after what had come
// was forwarded, or by [Attachment.Close], [Switch.Disconnect] or [Switch.Close].
//
// A link that goes down and comes up again, as one of [link.Redial] does, keeps its
// port meanwhile. What is for it while it is down is dropped and counted as Refused, and
// changes are logged.
//
// Unfinished frames are handed to l as they are if its [link.Caps] take them, and
// received from it if they do or if l is shared memory.
func (sw *Switch) AttachLink(l link.Link, cfg LinkConfig) (*Attachment, error) {
	e := newLinkEndpoint(sw, func(*endpoint) (link.Link, error) { return l, nil })
	e.info = Endpoint{Kind: cfg.Kind, Description: cfg.Description, Uplink: cfg.Uplink, Since: time.Now()}
	setDefault(&e.info.Kind, KindLink)
	e.info.setOwner(cfg)
	if err := sw.addEndpoint(&e.endpoint, portRequest(cfg.Port), 1, 0); err != nil {
		_, _ = l.Close()
		return nil, sw.openError(err)
	}
	if s := l.Caps().State; s != nil {
		s.OnChange(e.linkChanged)
		e.linkChanged(s.State()) // it may have changed before
	}
	go e.receive()
	return &Attachment{e}, nil
}

// linkChanged logs a change of a link that goes down and comes up again, once for each
// time that it is down or up.
func (e *linkEndpoint) linkChanged(s link.State) {
	now := linkDown
	if s.Up {
		now = linkUp
	} else if s.Err == nil {
		return // the first attempt is under way
	}
	news := e.logged.Swap(now) != now
	attrs := append(e.logAttrs(), "outage", s.Outage.Round(time.Millisecond), "attempts", s.Attempt)
	switch log := e.sw.cfg.Logger; {
	case s.Up && news:
		log.Info("link up", attrs...)
		e.sw.events.add(e.event(EventLinkUp, nil))
		e.sw.loops.linkUp(e.port)
	case news:
		log.Warn("link down, will be opened again", append(attrs, "reason", s.Err)...)
		e.sw.events.add(e.event(EventLinkDown, s.Err))
	case !s.Up:
		log.Debug("link still down", append(attrs, "reason", s.Err)...)
	}
}

// What the log says of a link.
const (
	linkDown int32 = 1 + iota
	linkUp
)

// Port returns the number of the port.
func (a *Attachment) Port() int { return a.l.port.num }

// ID returns the number of the endpoint, for [Switch.Disconnect].
func (a *Attachment) ID() uint64 { return a.l.info.ID }

// Done returns a channel that is closed when the endpoint has ended, the link is
// closed, and nothing more is forwarded.
func (a *Attachment) Done() <-chan struct{} { return a.l.done }

// Err returns nil until Done is closed and then the reason.
func (a *Attachment) Err() error {
	select {
	case <-a.l.done:
		return a.l.cause
	default:
		return nil
	}
}

// Close detaches the link, closes it and waits until nothing more is forwarded.
func (a *Attachment) Close() error {
	a.l.hangup(net.ErrClosed)
	<-a.l.done
	return nil
}
