// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

// Sub returns what has happened since earlier, the counters of the same switch at a moment
// before: each counter less its value then. What is a state of the moment, [OutStats].Queued
// and [FDBStats].Entries, is that of s.
func (s Stats) Sub(earlier Stats) Stats {
	ports := make([]PortStats, len(s.Ports))
	before := earlier.Ports
	for i, p := range s.Ports {
		for len(before) > 0 && before[0].Port < p.Port {
			before = before[1:]
		}
		if len(before) > 0 && before[0].Port == p.Port {
			p.In, p.Out = p.In.sub(before[0].In), p.Out.sub(before[0].Out)
		}
		ports[i] = p
	}
	s.Ports = ports
	s.Monitors = s.Monitors.sub(earlier.Monitors)
	subtract([]*uint64{&s.FDB.Learned, &s.FDB.Moved, &s.FDB.Aged, &s.FDB.Full, &s.FDB.StaticMoves},
		[]*uint64{&earlier.FDB.Learned, &earlier.FDB.Moved, &earlier.FDB.Aged, &earlier.FDB.Full, &earlier.FDB.StaticMoves})
	subtract(s.Serve.counters(), earlier.Serve.counters())
	return s
}

func (s InStats) sub(earlier InStats) InStats {
	subtract(s.counters(), earlier.counters())
	subtract(s.Dropped.counters(), earlier.Dropped.counters())
	return s
}

func (s *InStats) counters() []*uint64 {
	return []*uint64{&s.Frames, &s.Bytes, &s.Forwarded, &s.Flooded, &s.Copies, &s.GSOFrames, &s.Segments, &s.Duplicated}
}

func (s OutStats) sub(earlier OutStats) OutStats {
	subtract(s.counters(), earlier.counters())
	subtract(s.Dropped.counters(), earlier.Dropped.counters())
	return s
}

func (s *OutStats) counters() []*uint64 {
	return []*uint64{&s.Offered, &s.Mirrored, &s.Probes, &s.Duplicated, &s.Frames, &s.Bytes}
}

func (s *ServeStats) counters() []*uint64 {
	return []*uint64{
		&s.Accepted, &s.Joined, &s.Refused, &s.Malformed, &s.Silent, &s.Evicted, &s.TrailingBytes,
		&s.RingsRejected, &s.Violations, &s.RingsOverBudget,
	}
}

func subtract(from, what []*uint64) {
	for i, n := range what {
		*from[i] -= *n
	}
}
