// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"context"
	"net"
	"os"
	"time"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
)

// Attach connects the calling process to the switch, to the port that
// [vde.WithPort] asks for or the lowest free one. The connection's frames move
// through memory: the goroutine that writes forwards, without a system call where
// the destination is in-process too.
//
// Errors are those of [vde.Open]: a [*net.OpError] that matches, for example,
// [vde.ErrSwitchFull] as well as [ErrNoFreePort].
//
// A frame received through Frames is the very buffer that the switch holds. If
// it was flooded or mirrored, other in-process ports have the same one, so the
// bytes of a received Frame must be copied before they are changed. The read
// methods copy.
//
// A write returns when the switch has taken the frames. Whether that can take
// time depends on the ports they are for; see [Policy]. Only a frame for a single
// port can make it wait. TryWriteBatch stops, with [vde.ErrFull], at a frame for a
// port whose queue is full and whose policy is [Backpressure]. Frames that a drop
// policy drops, and those flooded, count as sent here and as dropped there. So do
// the segments of a GSO frame that there is no room for, once its first segment
// has been taken.
//
// The options about sockets have no effect; neither has [vde.WithWriteBuffer],
// because frames wait at their destination.
func (sw *Switch) Attach(opts ...vde.Option) (*vde.Conn, error) {
	return sw.attach(KindInProcess, opts, func(e *endpoint, s link.Settings) error {
		return sw.addEndpoint(e, portRequest(s.Port), 1, 0)
	})
}

// OpenLink is [Switch.Attach] for programs that use package link: it returns the link
// that a Conn would stand on. Of the settings Description and Port have an effect.
// Errors are bare.
func (sw *Switch) OpenLink(s link.Settings) (link.Link, error) {
	l := newInproc(sw, KindInProcess)
	l.describe(s)
	if err := sw.addEndpoint(l.endpoint, portRequest(s.Port), 1, 0); err != nil {
		_, _ = l.Close() // nothing has come
		return nil, err
	}
	return l, nil
}

// portRequest returns the argument of addEndpoint for a port as users give it.
func portRequest(n int) int {
	switch {
	case n == 0:
		return anyPort
	case n < 0:
		return 0
	}
	return n
}

// attach makes an in-process connection and calls add for its endpoint.
func (sw *Switch) attach(kind Kind, opts []vde.Option, add func(*endpoint, link.Settings) error) (*vde.Conn, error) {
	settings, err := vde.Settings(opts...)
	if err != nil {
		return nil, sw.openError(err)
	}
	l := newInproc(sw, kind)
	l.describe(settings)
	addr := sw.addr()
	conn, err := vde.NewConn(context.Background(), l, append(opts[:len(opts):len(opts)], vde.WithName(string(addr)))...)
	if err != nil {
		return nil, err
	}
	l.conn = conn
	if err := add(l.endpoint, settings); err != nil {
		conn.Close()
		return nil, sw.openError(err)
	}
	return conn, nil
}

// describe fills in what is shown of the endpoint.
func (l *inproc) describe(s link.Settings) {
	e := l.endpoint
	e.info.Description, e.info.Since = s.Description, time.Now()
	e.info.setOwner(LinkConfig{})
}

// setOwner fills in who is at the other side.
func (e *Endpoint) setOwner(cfg LinkConfig) {
	e.UID, e.GID, e.PID = cfg.UID, cfg.GID, cfg.PID
	if cfg.PID == 0 {
		e.UID, e.GID, e.PID = uint32(max(os.Geteuid(), 0)), uint32(max(os.Getegid(), 0)), int32(os.Getpid())
	}
}

// A switchAddr is the local address of in-process ports.
type switchAddr string

func (a switchAddr) Network() string { return "vde" }
func (a switchAddr) String() string  { return string(a) }

func (sw *Switch) addr() switchAddr { return switchAddr("vswitch://" + sw.cfg.Name) }

// openError returns err as vde.Open would.
func (sw *Switch) openError(err error) error {
	return &net.OpError{Op: "open", Net: "vde", Addr: sw.addr(), Err: err}
}
