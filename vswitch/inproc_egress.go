// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"time"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/ringbuf"
)

// attached implements egress.
func (l *inproc) attached(e *endpoint) error {
	l.ring = ringbuf.NewSPSC[*pool.Buffer](e.port.conf.Load().Queue)
	return nil
}

// idle implements egress.
func (l *inproc) idle() bool { return l.ring.Len() == 0 }

// queued implements egress.
func (l *inproc) queued() int { return l.ring.Len() }

// offload implements egress.
func (l *inproc) offload() link.Offload {
	if l.takesPartial.Load() {
		return offloadAll
	}
	return 0
}

// offer implements egress.
func (l *inproc) offer(o outgoing) (n int, cause dropCause) {
	conf := l.endpoint.port.conf.Load()
	if conf.blocked && !o.b.probe {
		return 0, outBlocked
	}
	headDrop := conf.Policy == HeadDrop
	over := 0 // the first of so many would only be dropped for the others
	if headDrop {
		if over = max(len(o.items)-l.ring.Cap(), 0); over > 0 {
			l.endpoint.port.outNow().dropped[outHeadDrop].Add(uint64(over))
			o = o.from(over)
		}
	} else {
		// A guess, so that frames for which there is no room need not be copied.
		// Only the reader changes it, and to the better, as long as in is held.
		room := l.ring.Cap() - l.ring.Len()
		if room <= 0 {
			return 0, l.fullCause()
		}
		o = o.first(min(len(o.items), room))
	}
	o.b.keep(o.items, o.as)

	l.in.Lock()
	if l.ended.Load() {
		l.in.Unlock()
		return over, outClosed
	}
	room := l.ring.Cap() - l.ring.Len()
	if headDrop && room < len(o.items) {
		room = l.evict(len(o.items) - room)
	}
	if n = min(len(o.items), room); n > 0 {
		refs := o.b.refs[:n]
		for k := range refs {
			refs[k] = o.b.ref(o.items[k], o.as, o.give)
		}
		if pool.LeakMode {
			pool.AddOwner(l.endpoint.queueOwner(), refs...)
		}
		if l.headers != nil {
			for k := range refs {
				*l.headers.at(l.pushed + uint64(k)) = o.b.header(o.items[k], o.as)
			}
		}
		l.pushed += uint64(n)
		l.ring.Push(refs...)
		clear(refs)
	}
	l.in.Unlock()
	if n > 0 && l.sleeping.Load() {
		l.wakeReader()
	}
	return over + n, l.fullCause()
}

// fullCause returns why a frame does not fit.
func (l *inproc) fullCause() dropCause {
	if l.ended.Load() {
		return outClosed
	}
	return outFull
}

// evict drops n of the oldest frames in the ring, or all if there are fewer, and
// returns how much room there is; in is held.
func (l *inproc) evict(n int) (room int) {
	l.out.Lock()
	defer l.out.Unlock()
	for n > 0 {
		k := l.discard(n)
		if k == 0 {
			break
		}
		l.endpoint.port.outNow().dropped[outHeadDrop].Add(uint64(k))
		n -= k
	}
	return l.ring.Cap() - l.ring.Len()
}

// await implements egress.
func (l *inproc) await(w *waiter, left time.Duration) waitResult {
	l.waiters.Add(1)
	defer l.waiters.Add(-1)
	if l.roomy() {
		return waitRoom
	}
	expired := w.startTimer(left)
	defer w.stopTimer()
	select {
	case <-l.room:
		if l.waiters.Load() > 1 && l.roomy() {
			l.wakeSender() // there may be enough for the next one too
		}
		return waitRoom
	case <-l.stop:
		return waitRoom // to find that nothing is taken any more
	case <-expired:
		return waitTimeout
	case <-w.done:
		return waitAborted
	case <-w.expired:
		return waitAborted
	}
}

// roomy reports whether it is worth while to wake a sender: to do so for each
// frame that is read would have the two take turns.
func (l *inproc) roomy() bool { return l.ring.Len() <= l.ring.Cap()/2 }
