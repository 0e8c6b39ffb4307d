// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"slices"
	"sync/atomic"
)

// A dropCause says why a frame, or a copy of one, went nowhere.
type dropCause uint8

// Causes at the port that a frame comes from.
const (
	inEmpty    dropCause = iota // a datagram of length zero
	inRunt                      // no whole header
	inGiant                     // longer than MaxFrame
	inVLAN                      // of a VLAN that the port is not in
	inSecurity                  // of a station that may not be behind the port
	inStorm                     // too much to flood
	inLocal                     // its destination is behind the port it comes from
	inClosed                    // the cable was pulled with the frame unread
	inOffload                   // not what its offload header says
	numInCauses
)

// Causes at a port that a copy is for.
const (
	outFull     dropCause = iota // no room, and the policy or the kind of frame forbids waiting
	outOldest                    // made room for a later one
	outTimeout                   // no room within the policy's time
	outStalled                   // no room, and senders have waited in vain often enough
	outRefused                   // the peer's socket is gone or refuses us
	outNoBuffer                  // the kernel has no memory
	outTooLong                   // longer than the kernel's queue allows
	outClosed                    // the cable was pulled with the frame unread
	numOutCauses
)

// inCounters count what comes from a port.
type inCounters struct {
	frames, bytes, forwarded, flooded, copies atomic.Uint64
	split, splitInto                          atomic.Uint64
	dropped                                   [numInCauses]atomic.Uint64
}

// outCounters count what is for a port.
type outCounters struct {
	offered, mirrored, frames, bytes atomic.Uint64
	dropped                          [numOutCauses]atomic.Uint64
}

// serveCounters count what happens at control sockets.
type serveCounters struct {
	accepted, joined, refused, malformed, silent, evicted, late, badOffers, broken atomic.Uint64
}

// Stats are the counters of a switch since New, all of one moment: a batch is
// in all of them or in none.
//
// For each port
//
//	In.Frames   = In.Forwarded + the sum of In.Dropped
//	Out.Offered = Out.Frames + the sum of Out.Dropped + Out.Queued
//
// and over all ports
//
//	the sum of In.Copies = the sum of Out.Offered + Taps.Offered
//
// A forwarded frame makes one copy for each cable that it is for, none if there
// is no such cable, and one for each mirror that sees it.
//
// A port that has agreed to offloading may send TCP segments that are longer
// than its MTU. One that goes to ports that have agreed too is one frame in all
// counters. One that has to be cut counts as the frames that it became, in
// Frames and everything that follows from it, so that
//
//	In.Frames - In.SplitInto + In.Split
//
// is the number of frames that the port's peer sent. Bytes are those of frames,
// without offload headers.
//
// The struct marshals to JSON; for package expvar see the example.
type Stats struct {
	Ports []PortStats // by number
	Taps  OutStats    // of all taps together
	Table TableStats
	Serve ServeStats
}

// PortStats counts the frames of a port over all cables it has had.
type PortStats struct {
	Port int
	In   InStats
	Out  OutStats
}

// InStats counts frames that came from a port. A frame is counted when it has
// been dealt with. Bytes include Ethernet headers, but not what was never read:
// the frames in Dropped.Closed.
type InStats struct {
	Frames    uint64
	Bytes     uint64
	Forwarded uint64 // not dropped here
	Flooded   uint64 // of Forwarded: to all ports of the VLAN
	Copies    uint64 // made of Forwarded
	Split     uint64 // frames that were cut, of which Frames counts none
	SplitInto uint64 // of Frames: what those became
	Dropped   InDropped
}

// InDropped counts frames dropped where they came in, by cause.
type InDropped struct {
	Empty    uint64 // of length zero: how old clients say goodbye
	Runt     uint64 // no whole header, or a VLAN tag cut off
	Giant    uint64 // longer than Config.MaxFrame
	VLAN     uint64 // of a VLAN that the port is not in
	Security uint64 // of a station that may not be behind the port
	Storm    uint64 // over PortConfig.StormLimit
	Local    uint64 // for a station behind the same port
	Closed   uint64 // still unread when the switch pulled a socket client's cable
	Offload  uint64 // not what its offload header says
}

// OutStats counts copies of frames for a port.
type OutStats struct {
	Offered  uint64
	Mirrored uint64 // of Offered: because the port is a mirror
	Frames   uint64 // taken by the kernel for the peer, or by the in-process reader
	Bytes    uint64 // in Frames
	Queued   uint64 // in the switch's own queue
	Dropped  OutDropped
}

// OutDropped counts copies dropped where they should have gone out, by cause.
type OutDropped struct {
	Full     uint64 // queue full, and the policy, or being flooded or mirrored, forbade waiting
	Oldest   uint64 // made room for later ones under DropOldest
	Timeout  uint64 // still no room when PortConfig.Wait was over
	Stalled  uint64 // queue full, and so it was when the last senders' time was over
	Refused  uint64 // the peer's data socket is gone, or takes nothing from us
	NoBuffer uint64 // the kernel had no memory
	TooLong  uint64 // longer than the kernel's queue: see Config.WriteBuffer
	Closed   uint64 // in the queue, or on the way to it, when the cable was pulled
}

// Sum returns the number of frames dropped for any cause.
func (d InDropped) Sum() uint64 {
	return d.Empty + d.Runt + d.Giant + d.VLAN + d.Security + d.Storm + d.Local + d.Closed + d.Offload
}

// Sum returns the number of copies dropped for any cause.
func (d OutDropped) Sum() uint64 {
	return d.Full + d.Oldest + d.Timeout + d.Stalled + d.Refused + d.NoBuffer + d.TooLong + d.Closed
}

// TableStats counts what happened to the learning table.
type TableStats struct {
	Stations int    // in the table now
	Learned  uint64 // entries made
	Moved    uint64 // entries whose station was seen on another port
	Aged     uint64 // entries forgotten for their age
	Full     uint64 // frames of stations not learned because the table was full
	Pinned   uint64 // frames that claimed to come from a fixed station of another port
}

// ServeStats counts what happened at control sockets.
type ServeStats struct {
	Accepted  uint64 // connections
	Joined    uint64 // of which became cables
	Refused   uint64 // asked for what they cannot have
	Malformed uint64 // sent no valid request
	Silent    uint64 // did not send their request in time, or closed before
	Evicted   uint64 // were closed before their request for there being too many
	Late      uint64 // cables pulled because the peer sent something after its request
	BadOffers uint64 // of Joined: offered shared memory that could not be used, and got a socket
	Broken    uint64 // cables pulled because the peer broke the rules of the shared memory
}

// records returns all ports there is anything to say about, by number.
func (sw *Switch) records() []*port {
	sw.mu.Lock()
	list := make([]*port, 0, len(sw.ports))
	for _, p := range sw.ports {
		list = append(list, p)
	}
	sw.mu.Unlock()
	slices.SortFunc(list, func(a, b *port) int { return a.num - b.num })
	return list
}

// Stats returns the counters of this moment. It holds up forwarding for as long
// as that takes.
func (sw *Switch) Stats() Stats {
	sw.forwarding.Lock()
	records := sw.records()
	s := Stats{Ports: make([]PortStats, len(records))}
	for i, p := range records {
		s.Ports[i] = p.stats()
	}
	if sw.cfgErr == nil {
		s.Taps = sw.taps.stats().Out
	}
	sw.forwarding.Unlock()

	t := &sw.table
	t.mu.RLock()
	s.Table.Stations = len(t.stations)
	t.mu.RUnlock()
	s.Table.Learned, s.Table.Moved, s.Table.Aged = t.learned.Load(), t.moved.Load(), t.aged.Load()
	s.Table.Full, s.Table.Pinned = t.full.Load(), t.pinned.Load()
	v := &sw.serve
	s.Serve = ServeStats{
		Accepted: v.accepted.Load(), Joined: v.joined.Load(), Refused: v.refused.Load(), Malformed: v.malformed.Load(),
		Silent: v.silent.Load(), Evicted: v.evicted.Load(), Late: v.late.Load(),
		BadOffers: v.badOffers.Load(), Broken: v.broken.Load(),
	}
	return s
}

// stats reads p's counters with forwarding held. Only readers of queues go on
// meanwhile: they turn what is queued into frames taken.
func (p *port) stats() PortStats {
	in, out := &p.in, &p.out
	s := PortStats{
		Port: p.num,
		In: InStats{
			Frames: in.frames.Load(), Bytes: in.bytes.Load(),
			Forwarded: in.forwarded.Load(), Flooded: in.flooded.Load(), Copies: in.copies.Load(),
			Split: in.split.Load(), SplitInto: in.splitInto.Load(),
			Dropped: InDropped{
				Empty: in.dropped[inEmpty].Load(), Runt: in.dropped[inRunt].Load(), Giant: in.dropped[inGiant].Load(),
				VLAN: in.dropped[inVLAN].Load(), Security: in.dropped[inSecurity].Load(),
				Storm: in.dropped[inStorm].Load(), Local: in.dropped[inLocal].Load(),
				Closed: in.dropped[inClosed].Load(), Offload: in.dropped[inOffload].Load(),
			},
		},
		Out: OutStats{
			Offered: out.offered.Load(), Mirrored: out.mirrored.Load(), Frames: out.frames.Load(), Bytes: out.bytes.Load(),
			Dropped: OutDropped{
				Full: out.dropped[outFull].Load(), Oldest: out.dropped[outOldest].Load(),
				Timeout: out.dropped[outTimeout].Load(), Stalled: out.dropped[outStalled].Load(),
				Refused: out.dropped[outRefused].Load(), NoBuffer: out.dropped[outNoBuffer].Load(),
				TooLong: out.dropped[outTooLong].Load(), Closed: out.dropped[outClosed].Load(),
			},
		},
	}
	s.Out.Queued = s.Out.Offered - s.Out.Frames - s.Out.Dropped.Sum()
	return s
}
