// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// checkGroup reports where g breaks the invariant that [Group] states; all are the
// Ends that have joined it. It may be called at any time.
func checkGroup(t *testing.T, g *Group, all ...*End) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	leader := g.leader.Load() // stays it while mu is held, if there is one
	if slices.Contains(g.asleep, leader) {
		t.Error("the leader sleeps")
	}
	if len(g.asleep) > maxAsleep {
		t.Errorf("%d Ends may be polled", len(g.asleep))
	}
	for i, e := range all {
		e.rx.mu.Lock()
		suppressed, closed := e.rx.suppressed, e.life.closed.Load()
		e.rx.mu.Unlock()
		switch asleep := slices.Contains(g.asleep, e); {
		case closed || !suppressed: // its receive is awake, is being woken, or has set the flag
		case !asleep:
			t.Errorf("notifications of End %d are suppressed, and nobody polls it", i)
		case leader == nil:
			t.Errorf("notifications of End %d are suppressed, and there is no leader", i)
		}
	}
}

// watchGroup has a goroutine call checkGroup again and again, until stop is called.
func watchGroup(t *testing.T, g *Group, all ...*End) (stop func()) {
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for !t.Failed() {
			checkGroup(t, g, all...)
			select {
			case <-over:
				return
			default:
				runtime.Gosched()
			}
		}
	}()
	return func() { close(over); <-done }
}

// joined returns an End that has joined g, and the other side.
func joined(t *testing.T, g *Group, maxFrame int) (peer, e *End) {
	peer, e = newPair(t, maxFrame)
	e.Join(g)
	return peer, e
}

// enter adds e to those that the leader may poll, as if its receive slept.
func enter(t *testing.T, g *Group, e *End) {
	t.Helper()
	e.poller.expects = true
	g.enter(e)
	if e.rx.frameCame() {
		t.Fatal("there is a frame already")
	}
}

// sleepIn has a receive of e, which has joined g, sleep, and returns what it is woken
// with.
func sleepIn(t *testing.T, g *Group, e *End) <-chan wakeup {
	t.Helper()
	e.rx.mu.Lock()
	e.rx.exchange.answered = true
	e.rx.mu.Unlock()
	e.poller.skip = 2 // sleep at once
	woken := make(chan wakeup, 1)
	go func() {
		x, err := e.awaitFrame()
		woken <- wakeup{x, err}
	}()
	awaitSleep(g, e)
	return woken
}

// A wakeup is what awaitFrame returned.
type wakeup struct {
	end *End
	err error
}

// awaitSleep waits until the receive of e sleeps and e may be polled.
func awaitSleep(g *Group, e *End) {
	for {
		g.mu.Lock()
		entered := slices.Contains(g.asleep, e)
		g.mu.Unlock()
		if entered && e.rx.ring.frameWakeup.Load() != 0 {
			return
		}
		runtime.Gosched()
	}
}

// TestGroup has the leader poll an End whose receive sleeps: the other side does not
// ring, and the leader finds the frame. When it releases the End, the receive is
// woken, also for a frame that came before.
func TestGroup(t *testing.T) {
	for _, before := range []bool{true, false} {
		var g Group
		_, leader := joined(t, &g, 64)
		peer, e := joined(t, &g, 64)
		woken := sleepIn(t, &g, e)
		checkGroup(t, &g, leader, e)

		g.lead(leader)
		if x := g.poll(leader); x != nil {
			t.Fatal("a frame was found where there is none")
		}
		if x := g.poll(e); x != nil {
			t.Fatal("another End polls too")
		}
		if e.rx.ring.frameWakeup.Load() != 0 {
			t.Error("the other side would ring")
		}
		checkGroup(t, &g, leader, e)
		if before {
			send(t, peer, 64)
			if g.poll(leader) != e {
				t.Error("the frame was not found")
			}
			select {
			case <-woken:
				t.Error("the receive was woken")
			default:
			}
		}
		e.release() // is not the leader
		checkGroup(t, &g, leader, e)
		leader.release()
		checkGroup(t, &g, leader, e)
		if x := g.poll(leader); x != nil {
			t.Error("still polls for others")
		}
		if !before {
			if e.rx.ring.frameWakeup.Load() == 0 {
				t.Error("the other side would not ring")
			}
			send(t, peer, 64)
		}
		if w := <-woken; w.end != e || w.err != nil {
			t.Errorf("woken with %v, %v", w.end, w.err)
		}
		if len(g.asleep) != 0 {
			t.Error("may still be polled")
		}
	}
}

// TestGroupReleasedInPoll releases the others while the leader is about to look at
// them, as the goroutine that served it before a hand-over can.
func TestGroupReleasedInPoll(t *testing.T) {
	var g Group
	_, leader := joined(t, &g, 64)
	_, e := joined(t, &g, 64)
	enter(t, &g, e)
	defer g.leave(e)
	for range 10_000 {
		g.lead(leader)
		var polling sync.WaitGroup
		polling.Go(func() { g.poll(leader) })
		runtime.Gosched()
		leader.release()
		polling.Wait()
		if checkGroup(t, &g, leader, e); t.Failed() {
			return
		}
	}
}

// TestGroupEnds closes an End while the leader polls it.
func TestGroupEnds(t *testing.T) {
	var g Group
	_, leader := joined(t, &g, 64)
	_, e := joined(t, &g, 64)
	woken := sleepIn(t, &g, e)
	g.lead(leader)
	closing := make(chan struct{})
	go func() {
		defer close(closing)
		e.Close()
	}()
	for polling := true; polling; {
		if x := g.poll(leader); x != nil {
			t.Error("a closed End has a frame")
		}
		select {
		case <-closing:
			polling = false
		default:
		}
	}
	leader.release()
	if w := <-woken; w.err != net.ErrClosed {
		t.Errorf("the receive ended with %v", w.err)
	}
}

// TestGroupTakesTurns: neither the leader nor the others are kept waiting by frames
// that keep coming for the other.
func TestGroupTakesTurns(t *testing.T) {
	var g Group
	leaderPeer, leader := joined(t, &g, 64)
	peer, e := joined(t, &g, 64)
	enter(t, &g, e)
	defer g.leave(e)
	g.lead(leader)
	send(t, leaderPeer, 64)
	send(t, peer, 64)
	var got [4]*End
	for i := range got {
		var err error
		if got[i], err = leader.awaitFrame(); err != nil {
			t.Fatal(err)
		}
	}
	if want := [4]*End{e, leader, e, leader}; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// led joins two Ends to g, of which e sleeps and leader has found a frame of so many bytes
// that peer sent to e.
func led(t *testing.T, g *Group, size int) (leader, peer, e *End) {
	t.Helper()
	_, leader = joined(t, g, 1<<16)
	peer, e = joined(t, g, 1<<16)
	enter(t, g, e)
	g.lead(leader)
	g.poll(leader)
	send(t, peer, size)
	if g.poll(leader) != e {
		t.Fatal("the first frame was not found")
	}
	return leader, peer, e
}

// TestGroupStream: an End that receives a stream is left to its own receive.
func TestGroupStream(t *testing.T) {
	var g Group
	leader, peer, e := led(t, &g, 2000)
	e.rx.seenOnly = false // as if more had come just before
	send(t, peer, 2000, 2000)
	if _, err := e.RecvPlaced(newSlab(1<<16), maxBatch); err != nil {
		t.Fatal(err)
	}
	if g.poll(leader) != nil || len(g.asleep) != 0 || e.rx.ring.frameWakeup.Load() == 0 {
		t.Error("still polled")
	}
	checkGroup(t, &g, leader, e)
}

// TestGroupCostly: an End is woken if much has come for it, or a GSO frame, and the
// leader goes on. Of what has come since the leader looked, nothing is received with
// what it has seen.
func TestGroupCostly(t *testing.T) {
	gsoFrame := link.Tx{Frames: [][]byte{make([]byte, 200)}, Headers: []frame.VNetHeader{{GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 1}}}
	for name, frames := range map[string]link.Tx{
		"a long frame":        {Frames: [][]byte{make([]byte, 60_000)}},
		"many frames":         {Frames: slices.Repeat(short.Frames, maxBatch)},
		"a GSO frame":         gsoFrame,
		"a GSO frame, behind": {Frames: append(slices.Clone(short.Frames), gsoFrame.Frames...), Headers: append(make([]frame.VNetHeader, 1), gsoFrame.Headers...)},
	} {
		t.Run(name, func(t *testing.T) {
			var g Group
			_, leader := joined(t, &g, 1<<16)
			peer, e := joined(t, &g, 1<<16)
			woken := sleepIn(t, &g, e)
			g.lead(leader)
			g.poll(leader)
			sendTx(t, peer, frames)
			if x := g.poll(leader); x != nil {
				t.Error("the leader is to receive that")
			}
			select {
			case <-woken:
			case <-time.After(time.Minute):
				t.Error("was not woken")
			}
			checkGroup(t, &g, leader, e)
		})
	}
	var g Group
	_, peer, e := led(t, &g, 60)
	send(t, peer, 60_000, 60_000)
	for _, want := range []int{1, 2} {
		if n, err := e.RecvPlaced(newSlab(1<<16), maxBatch); n != want || err != nil {
			t.Errorf("received %d frames, %v, want %d", n, err, want)
		}
	}
}

// TestGroupMany: of very many Ends whose receives sleep, the leader polls those that
// had frames or fell asleep last, all of them in turn.
func TestGroupMany(t *testing.T) {
	var g Group
	var peers, ends []*End
	for range maxAsleep + 2 {
		peer, e := joined(t, &g, 64)
		peers, ends = append(peers, peer), append(ends, e)
	}
	leader := ends[0]
	g.lead(leader)
	for _, e := range ends[1:] {
		enter(t, &g, e)
		g.poll(leader)
		checkGroup(t, &g, ends...)
	}
	if got := len(g.asleep); got != maxAsleep || slices.Contains(g.asleep, ends[1]) {
		t.Fatalf("%d are polled", got)
	}
	if ends[1].rx.ring.frameWakeup.Load() == 0 {
		t.Error("the other side of the one that was removed would not ring")
	}
	for _, peer := range peers[2:] {
		send(t, peer, 64)
	}
	for range 3 {
		for i, want := range ends[2:] {
			if got := g.poll(leader); got != want {
				t.Errorf("poll %d found %p, want %p", i, got, want)
			}
		}
	}
	checkGroup(t, &g, ends...)
}

// TestGroupReleases: whatever ends the leadership, no End stays suppressed.
func TestGroupReleases(t *testing.T) {
	mayPoll(t)
	for _, test := range []struct {
		name string
		end  func(t *testing.T, peer, leader *End)
	}{
		{"closed", func(t *testing.T, _, leader *End) {
			leader.Close()
			leader.Serve(newAnswerer(leader))
		}},
		{"a stream", func(t *testing.T, peer, leader *End) {
			leader.rx.exchange.streams = true
			send(t, peer, 64)
			if x, err := leader.awaitFrame(); x != leader || err != nil {
				t.Error(x, err)
			}
		}},
		{"sleep", func(t *testing.T, _, leader *End) {
			leader.rx.wake() // out of the sleep that follows
			if x, err := leader.await(); x != leader || err != nil {
				t.Error(x, err)
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var g Group
			peer, leader := joined(t, &g, 64)
			_, e := joined(t, &g, 64)
			enter(t, &g, e)
			g.lead(leader)
			g.poll(leader)
			if !e.rx.suppressed {
				t.Fatal("notifications are not suppressed")
			}
			test.end(t, peer, leader)
			if g.leader.Load() != nil || e.rx.ring.frameWakeup.Load() == 0 {
				t.Error("not released")
			}
			checkGroup(t, &g, leader, e)
		})
	}
}
