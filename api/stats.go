// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"iter"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vswitch"
)

// maxStatsPorts bounds the ports in one answer.
const maxStatsPorts = 16384

// encodeStats returns the message for s, with those of its ports that want lets through,
// as far as they fit.
func encodeStats(s *vswitch.Stats, t time.Time, want func(*vswitch.PortStats) bool) *pb.Stats {
	m := &pb.Stats{Time: timestamppb.New(t), In: &pb.InStats{}, Out: &pb.OutStats{}, Monitors: encodeOut(&s.Monitors)}
	for i := range s.Ports {
		p := &s.Ports[i]
		addIn(m.In, &p.In)
		addOut(m.Out, &p.Out)
		switch {
		case !want(p):
		case len(m.Ports) < maxStatsPorts:
			m.Ports = append(m.Ports, encodePortStats(p))
		case m.NextPort == 0:
			m.NextPort = uint32(p.Port)
		}
	}
	m.Fdb = &pb.FDBStats{
		Entries: uint32(s.FDB.Entries), Learned: s.FDB.Learned, Moved: s.FDB.Moved,
		Aged: s.FDB.Aged, Full: s.FDB.Full, StaticMoves: s.FDB.StaticMoves,
	}
	m.Serve = &pb.ServeStats{
		Accepted: s.Serve.Accepted, Joined: s.Serve.Joined, Refused: s.Serve.Refused, Malformed: s.Serve.Malformed,
		Silent: s.Serve.Silent, Evicted: s.Serve.Evicted, TrailingBytes: s.Serve.TrailingBytes,
		RingsRejected: s.Serve.RingsRejected, Violations: s.Serve.Violations, RingsOverBudget: s.Serve.RingsOverBudget,
	}
	return m
}

func encodePortStats(p *vswitch.PortStats) *pb.PortStats {
	return &pb.PortStats{Port: uint32(p.Port), In: encodeIn(&p.In), Out: encodeOut(&p.Out)}
}

func encodeIn(s *vswitch.InStats) *pb.InStats {
	m := &pb.InStats{}
	addIn(m, s)
	return m
}

func addIn(m *pb.InStats, s *vswitch.InStats) {
	m.Frames += s.Frames
	m.Bytes += s.Bytes
	m.Forwarded += s.Forwarded
	m.Flooded += s.Flooded
	m.Copies += s.Copies
	m.GsoFrames += s.GSOFrames
	m.Segments += s.Segments
	m.Duplicated += s.Duplicated
	addCauses(&m.Dropped, s.Dropped.Causes())
}

func encodeOut(s *vswitch.OutStats) *pb.OutStats {
	m := &pb.OutStats{}
	addOut(m, s)
	return m
}

func addOut(m *pb.OutStats, s *vswitch.OutStats) {
	m.Offered += s.Offered
	m.Mirrored += s.Mirrored
	m.Probes += s.Probes
	m.Duplicated += s.Duplicated
	m.Frames += s.Frames
	m.Bytes += s.Bytes
	m.Queued += s.Queued
	addCauses(&m.Dropped, s.Dropped.Causes())
}

// addCauses adds the causes that have occurred to m, which is nil if there are none.
func addCauses(m *map[string]uint64, causes iter.Seq2[string, uint64]) {
	for cause, n := range causes {
		if n == 0 {
			continue
		}
		if *m == nil {
			*m = make(map[string]uint64)
		}
		(*m)[cause] += n
	}
}
