// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
)

// monitorPort stands for the number of a port, which monitor sessions have not.
const monitorPort = -1

// A mirror gets copies of what passes at a port: to is a port, or monitor is the
// endpoint of a monitor session.
type mirror struct {
	to      *port
	monitor *endpoint
	session []*endpoint // monitor alone, if it is not nil
}

// endpoints returns the endpoints that get the copies.
func (m *mirror) endpoints() []*endpoint {
	if m.monitor != nil {
		return m.session
	}
	return *m.to.endpoints.Load()
}

// Mirror copies every frame that comes from port src or goes to it to port dst
// also, until Unmirror, whatever VLANs dst is in. A frame that comes from src
// is copied as it came, and even if it is dropped for its VLAN, for security or
// storm control; one that goes to src is copied as it left. Copies never wait,
// and copies are not copied again.
func (sw *Switch) Mirror(src, dst int) error {
	if src == dst {
		return fmt.Errorf("%w: cannot mirror port %d to itself", ErrNoPort, src)
	}
	return sw.changeMirrors(EventMirrored, src, dst, func(list []*mirror, to *port) []*mirror {
		return append(list, &mirror{to: to})
	})
}

// Unmirror undoes Mirror.
func (sw *Switch) Unmirror(src, dst int) error {
	return sw.changeMirrors(EventUnmirrored, src, dst, func(list []*mirror, _ *port) []*mirror { return list })
}

// A MirrorInfo says that frames of one port are copied to another; see [Switch.Mirror].
type MirrorInfo struct{ Src, Dst int }

// Mirrors lists the mirrors by source and destination, without monitor sessions.
func (sw *Switch) Mirrors() []MirrorInfo {
	var list []MirrorInfo
	for _, p := range sw.records() {
		for _, m := range *p.mirrors.Load() {
			if m.to != nil {
				list = append(list, MirrorInfo{p.num, m.to.num})
			}
		}
	}
	slices.SortFunc(list, func(a, b MirrorInfo) int { return cmp.Or(a.Src-b.Src, a.Dst-b.Dst) })
	return list
}

// changeMirrors replaces the mirrors of src by what change makes of those that
// are not dst, and adds an event if there is a change.
func (sw *Switch) changeMirrors(kind EventKind, src, dst int, change func([]*mirror, *port) []*mirror) error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return err
	}
	for _, n := range []int{src, dst} {
		if err := sw.checkPort(n); err != nil {
			return err
		}
	}
	p, to := sw.port(src), sw.port(dst)
	before := *p.mirrors.Load()
	list := slices.DeleteFunc(slices.Clone(before), func(m *mirror) bool { return m.to == to })
	list = change(list, to)
	p.mirrors.Store(&list)
	if len(list) != len(before) {
		sw.events.add(Event{Kind: kind, Port: src, OtherPort: dst})
	}
	return nil
}

// Monitor opens a monitor session (SPAN): a connection on which copies of the
// frames that come from and go to port src can be read, as under
// [Switch.Mirror], until it is closed. It is no port; writing to it fails. When
// the reader is slow, copies are dropped and counted, in Stats.Monitors with those of all
// sessions and in RxMissed of the connection's own Stats.
func (sw *Switch) Monitor(src int, opts ...vde.Option) (*vde.Conn, error) {
	return sw.attach(KindMonitor, opts, func(c *endpoint, _ link.Settings) error {
		sw.mu.Lock()
		defer sw.mu.Unlock()
		if err := sw.check(); err != nil {
			return err
		}
		if err := sw.checkPort(src); err != nil {
			return err
		}
		sw.lastEndpoint++
		c.info.ID = sw.lastEndpoint
		c.port = sw.monitors
		if err := c.egress.attached(c); err != nil {
			return err
		}
		p, m := sw.port(src), &mirror{monitor: c, session: []*endpoint{c}}
		list := append(slices.Clone(*p.mirrors.Load()), m)
		p.mirrors.Store(&list)
		sessions := append(slices.Clone(*sw.monitors.endpoints.Load()), c)
		sw.monitors.endpoints.Store(&sessions)
		return nil
	})
}

// removeMonitor forgets the monitor session c; sw.mu is held.
func (sw *Switch) removeMonitor(c *endpoint) {
	for _, p := range sw.ports {
		list := *p.mirrors.Load()
		if i := slices.IndexFunc(list, func(m *mirror) bool { return m.monitor == c }); i >= 0 {
			list = slices.Delete(slices.Clone(list), i, i+1)
			p.mirrors.Store(&list)
		}
	}
}
