// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
)

// asleep returns once e's receive sleeps, watched over by g.
func asleep(t *testing.T, g *Group, e *End) {
	t.Helper()
	for {
		g.mu.Lock()
		n := len(g.asleep)
		g.mu.Unlock()
		if n > 0 && e.rx.sleeps.Load() != 0 {
			return
		}
		runtime.Gosched()
	}
}

// TestGroup has one End look after another: the other side does not ring, the
// leader finds the frame; when it hands back, the bell wakes the sleeper, also for
// what has come before.
func TestGroup(t *testing.T) {
	for _, before := range []bool{true, false} {
		var g Group
		_, leader := newPair(t, 64)
		peer, e := newPair(t, 64)
		owner := new(int)
		leader.Join(&g, nil)
		e.Join(&g, owner)
		if e.Owner() != owner {
			t.Error("another owner")
		}
		e.reading.Lock()
		e.answered = true
		e.reading.Unlock()
		e.poller.pass = 2 // sleep at once
		type result struct {
			who *End
			err error
		}
		woken := make(chan result, 1)
		go func() {
			who, err := e.AwaitFrame()
			woken <- result{who, err}
		}()
		asleep(t, &g, e)

		g.lead(leader)
		if x := g.look(leader); x != nil {
			t.Fatal("something was found where nothing is")
		}
		if x := g.look(e); x != nil {
			t.Fatal("somebody else looks too")
		}
		if e.rx.sleeps.Load() != 0 {
			t.Error("the other side would ring")
		}
		if before {
			send(t, peer, 64)
			if g.look(leader) != e {
				t.Error("the frame was not found")
			}
			select {
			case <-woken:
				t.Error("the sleeper was woken")
			default:
			}
		}
		e.HandBack() // is not the leader
		leader.HandBack()
		if x := g.look(leader); x != nil {
			t.Error("still looks after others")
		}
		if !before {
			if e.rx.sleeps.Load() == 0 {
				t.Error("the other side would not ring")
			}
			send(t, peer, 64)
		}
		if r := <-woken; r.who != e || r.err != nil {
			t.Errorf("woken with %v, %v", r.who, r.err)
		}
		if len(g.asleep) != 0 {
			t.Error("still among those that sleep")
		}
	}
}

// TestGroupEnds closes an End while another one looks after it.
func TestGroupEnds(t *testing.T) {
	var g Group
	_, leader := newPair(t, 64)
	_, e := newPair(t, 64)
	leader.Join(&g, nil)
	e.Join(&g, nil)
	e.answered, e.poller.pass = true, 2
	ended := make(chan error, 1)
	go func() {
		_, err := e.AwaitFrame()
		ended <- err
	}()
	asleep(t, &g, e)
	g.lead(leader)
	closing := make(chan struct{})
	go func() {
		defer close(closing)
		e.Close()
	}()
	for looking := true; looking; {
		if x := g.look(leader); x != nil {
			t.Error("a closed End has a frame")
		}
		select {
		case <-closing:
			looking = false
		default:
		}
	}
	leader.HandBack()
	if err := <-ended; err != net.ErrClosed {
		t.Errorf("the sleeper ended with %v", err)
	}
}

// TestGroupTakesTurns: neither who looks after others nor they are kept waiting by
// frames that keep coming for the other.
func TestGroupTakesTurns(t *testing.T) {
	var g Group
	leaderPeer, leader := newPair(t, 64)
	peer, e := newPair(t, 64)
	leader.Join(&g, nil)
	e.Join(&g, nil)
	e.answered, e.expects = true, true
	g.sleep(e)
	defer g.wake(e)
	g.lead(leader)
	send(t, leaderPeer, 64)
	send(t, peer, 64)
	var got [4]*End
	for i := range got {
		var err error
		if got[i], err = leader.AwaitFrame(); err != nil {
			t.Fatal(err)
		}
	}
	if want := [4]*End{e, leader, e, leader}; got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestGroupStream: a stream is left to the receive that it is for.
func TestGroupStream(t *testing.T) {
	var g Group
	_, leader := newPair(t, 1<<16)
	peer, e := newPair(t, 1<<16)
	leader.Join(&g, nil)
	e.Join(&g, nil)
	e.answered, e.expects = true, true
	g.sleep(e)
	g.lead(leader)
	send(t, peer, 60000)
	if g.look(leader) != e {
		t.Fatal("the first frame was not found")
	}
	if _, err := e.Recv(newSlab(1<<16), maxBatch, false); err != nil {
		t.Fatal(err)
	}
	if g.look(leader) != nil || len(g.asleep) != 0 || e.rx.sleeps.Load() == 0 {
		t.Error("still looked after")
	}
}

// TestGroupMany: of very many that sleep, those are looked after that had frames or
// fell asleep last, all of them in turn.
func TestGroupMany(t *testing.T) {
	var g Group
	var peers, ends []*End
	for range maxAsleep + 2 {
		peer, e := newPair(t, 64)
		e.Join(&g, nil)
		e.expects = true
		peers, ends = append(peers, peer), append(ends, e)
	}
	leader := ends[0]
	g.lead(leader)
	for _, e := range ends[1:] {
		g.sleep(e)
		g.look(leader)
	}
	if got := len(g.asleep); got != maxAsleep || slices.Contains(g.asleep, ends[1]) {
		t.Fatalf("%d are looked after", got)
	}
	if ends[1].rx.sleeps.Load() == 0 {
		t.Error("the other side of the one that had to go would not ring")
	}
	for _, peer := range peers[2:] {
		send(t, peer, 64)
	}
	for range 3 {
		for i, want := range ends[2:] {
			if got := g.look(leader); got != want {
				t.Errorf("look %d found %p, want %p", i, got, want)
			}
		}
	}
}

// TestFavors: who finds frames of others only, sleeps after a while.
func TestFavors(t *testing.T) {
	mayPoll(t)
	var g Group
	peer, e := newPair(t, 64)
	_, leader := newPair(t, 64)
	leader.Join(&g, nil)
	e.Join(&g, nil)
	leader.expects, e.expects = true, true
	g.sleep(e)
	send(t, peer, 64)
	for i := range maxFavors {
		if abstain.until.Store(0); leader.poll() != e {
			t.Fatalf("poll %d did not find it", i)
		}
	}
	if abstain.until.Store(0); leader.poll() != nil {
		t.Error("polls for others for ever")
	}
}

// TestScribblerInGroup has a peer write to the memory that it shares, so that it seems
// to have frames all the time or sleepers are not to be woken, while another one asks
// and is answered: by whoever of their two receivers polls. It gets all its answers.
func TestScribblerInGroup(t *testing.T) {
	mayPoll(t)
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	serve := func(e *End) {
		s, answer := newSlab(1514), [][]byte{make([]byte, 60)}
		defer e.HandBack()
		for {
			who, err := e.AwaitFrame()
			if err != nil {
				return
			}
			taking := who.Owner().(*sync.Mutex)
			if !taking.TryLock() {
				e.HandBack()
				if who != e {
					continue
				}
				taking.Lock()
			}
			n, _ := who.Recv(s, maxBatch, false)
			_, _, _ = who.Send(answer, false) // there may be no room
			taking.Unlock()
			if who != e && n == 0 {
				e.HandBack()
			}
		}
	}
	for range 25 {
		var g Group
		var wg sync.WaitGroup
		join := func() (peer, e *End) {
			peer, e = newPair(t, 1514)
			e.Join(&g, new(sync.Mutex))
			wg.Go(func() { serve(e) })
			return peer, e
		}
		honest, toHonest := join()
		honest.SameProcess() // leaves the polls to the others
		liar, toLiar := join()
		abstain.until.Store(0)
		over := make(chan struct{})
		var lying sync.WaitGroup
		lies := rnd.Uint64()
		lying.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, lies))
			for {
				select {
				case <-over:
					return
				default:
				}
				switch rnd.IntN(4) {
				case 0: // so many frames without a byte
					head := liar.tx.ring.head.Load()
					liar.tx.tail.Store(head + uint64(rnd.IntN(2*maxBatch))*slotHeader)
				case 1:
					liar.tx.sleeps.Store(uint32(rnd.IntN(2)))
				case 2:
					ringBell(liar.frameBell)
				case 3:
					_, _, _ = liar.Send([][]byte{make([]byte, 60)}, false)
				}
				if rnd.IntN(100) == 0 {
					word64(liar.region, upAt+rnd.IntN(4*line)&^7).Store(rnd.Uint64())
				}
				runtime.Gosched()
			}
		})
		for i := range 200 {
			send(t, honest, 60)
			if err := honest.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := honest.Recv(newSlab(1514), 1, true); err != nil {
				t.Errorf("answer %d: %v", i, err)
				break
			}
		}
		close(over)
		lying.Wait()
		toHonest.Close()
		toLiar.Close()
		wg.Wait()
		honest.Close()
		liar.Close()
		if t.Failed() {
			return
		}
	}
}

// TestNudge: a nudge wakes a receive, once, and its deadline stays what it was, or
// becomes what is set meanwhile.
func TestNudge(t *testing.T) {
	for _, later := range []time.Time{{}, time.Now().Add(time.Hour)} {
		peer, e := newPair(t, 64)
		if err := e.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		e.nudge()
		if err := e.SetReadDeadline(later); err != nil {
			t.Fatal(err)
		}
		if who, err := e.await(); who != e || err != nil {
			t.Fatal(who, err)
		}
		if e.nudgedAwake() {
			t.Error("nudged for ever")
		}
		if got := e.rxDeadline.time(); got.IsZero() != later.IsZero() || got.Sub(later).Abs() > time.Second {
			t.Errorf("the deadline is %v, was set to %v", got, later)
		}
		send(t, peer, 64)
		recv(t, e)
	}
	_, e := newPair(t, 64)
	e.nudge()
	if err := e.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Recv(newSlab(64), 1, true); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with a deadline: %v", err)
	}
}
