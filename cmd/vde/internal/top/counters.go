// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package top

import (
	"maps"

	pb "github.com/go-vde/sdk/api/switchv1"
)

// A Counter is one of the numbers of a port, or of the whole switch.
type Counter int

// The counters, in the order of the detail view.
const (
	InFrames Counter = iota
	InDuplicated
	InBytes
	Forwarded
	Flooded
	Copies
	GSOFrames
	Segments
	Offered
	Mirrored
	Probes
	OutDuplicated
	OutFrames
	OutBytes
	numCounters
)

// Counters are those of a port, or of the whole switch: what has been counted, or what
// that has grown by.
type Counters struct {
	N      [numCounters]uint64
	Queued uint64 // at this moment, never a difference

	// Frames dropped by cause; nil if there are none.
	InDropped, OutDropped map[string]uint64
}

// CountersOf returns what the messages of the API say.
func CountersOf(in *pb.InStats, out *pb.OutStats) Counters {
	return Counters{
		N: [numCounters]uint64{
			InFrames: in.GetFrames(), InDuplicated: in.GetDuplicated(), InBytes: in.GetBytes(), Forwarded: in.GetForwarded(), Flooded: in.GetFlooded(),
			Copies: in.GetCopies(), GSOFrames: in.GetGsoFrames(), Segments: in.GetSegments(),
			Offered: out.GetOffered(), Mirrored: out.GetMirrored(), Probes: out.GetProbes(), OutDuplicated: out.GetDuplicated(),
			OutFrames: out.GetFrames(), OutBytes: out.GetBytes(),
		},
		Queued: out.GetQueued(), InDropped: maps.Clone(in.GetDropped()), OutDropped: maps.Clone(out.GetDropped()),
	}
}

// add adds what the counters have grown by.
func (c *Counters) add(growth *Counters) {
	for i, n := range growth.N {
		c.N[i] += n
	}
	c.Queued = growth.Queued
	addCauses(&c.InDropped, growth.InDropped)
	addCauses(&c.OutDropped, growth.OutDropped)
}

func addCauses(causes *map[string]uint64, growth map[string]uint64) {
	if *causes == nil && len(growth) > 0 {
		*causes = make(map[string]uint64)
	}
	for cause, n := range growth {
		(*causes)[cause] += n
	}
}

// Dropped returns how many frames were dropped for any cause.
func (c *Counters) Dropped() (n uint64) {
	for _, causes := range []map[string]uint64{c.InDropped, c.OutDropped} {
		for _, v := range causes {
			n += v
		}
	}
	return n
}

// Seconds is how far the history of rates goes back.
const Seconds = 60

// A Series is counters with their rates.
type Series struct {
	Total  Counters // since the start of the switch
	growth Counters // in the last interval
	per    float64  // its length in seconds; 0 if there has been none

	in, out [Seconds]float64 // bytes per second, in the slots of the model
}

// start sets the counters and forgets what was before.
func (s *Series) start(total Counters) { *s = Series{Total: total} }

// grow adds what the counters have grown by in so many seconds; nil for nothing.
func (s *Series) grow(growth *Counters, seconds float64) {
	s.growth, s.per = Counters{Queued: s.Total.Queued}, seconds
	if growth != nil {
		s.growth = *growth
		s.Total.add(growth)
	}
}

// record keeps the rates of now in a slot of the history.
func (s *Series) record(slot int) { s.in[slot], s.out[slot] = s.Rate(InBytes), s.Rate(OutBytes) }

// Rate returns how much c has grown per second, in the last interval.
func (s *Series) Rate(c Counter) float64 { return s.perSecond(s.growth.N[c]) }

// DropRate returns how many frames were dropped per second, in the last interval.
func (s *Series) DropRate() float64 { return s.perSecond(s.growth.Dropped()) }

func (s *Series) perSecond(n uint64) float64 {
	if s.per <= 0 {
		return 0
	}
	return float64(n) / s.per
}
