// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"runtime"
	"testing"
	"time"
)

// mayPoll lets the test poll on a machine with one processor, and whatever else
// was busy there.
func mayPoll(t *testing.T) {
	t.Helper()
	before := runtime.GOMAXPROCS(2)
	abstain.until.Store(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
}

func send(t *testing.T, e *End, sizes ...int) {
	t.Helper()
	for _, n := range sizes {
		if _, _, err := e.Send([][]byte{make([]byte, n)}, true); err != nil {
			t.Fatal(err)
		}
	}
}

func recv(t *testing.T, e *End) {
	t.Helper()
	if _, err := e.Recv(newSlab(1<<16), maxBatch, true); err != nil {
		t.Fatal(err)
	}
}

// TestExpects: an answer is expected after one to something, if both were short.
func TestExpects(t *testing.T) {
	mayPoll(t)
	for _, test := range []struct {
		name           string
		sent, received []int
		near, want     bool
	}{
		{"nothing sent", nil, []int{64}, false, false},
		{"short", []int{64}, []int{64}, false, true},
		{"two of 1500 bytes", []int{1514}, []int{1514}, false, true},
		{"a batch sent", []int{1514, 1514, 1514}, []int{64}, false, false},
		{"a batch received", []int{64}, []int{1514, 1514, 1514}, false, false},
		{"a segment of 64 KiB", []int{64}, []int{65000}, false, false},
		{"in one process", []int{64}, []int{64}, true, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, peer := newPair(t, 1<<16)
			if test.near {
				e.SameProcess()
			}
			send(t, e, test.sent...)
			send(t, peer, test.received...)
			recv(t, e)
			e.expects = e.answered // as when a wait begins
			if got := e.mayPoll(); got != test.want {
				t.Errorf("expects an answer: %v, want %v", got, test.want)
			}
			// What was sent before the last receive has been answered.
			send(t, peer, 64)
			recv(t, e)
			if e.answered {
				t.Error("answered twice")
			}
		})
	}
}

// TestVainPolls: after polls in vain there are ever fewer, and after one that paid
// off as many as can be.
func TestVainPolls(t *testing.T) {
	mayPoll(t)
	e, peer := newPair(t, 64)
	e.expects = true
	passes := func() (n int) {
		for ; e.poller.pass > 0; n++ {
			if e.poll() != nil {
				t.Fatal("a poll found something")
			}
		}
		return n
	}
	for _, want := range []int{0, 1, 3, 7, 15, 31, 63, 63} {
		abstain.until.Store(0) // the machine may be busy
		if e.poll() != nil {
			t.Fatal("a poll found something")
		}
		if got := passes(); got != want {
			t.Errorf("%d waits without a poll, want %d", got, want)
		}
	}
	abstain.until.Store(0)
	send(t, peer, 64)
	if e.poll() != e || e.poller.vain != 0 {
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
	e.expects = true
	send(t, peer, 64)
	polls.Add(1)
	defer polls.Add(-1)
	if e.poll() != nil {
		t.Error("there was a second poll with two processors")
	}
}

func TestAbstinence(t *testing.T) {
	var a abstinence
	now := time.Millisecond // of the life of a process
	for _, step := range []struct{ after, want time.Duration }{
		{0, 10 * time.Millisecond},
		{10 * time.Millisecond, 40 * time.Millisecond},
		{40 * time.Millisecond, 160 * time.Millisecond},
		{200 * time.Millisecond, 640 * time.Millisecond},
		{640 * time.Millisecond, time.Second},
		{time.Second, time.Second},
		{time.Second + probation, 10 * time.Millisecond},
		{5 * time.Millisecond, 5 * time.Millisecond}, // for the same slice as the one before
	} {
		now += step.after
		a.more(now)
		if got := time.Duration(a.until.Load()) - now; got != step.want {
			t.Errorf("%v later: abstains for %v, want %v", step.after, got, step.want)
		}
	}
}

// TestCourtesy: the offer is made ever less often while nobody takes it, but at
// least every so often.
func TestCourtesy(t *testing.T) {
	var c courtesy
	c.rest = 3
	now := time.Since(start)
	c.last = now
	for range 3 {
		c.offer(now)
	}
	if c.last != now || c.rest != 0 {
		t.Errorf("an offer was made: %+v", c)
	}
	c.rest = 3
	c.offer(now + restTime)
	if c.last == now {
		t.Error("no offer was made for long")
	}
}
