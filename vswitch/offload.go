// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/pool"
)

// EnableOffload implements link.Link. What is in the ring gets headers too. No
// receive may be waiting meanwhile: it would not know what it got.
func (l *inproc) EnableOffload() {
	l.in.Lock()
	defer l.in.Unlock()
	l.out.Lock()
	defer l.out.Unlock()
	if l.agreed.Load() {
		return
	}
	l.agreed.Store(true)
	if l.ring == nil {
		return // not plugged in yet
	}
	for range l.ring.Len() {
		// In turn, as they may be others' too, from the front to the end.
		var old [1]*pool.Buffer
		l.ring.Pop(old[:])
		l.ring.Push(l.sw.headed(frame.VNetHeader{}, old[0].Bytes()))
		old[0].Release()
	}
}

// OffloadAgreed reports that the switch takes frames with offload headers as they
// are; see link.Link.
func (l *inproc) OffloadAgreed() bool { return true }
