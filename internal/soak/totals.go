// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/go-vde/sdk/vswitch"
)

// totals are the sums over all networks that have been counted.
type totals struct {
	mu sync.Mutex

	counts int // of everything in the clean network, all of them exact

	// Of the clean network.
	sent      uint64 // frames that stations sent
	came      uint64 // to the switch
	purged    remainder
	forwarded uint64
	copies    uint64
	taken     uint64 // copies that the switch delivered
	received  uint64 // by the stations, discards of theirs included
	unread    uint64 // by the C source, which never reads
	forgotten remainder
	in        vswitch.InDropped
	out       vswitch.OutDropped

	// Of the networks whose switch is killed.
	flowSent, flowReceived uint64
	killed                 remainder // held by a switch as it was killed
	uncounted              remainder // dropped by vde_switch, which does not count

	tcp    uint64 // bytes that arrived and were compared
	faults map[string]int
}

// A remainder is a number of frames that nothing counts, and its upper bound.
type remainder struct{ frames, bound uint64 }

func (r *remainder) add(frames, bound uint64) {
	r.frames += frames
	r.bound += bound
}

// fault counts a fault.
func (t *totals) fault(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.faults == nil {
		t.faults = make(map[string]int)
	}
	t.faults[name]++
}

// add changes the totals.
func (t *totals) add(f func(*totals)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t)
}

// String returns the totals in short.
func (t *totals) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fmt.Sprintf("%d counts; %d kills", t.counts, t.faults["kill"])
}

// report prints the totals and checks what must add up over the whole run.
func (t *totals) report(s *soak) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.print("clean networks, %d exact counts:", t.counts)
	s.print("  sent %d = came to the switch %d + discarded by the kernel as their sender left %d (bound %d)", t.sent, t.came, t.purged.frames, t.purged.bound)
	s.print("  came %d = forwarded %d + dropped %d %+v", t.came, t.forwarded, t.in.Sum(), t.in)
	s.print("  copies %d = delivered %d + dropped %d %+v", t.copies, t.taken, t.out.Sum(), t.out)
	s.print("  delivered %d = received %d + to a C program that never reads %d + discarded by the kernel as their receiver was evicted %d (bound %d)", t.taken, t.received, t.unread, t.forgotten.frames, t.forgotten.bound)
	s.print("networks whose switch is killed:")
	s.print("  sent %d = received %d + lost with a switch %d (bound %d) + dropped by vde_switch %d (bound %d)",
		t.flowSent, t.flowReceived, t.killed.frames, t.killed.bound, t.uncounted.frames, t.uncounted.bound)
	s.print("TCP bytes that arrived as they were sent: %d", t.tcp)
	line := "faults:"
	for _, name := range slices.Sorted(maps.Keys(t.faults)) {
		line += fmt.Sprintf(" %s %d,", name, t.faults[name])
	}
	s.print("%s", line[:len(line)-1])
	for _, e := range []struct {
		what        string
		left, right uint64
	}{
		{"sent", t.sent, t.came + t.purged.frames},
		{"came", t.came, t.forwarded + t.in.Sum()},
		{"copies", t.copies, t.taken + t.out.Sum()},
		{"delivered", t.taken, t.received + t.unread + t.forgotten.frames},
		{"sent where switches are killed", t.flowSent, t.flowReceived + t.killed.frames + t.uncounted.frames},
	} {
		if e.left != e.right {
			s.violate("%s: %d is not %d", e.what, e.left, e.right)
		}
	}
	for _, r := range []remainder{t.purged, t.forgotten, t.killed, t.uncounted} {
		if r.frames > r.bound {
			s.violate("a remainder of %d frames is over its bound %d", r.frames, r.bound)
		}
	}
}

// plus and minus return a and b added and subtracted counter by counter.
func plus[T vswitch.InDropped | vswitch.OutDropped](a, b T) T {
	return combine(a, b, func(a, b uint64) uint64 { return a + b })
}

func minus[T vswitch.InDropped | vswitch.OutDropped](a, b T) T {
	return combine(a, b, func(a, b uint64) uint64 { return a - b })
}

func combine[T vswitch.InDropped | vswitch.OutDropped](a, b T, op func(a, b uint64) uint64) T {
	to, from := reflect.ValueOf(&a).Elem(), reflect.ValueOf(b)
	for i := range to.NumField() {
		to.Field(i).SetUint(op(to.Field(i).Uint(), from.Field(i).Uint()))
	}
	return a
}
