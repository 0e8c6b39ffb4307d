// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"time"

	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/ringbuf"
)

// inprocOutlet is the switch's view of an inproc.
type inprocOutlet inproc

var _ outlet = (*inprocOutlet)(nil)

// plugged implements outlet.
func (o *inprocOutlet) plugged(c *cable) error {
	o.ring = ringbuf.NewSPSC[*pool.Buffer](c.port.conf.Load().Queue)
	return nil
}

// queued implements outlet.
func (o *inprocOutlet) queued() int { return o.ring.Len() }

// offer implements outlet.
func (o *inprocOutlet) offer(b *batch, items []uint8, as *portConf, give bool) (n int, cause dropCause) {
	oldest := o.cable.port.conf.Load().Policy == DropOldest
	over := 0 // the first of so many would only be dropped for the others
	if oldest {
		if over = len(items) - o.ring.Cap(); over > 0 {
			o.cable.port.out.dropped[outOldest].Add(uint64(over))
			items = items[over:]
		}
		over = max(over, 0)
	} else {
		// A guess, so that frames for which there is no room need not be copied.
		// Only the reader changes it, and to the better, as long as in is held.
		room := o.ring.Cap() - o.ring.Len()
		if room <= 0 {
			return 0, o.full()
		}
		items = items[:min(len(items), room)]
	}
	agreed := o.offload()
	if agreed {
		b.keepHeaded(items, as, give)
	} else {
		b.keep(items, as)
	}

	o.in.Lock()
	if o.agreed.Load() && !agreed {
		agreed = true
		b.keepHeaded(items, as, give)
	}
	if o.ended.Load() {
		o.in.Unlock()
		return over, outClosed
	}
	room := o.ring.Cap() - o.ring.Len()
	if oldest && room < len(items) {
		room = o.evict(len(items) - room)
	}
	if n = min(len(items), room); n > 0 {
		refs := b.refs[:n]
		if agreed {
			for i := range refs {
				refs[i] = b.refHeaded(items[i], as, give)
			}
		} else {
			for i := range refs {
				refs[i] = b.ref(items[i], as, give)
			}
		}
		o.ring.Push(refs...)
		clear(refs)
	}
	o.in.Unlock()
	if n > 0 && o.sleeping.Load() {
		(*inproc)(o).wakeReader()
	}
	return over + n, o.full()
}

// full returns why a frame does not fit.
func (o *inprocOutlet) full() dropCause {
	if o.ended.Load() {
		return outClosed
	}
	return outFull
}

// evict drops n of the oldest frames in the ring, or all if there are fewer,
// and returns how much room there is; in is held.
func (o *inprocOutlet) evict(n int) (room int) {
	out := &o.cable.port.out
	o.out.Lock()
	defer o.out.Unlock()
	for n > 0 {
		var old [maxBatch]*pool.Buffer
		k := o.ring.Pop(old[:min(n, maxBatch)])
		if k == 0 {
			break
		}
		out.dropped[outOldest].Add(uint64(k))
		pool.ReleaseBatch(old[:k])
		n -= k
	}
	return o.ring.Cap() - o.ring.Len()
}

// await implements outlet.
func (o *inprocOutlet) await(b *batch, left time.Duration) waitResult {
	o.waiters.Add(1)
	defer o.waiters.Add(-1)
	if o.roomy() {
		return waitRoom
	}
	alarm := b.alarm(left)
	defer b.silence()
	select {
	case <-o.room:
		if o.waiters.Load() > 1 && o.roomy() {
			(*inproc)(o).wakeSender() // there may be enough for the next one too
		}
		return waitRoom
	case <-o.done:
		return waitRoom // to find that nothing is taken any more
	case <-alarm:
		return waitTimeout
	case <-b.done:
		return waitAborted
	case <-b.expired:
		return waitAborted
	}
}

// roomy reports whether it is worth while to wake a sender: to do so for each
// frame that is read would have the two take turns.
func (o *inprocOutlet) roomy() bool { return o.ring.Len() <= o.ring.Cap()/2 }

// offload implements outlet.
func (o *inprocOutlet) offload() bool { return o.agreed.Load() }
