// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestPortSet compares a set of ports with a map.
func TestPortSet(t *testing.T) {
	const numbers = 3 * chunkPorts
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	ports := make([]*port, numbers)
	for n := range ports {
		ports[n] = &port{num: n}
	}
	s, want := new(portSet), make(map[int]bool)
	for i := range 20_000 {
		n := r.IntN(numbers)
		if r.IntN(2) == 0 && i < 12_000 { // ascending, so that chunks become full
			n = s.free(r.IntN(numbers))
		}
		compared := i%100 == 0
		var before []*port
		if compared {
			before = slices.Collect(s.all)
		}
		old := s
		switch {
		case n == numbers:
		case want[n]:
			s = s.without(ports[n])
			delete(want, n)
		default:
			s = s.with(ports[n])
			want[n] = true
		}
		if !compared {
			continue
		}
		if !slices.Equal(slices.Collect(old.all), before) {
			t.Fatal("the old set has changed")
		}
		var got []int
		for p := range s.all {
			got = append(got, p.num)
		}
		if !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Fatalf("got %v, want %v", got, slices.Sorted(maps.Keys(want)))
		}
		first := r.IntN(numbers)
		free := first
		for want[free] {
			free++
		}
		if got := s.free(first); got != free {
			t.Fatalf("free from %d: %d, want %d", first, got, free)
		}
	}
}
