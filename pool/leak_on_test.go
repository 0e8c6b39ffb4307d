// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build poolleak

package pool_test

import (
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/go-vde/sdk/pool"
)

// below returns the file:line that many lines below its caller.
func below(lines int) string {
	_, file, line, _ := runtime.Caller(1)
	return fmt.Sprintf("%s:%d", file, line+lines)
}

func TestLeaks(t *testing.T) {
	p := pool.New(64, 16)
	if l := p.Leaks(); len(l) != 0 {
		t.Errorf("leaks of a new pool: %v", l)
	}
	one := below(1)
	b := p.Get()
	two := below(2)
	bs := make([]*pool.Buffer, 2)
	p.GetBatch(bs)
	if got, want := p.Leaks(), []string{one, two, two}; !slices.Equal(got, want) {
		t.Errorf("Leaks = %v, want %v", got, want)
	}

	b.Retain().Release()
	bs[1].Release()
	bs[1] = nil
	three := below(1)
	p.GetBatch(bs) // the first stays and keeps its origin
	if got, want := p.Leaks(), []string{one, two, three}; !slices.Equal(got, want) {
		t.Errorf("Leaks = %v, want %v", got, want)
	}
	pool.ReleaseBatch(bs)
	b.Release()
	if l := p.Leaks(); len(l) != 0 {
		t.Errorf("everything released, yet: %v", l)
	}
	checkLive(t, p, 0)
}

func TestPoison(t *testing.T) {
	p := pool.New(64, 16)
	b := p.Get()
	w := b.Bytes()
	copy(w, "secret")
	b.Release()
	if string(w[:6]) != "\xdb\xdb\xdb\xdb\xdb\xdb" {
		t.Errorf("after Release the buffer holds %q", w[:6])
	}
	site := below(1)
	b = p.Get() // undisturbed: no panic
	w = b.Bytes()
	b.Release()
	w[63] = 1
	mustPanic(t, "byte 79, headroom included, written after the last Release of a buffer taken at "+site,
		func() { p.Get() })
}

func TestUseAfterRelease(t *testing.T) {
	p := pool.New(64, 16)
	b := released(p)
	for name, f := range map[string]func(){
		"Bytes":     func() { b.Bytes() },
		"Reset":     b.Reset,
		"SetLen":    func() { b.SetLen(1) },
		"Prepend":   func() { b.Prepend(1) },
		"TrimFront": func() { b.TrimFront(1) },
		"Headroom":  func() { b.Headroom() },
		"Windows":   func() { pool.Windows(make([][]byte, 1), []*pool.Buffer{b}) },
	} {
		t.Run(name, func(t *testing.T) { mustPanic(t, "use of a released buffer", f) })
	}
}
