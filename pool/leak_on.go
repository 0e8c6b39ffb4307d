// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build poolleak

package pool

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// LeakMode is true in programs that are built with the tag poolleak.
const LeakMode = true

// poison fills the memory of released buffers. As a length, an address or an
// EtherType it is conspicuously wrong.
const poison = 0xdb

// A tracker knows a pool's live buffers.
type tracker struct {
	mu   sync.Mutex
	live map[*Buffer]struct{} // guarded by mu
}

// A trace is what a tracker knows about one buffer.
type trace struct {
	site     string   // guarded by tracker.mu; file:line that took the buffer last
	owners   []string // guarded by tracker.mu; who holds references, as far as is known, or held the last
	poisoned bool     // written and read by the buffer's only owner
}

// lent records that b was handed out to the caller of lent's caller.
func (t *tracker) lent(b *Buffer) {
	site := "unknown"
	if _, file, line, ok := runtime.Caller(2); ok {
		site = fmt.Sprintf("%s:%d", file, line)
	}
	if b.trace.poisoned {
		b.trace.poisoned = false
		if i := disturbed(b.mem); i >= 0 {
			last := ""
			if len(b.trace.owners) > 0 {
				last = ", last held by " + b.ownerNames()
			}
			panic(fmt.Sprintf("pool: byte %d, headroom included, written after the last Release"+
				" of a buffer taken at %s", i, b.trace.site+last))
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	b.trace.site, b.trace.owners = site, nil
	if t.live == nil {
		t.live = make(map[*Buffer]struct{})
	}
	t.live[b] = struct{}{}
}

// returned records that b has lost its last reference.
func (t *tracker) returned(b *Buffer) {
	t.mu.Lock()
	delete(t.live, b)
	t.mu.Unlock()
	b.mem[0] = poison
	for n := 1; n < len(b.mem); n *= 2 {
		copy(b.mem[n:], b.mem[:n])
	}
	b.trace.poisoned = true
}

// disturbed returns the index of the first byte of mem that is not poison, or -1.
func disturbed(mem []byte) int {
	// All bytes are equal if each equals its neighbor; comparing slices is many
	// times faster than a loop, more so under the race detector.
	if mem[0] == poison && bytes.Equal(mem[1:], mem[:len(mem)-1]) {
		return -1
	}
	return slices.IndexFunc(mem, func(v byte) bool { return v != poison })
}

func (t *tracker) leaks() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	sites := make([]string, 0, len(t.live))
	for b := range t.live {
		sites = append(sites, b.trace.site+b.heldBy())
	}
	slices.Sort(sites)
	return sites
}

// heldBy returns what to say about the owners of b; tracker.mu is held.
func (b *Buffer) heldBy() string {
	owners := b.trace.owners
	if len(owners) == 0 {
		return ""
	}
	names := b.ownerNames()
	switch refs := int(b.refs.Load()); {
	case refs >= len(owners):
		return ", held by " + names
	case refs == 1:
		return ", 1 reference held by some of " + names
	default:
		return fmt.Sprintf(", %d references held by some of %s", refs, names)
	}
}

// ownerNames returns the owners of b in one string; tracker.mu is held, or nobody
// else has b.
func (b *Buffer) ownerNames() string {
	return strings.Join(slices.Compact(slices.Sorted(slices.Values(b.trace.owners))), ", ")
}

func (b *Buffer) addOwner(owner string) {
	b.mustLive()
	t := &b.pool.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if b.refs.Load() == 1 {
		b.trace.owners = nil
	}
	if owner != "" {
		b.trace.owners = append(b.trace.owners, owner)
	}
}

func (b *Buffer) removeOwner(owner string) {
	b.mustLive()
	t := &b.pool.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(b.trace.owners, owner); i >= 0 {
		b.trace.owners = slices.Delete(b.trace.owners, i, i+1)
	}
}

// mustLive panics if b is used after its last Release.
func (b *Buffer) mustLive() {
	if b.refs.Load() < 1 {
		panic("pool: use of a released buffer")
	}
}
