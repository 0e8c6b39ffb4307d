// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"net"
	"os"

	"github.com/go-vde/sdk/internal/link"
)

// deliver hands the items of group, which go to p alone, to p's cables, and
// returns how many were dealt with: all unless b is exact, when err says why not.
func (b *batch) deliver(p *port, group []uint8) (n int, err error) {
	conf := p.conf.Load()
	items := b.members(group, conf)
	cables, mirrors := *p.cables.Load(), *p.mirrors.Load()
	if len(cables) != 1 || len(items) != len(group) || len(b.due(cables[0], items)) != len(items) {
		// Several cables, on which the number of frames taken would differ, or
		// none any more; or p left a VLAN just after a look-up in it, or got
		// another cable.
		if len(items) > 0 {
			b.deliverAll(p, conf, items)
		}
		return len(group), nil
	}
	give := len(mirrors) == 0 && len(b.mirrors) == 0
	n, err = b.deliverTo(cables[0], conf, items, give)
	if len(mirrors) > 0 {
		b.mirror(mirrors, items[:n], conf)
	}
	return n, err
}

// deliverAll hands items to all cables of p.
func (b *batch) deliverAll(p *port, conf *portConf, items []uint8) {
	exact := b.exact
	b.exact = false
	for _, c := range *p.cables.Load() {
		if b.mode == waitTry {
			b.offerAll(c, conf, b.due(c, items))
		} else {
			b.deliverTo(c, conf, b.due(c, items), false)
		}
	}
	b.exact = exact
	if mirrors := *p.mirrors.Load(); len(mirrors) > 0 {
		b.mirror(mirrors, items, conf)
	}
}

// deliverFlood hands those of group that p is to get to p's cables, without
// waiting. In hub mode that is all of them, unchanged.
func (b *batch) deliverFlood(p *port, group []uint8, hub bool) {
	var as *portConf
	items := group
	if !hub {
		as = p.conf.Load()
		if items = b.members(group, as); len(items) == 0 {
			return
		}
	}
	for _, c := range *p.cables.Load() {
		b.offerAll(c, as, b.due(c, items))
	}
	if mirrors := *p.mirrors.Load(); len(mirrors) > 0 {
		b.mirror(mirrors, items, as)
	}
}

// offerAll hands items to c in the form that as asks for and drops what it does
// not take at once.
func (b *batch) offerAll(c *cable, as *portConf, items []uint8) {
	for len(items) > 0 {
		n, cause := c.out.offer(b, items, as, false)
		b.offered(c, n)
		items = items[n:]
		if len(items) > 0 {
			items = items[b.drop(c, items, cause):]
		}
	}
}

// deliverTo hands items to c, waiting for room as the port's policy says, and
// returns how many were dealt with; err is not nil only if b is exact.
func (b *batch) deliverTo(c *cable, conf *portConf, items []uint8, give bool) (n int, err error) {
	last := false // no more waiting
	for n < len(items) {
		k, cause := c.out.offer(b, items[n:], conf, give)
		if k > 0 {
			b.offered(c, k)
			n += k
			if c.misses.Load() > 0 {
				c.misses.Store(0)
			}
		}
		if n == len(items) {
			break
		}
		if cause != outFull || conf.Policy != WaitForRoom {
			n += b.drop(c, items[n:], cause)
			continue
		}
		if b.mode == waitTry {
			if k := b.begun(items[n:]); k > 0 {
				n += b.drop(c, items[n:n+k], outFull)
				continue
			}
			return n, link.ErrFull
		}
		left := Forever
		if conf.Wait != Forever {
			left = conf.Wait - b.waited
			switch {
			case last || left <= 0:
				c.misses.Add(1)
				n += b.drop(c, items[n:], outTimeout)
				continue
			case c.misses.Load() >= maxMisses:
				n += b.drop(c, items[n:], outStalled)
				continue
			}
		}
		switch b.wait(c, left) {
		case waitTimeout:
			last = true
		case waitAborted:
			k := len(items) - n
			if b.exact {
				if k = b.begun(items[n:]); k == 0 {
					return n, b.aborted()
				}
			}
			n += b.drop(c, items[n:n+k], outTimeout)
		}
	}
	return n, nil
}

// aborted returns why the sender does not wait any more.
func (b *batch) aborted() error {
	select {
	case <-b.done:
		return net.ErrClosed
	default:
		return os.ErrDeadlineExceeded
	}
}

// offered counts n copies that c took or queued.
func (b *batch) offered(c *cable, n int) {
	c.port.out.offered.Add(uint64(n))
	b.tally.copies += uint64(n)
}

// drop drops the first of items, which c did not take, and those after it that
// would fare the same, and returns how many.
func (b *batch) drop(c *cable, items []uint8, cause dropCause) int {
	n := len(items)
	if cause == outTooLong {
		n = 1
	}
	out := &c.port.out
	out.offered.Add(uint64(n))
	out.dropped[cause].Add(uint64(n))
	b.tally.copies += uint64(n)
	return n
}
