// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"
)

// meet calls a and b at about the same moment, each in a goroutine of its own, and
// then check; so many times, or fewer if they take long, which they do if the
// processors are busy.
func meet(times int64, a, b func(), check func() (ok bool)) {
	var begun, done, last atomic.Int64
	last.Store(times)
	go func() {
		for i := int64(1); i <= last.Load(); i++ {
			spinUntil(&begun, i)
			b()
			done.Store(i)
		}
	}()
	for i, start := int64(1), time.Now(); i <= last.Load(); i++ {
		if time.Since(start) > 5*time.Second {
			last.Store(i)
		}
		begun.Store(i)
		for range i % 256 {
		}
		a()
		spinUntil(&done, i)
		if !check() {
			return
		}
	}
}

// spinUntil waits until v is at least n.
func spinUntil(v *atomic.Int64, n int64) {
	for spins := 0; v.Load() < n; spins++ {
		if spins > 1000 {
			runtime.Gosched()
		}
	}
}

// fallAsleep has one side fall asleep, unless it sees what the other one does at that
// moment and then, unless it sees that the first one sleeps, leaves it asleep: one of
// them sees the other. again makes everything as it was.
func fallAsleep(t *testing.T, flag *atomic.Uint32, sees func() bool, do, again func()) {
	t.Helper()
	var saw, rings bool
	meetings := int64(200_000)
	if testing.Short() {
		meetings = 20_000
	}
	meet(meetings, func() { saw = sees() }, func() { do(); rings = flag.Load() != 0 }, func() bool {
		if !saw && !rings {
			t.Error("sleeps, and the other side does not ring")
		}
		again()
		flag.Store(0)
		return !t.Failed()
	})
}

// exchanger puts short frames into a ring and takes them out again.
type exchanger struct {
	p *producer
	c *consumer
}

func (x exchanger) put() {
	x.p.put(&short, 0, len(short.Frames[0]))
	if ok, err := x.p.publish(); !ok || err != nil {
		panic("not published")
	}
}

func (x exchanger) take() {
	if ok, _ := x.c.ready(); !ok {
		panic("no frame")
	}
	x.c.take(nil, len(short.Frames[0]))
	x.c.release()
}

// TestFallAsleep checks that no wake-up is lost between two sides of a ring.
func TestFallAsleep(t *testing.T) {
	peer, e := newPair(t, 64)
	x := exchanger{&peer.tx.ring, &e.rx.ring}
	fallAsleep(t, x.c.frameWakeup, e.rx.frameCame, x.put, x.take)
	for range x.p.size()/2/slotLen(len(short.Frames[0])) + 1 { // half the ring is not free
		x.put()
	}
	if err := x.p.refresh(); err != nil {
		t.Fatal(err)
	}
	fallAsleep(t, x.c.roomWakeup, peer.tx.roomCame, x.take, x.put)
}
