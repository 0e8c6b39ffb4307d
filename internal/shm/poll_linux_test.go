// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"runtime"
	"testing"
	"time"
)

// mayPoll lets the test poll on a machine with one processor too, and after a
// back-off.
func mayPoll(t *testing.T) {
	t.Helper()
	before := runtime.GOMAXPROCS(2)
	backoff.until.Store(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

// TestExpects: a receive expects an answer after the answer to something, if both were
// short.
func TestExpects(t *testing.T) {
	mayPoll(t)
	for _, test := range []struct {
		name           string
		sent, received []int
		never          bool
		want           bool
	}{
		{"nothing sent", nil, []int{64}, false, false},
		{"short", []int{64}, []int{64}, false, true},
		{"two of 1500 bytes", []int{1514}, []int{1514}, false, true},
		{"a batch sent", []int{1514, 1514, 1514}, []int{64}, false, false},
		{"a batch received", []int{64}, []int{1514, 1514, 1514}, false, false},
		{"a segment of 64 KiB", []int{64}, []int{65000}, false, false},
		{"told not to", []int{64}, []int{64}, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, peer := newPair(t, 1<<16)
			if test.never {
				e.NoPolling()
			}
			send(t, e, test.sent...)
			send(t, peer, test.received...)
			recv(t, e)
			e.poller.expects = e.rx.exchange.answered // as when a wait begins
			if got := e.poller.mayPoll(); got != test.want {
				t.Errorf("expects an answer: %v, want %v", got, test.want)
			}
			// What was sent before the last receive has been answered.
			send(t, peer, 64)
			recv(t, e)
			if e.rx.exchange.answered {
				t.Error("answered twice")
			}
		})
	}
}

// TestPollMisses: each poll that finds nothing makes the next one rarer, and one that
// finds a frame makes them as frequent as at first.
func TestPollMisses(t *testing.T) {
	mayPoll(t)
	e, peer := newPair(t, 64)
	e.poller.expects = true
	skipped := func() (n int) {
		for ; e.poller.skip > 0; n++ {
			if e.poll() != nil {
				t.Fatal("a poll found something")
			}
		}
		return n
	}
	for _, want := range []int{0, 1, 3, 7, 15, 31, 63, 63} {
		backoff.until.Store(0) // the machine may be busy
		if e.poll() != nil {
			t.Fatal("a poll found something")
		}
		if got := skipped(); got != want {
			t.Errorf("%d waits without a poll, want %d", got, want)
		}
	}
	backoff.until.Store(0)
	send(t, peer, 64)
	if e.poll() != e || e.poller.penalty != 0 {
		t.Errorf("a frame that was there was not found, %+v", e.poller)
	}
	if n := polls.Load(); n != 0 {
		t.Errorf("%d polls go on", n)
	}
}

// TestPollsLeaveAProcessor: no poll begins on the last processor of the runtime.
func TestPollsLeaveAProcessor(t *testing.T) {
	mayPoll(t)
	e, peer := newPair(t, 64)
	e.poller.expects = true
	send(t, peer, 64)
	polls.Add(1)
	defer polls.Add(-1)
	if e.poll() != nil {
		t.Error("there was a second poll with two processors")
	}
}

// TestPollForOthers: a receive that finds frames of other Ends only, sleeps after a
// while.
func TestPollForOthers(t *testing.T) {
	mayPoll(t)
	var g Group
	peer, e := joined(t, &g, 64)
	_, leader := joined(t, &g, 64)
	leader.poller.expects = true
	enter(t, &g, e)
	send(t, peer, 64)
	for i := range maxOtherHits {
		if backoff.until.Store(0); leader.poll() != e {
			t.Fatalf("poll %d did not find it", i)
		}
	}
	if backoff.until.Store(0); leader.poll() != nil {
		t.Error("polls for others for ever")
	}
}

func TestPollBackoff(t *testing.T) {
	var b pollBackoff
	now := time.Millisecond // of the life of a process
	for _, step := range []struct{ after, want time.Duration }{
		{0, 10 * time.Millisecond},
		{10 * time.Millisecond, 40 * time.Millisecond},
		{40 * time.Millisecond, 160 * time.Millisecond},
		{200 * time.Millisecond, 640 * time.Millisecond},
		{640 * time.Millisecond, time.Second},
		{time.Second, time.Second},
		{time.Second + backoffMemory, 10 * time.Millisecond},
		{5 * time.Millisecond, 5 * time.Millisecond}, // for the same slice as the one before
	} {
		now += step.after
		b.extend(now)
		if got := time.Duration(b.until.Load()) - now; got != step.want {
			t.Errorf("%v later: backs off for %v, want %v", step.after, got, step.want)
		}
	}
}

// TestYieldPolicy: a poll yields only when it is time to, but at least once in
// yieldTime.
func TestYieldPolicy(t *testing.T) {
	var y yieldPolicy
	y.skip = 3
	now := time.Since(start)
	y.last = now
	for range 3 {
		y.gosched(now)
	}
	if y.last != now || y.skip != 0 {
		t.Errorf("yielded: %+v", y)
	}
	y.skip = 3
	y.gosched(now + yieldTime)
	if y.last == now {
		t.Error("did not yield for long")
	}
}
