// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/vde"
)

// tapPort stands for the number of a port where taps have none.
const tapPort = -1

// errTap is the error of writing to a tap.
var errTap = errors.New("vswitch: a tap does not send")

// A mirror gets copies of what passes at a port: to is a port, or the cable of a
// tap.
type mirror struct {
	to  *port
	tap *cable
}

// Mirror copies every frame that comes from port src or goes to it to port dst
// also, until Unmirror, whatever VLANs dst is in. A frame that comes from src
// is copied as it came, and even if it is dropped for its VLAN, for security or
// storm control; one that goes to src is copied as it left. Copies never wait,
// and copies are not copied again.
func (sw *Switch) Mirror(src, dst int) error {
	if src == dst {
		return fmt.Errorf("%w: cannot mirror port %d to itself", ErrPort, src)
	}
	return sw.changeMirrors(src, dst, func(list []*mirror, to *port) []*mirror {
		return append(list, &mirror{to: to})
	})
}

// Unmirror undoes Mirror.
func (sw *Switch) Unmirror(src, dst int) error {
	return sw.changeMirrors(src, dst, func(list []*mirror, _ *port) []*mirror { return list })
}

// changeMirrors replaces the mirrors of src by what change makes of those that
// are not dst.
func (sw *Switch) changeMirrors(src, dst int, change func([]*mirror, *port) []*mirror) error {
	sw.mu.Lock()
	defer sw.mu.Unlock()
	if err := sw.check(); err != nil {
		return err
	}
	for _, n := range []int{src, dst} {
		if n < 0 || n > sw.cfg.NumPorts {
			return fmt.Errorf("%w: %d, there are 0 to %d", ErrPort, n, sw.cfg.NumPorts)
		}
	}
	p, to := sw.port(src), sw.port(dst)
	list := slices.DeleteFunc(slices.Clone(*p.mirrors.Load()), func(m *mirror) bool { return m.to == to })
	list = change(list, to)
	p.mirrors.Store(&list)
	return nil
}

// Tap returns a connection on which copies of the frames that come from and go
// to port src can be read, as under [Switch.Mirror], until it is closed. It is
// no port; writing to it fails. When the reader is slow, copies are dropped and
// counted in Stats.Taps.
func (sw *Switch) Tap(src int, opts ...vde.Option) (*vde.Conn, error) {
	var m *mirror
	var p *port
	c, err := sw.attach(KindTap, opts, func(c *cable, _ link.Settings) error {
		sw.mu.Lock()
		defer sw.mu.Unlock()
		if err := sw.check(); err != nil {
			return err
		}
		if src < 0 || src > sw.cfg.NumPorts {
			return fmt.Errorf("%w: %d, there are 0 to %d", ErrPort, src, sw.cfg.NumPorts)
		}
		sw.lastCable++
		c.info.ID = sw.lastCable
		c.port = sw.taps
		if err := c.out.plugged(c); err != nil {
			return err
		}
		p, m = sw.port(src), &mirror{tap: c}
		list := append(slices.Clone(*p.mirrors.Load()), m)
		p.mirrors.Store(&list)
		cables := append(slices.Clone(*sw.taps.cables.Load()), c)
		sw.taps.cables.Store(&cables)
		return nil
	})
	return c, err
}

// removeTap forgets the tap c; sw.mu is held.
func (sw *Switch) removeTap(c *cable) {
	for _, p := range sw.ports {
		list := *p.mirrors.Load()
		if i := slices.IndexFunc(list, func(m *mirror) bool { return m.tap == c }); i >= 0 {
			list = slices.Delete(slices.Clone(list), i, i+1)
			p.mirrors.Store(&list)
		}
	}
}

// mirror copies items to mirrors, in the form that as asks for; sw.forwarding is
// held for reading.
func (b *batch) mirror(mirrors []*mirror, items []uint8, as *portConf) {
	if len(items) == 0 {
		return
	}
	for _, m := range mirrors {
		if m.tap != nil {
			b.mirrorTo(m.tap, items, as)
			continue
		}
		for _, c := range *m.to.cables.Load() {
			b.mirrorTo(c, items, as)
		}
	}
}

func (b *batch) mirrorTo(c *cable, items []uint8, as *portConf) {
	items = b.due(c, items)
	c.port.out.mirrored.Add(uint64(len(items)))
	b.offerAll(c, as, items)
}

// whole returns those of the first n items that are whole frames.
func (b *batch) whole(n int) []uint8 {
	group := b.group[:0]
	for i := range b.items[:n] {
		if b.isWhole(&b.items[i]) {
			group = append(group, uint8(i))
		}
	}
	return group
}

// isWhole reports whether it is a whole frame, and what it claims to be.
func (b *batch) isWhole(it *item) bool {
	switch {
	case it.size < frame.HeaderLen || it.size > len(it.data):
		return false
	case it.way == wayDrop && (it.cause == inGiant || it.cause == inOffload):
		return false
	}
	return true
}
