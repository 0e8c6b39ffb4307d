// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !poolleak

package pool

// Leak mode is off: these compile to nothing. See leak_on.go.

// LeakMode is true in programs that are built with the tag poolleak.
const LeakMode = false

type (
	tracker struct{}
	//lint:ignore U1000 the type of a field of Buffer that only leak mode reads
	trace struct{}
)

func (tracker) lent(*Buffer)     {}
func (tracker) returned(*Buffer) {}
func (tracker) leaks() []string  { return nil }

func (*Buffer) mustLive()          {}
func (*Buffer) addOwner(string)    {}
func (*Buffer) removeOwner(string) {}
