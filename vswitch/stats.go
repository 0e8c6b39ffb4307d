// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"iter"
	"slices"
	"sync/atomic"
)

// A dropCause says why a frame, or a copy of one, went nowhere.
type dropCause uint8

// Causes at the port that a frame comes from.
const (
	inEmpty    dropCause = iota // a datagram of length zero
	inRunt                      // no whole header
	inGiant                     // longer than MaxFrameSize
	inVLAN                      // of a VLAN that the port is not in
	inSecurity                  // from an address that may not be behind the port
	inStorm                     // too much to flood
	inLocal                     // its destination is behind the port it comes from
	inClosed                    // the endpoint ended with the frame unread
	inOffload                   // not what its virtio-net header says
	inSegments                  // a GSO frame that would become too many segments
	inGroup                     // from a group address
	inTagged                    // tagged, on an access port
	inIsolated                  // its destination is behind another isolated port
	inProbe                     // a probe of the switch itself
	inBlocked                   // the port is blocked because of a loop
	inImpaired                  // lost by an impairment
	inFull                      // too many were under way in an impairment
	numInCauses
)

// inCauseNames are the names of InDropped.Causes.
var inCauseNames = [numInCauses]string{
	inEmpty: "empty", inRunt: "runt", inGiant: "giant", inVLAN: "vlan", inSecurity: "security", inStorm: "storm",
	inLocal: "local", inClosed: "closed", inOffload: "offload", inSegments: "segments", inGroup: "group",
	inTagged: "tagged", inIsolated: "isolated", inProbe: "probe", inBlocked: "blocked",
	inImpaired: "impaired", inFull: "full",
}

// counters returns the counters of d by cause.
func (d *InDropped) counters() []*uint64 {
	return []*uint64{
		inEmpty: &d.Empty, inRunt: &d.Runt, inGiant: &d.Giant, inVLAN: &d.VLAN, inSecurity: &d.Security, inStorm: &d.Storm,
		inLocal: &d.Local, inClosed: &d.Closed, inOffload: &d.Offload, inSegments: &d.Segments, inGroup: &d.Group,
		inTagged: &d.Tagged, inIsolated: &d.Isolated, inProbe: &d.Probe, inBlocked: &d.Blocked,
		inImpaired: &d.Impaired, inFull: &d.Full,
	}
}

// Causes at a port that a copy is for.
const (
	outFull     dropCause = iota // no room, and the policy or the kind of frame forbids waiting
	outHeadDrop                  // made room for a later one
	outTimeout                   // no room within the policy's time
	outStalled                   // no room, and the sender does not wait
	outRefused                   // the peer's socket is gone or refuses us
	outNoBuffer                  // the kernel has no memory
	outTooLong                   // longer than the kernel's queue allows
	outClosed                    // the endpoint ended with the frame unread
	outBlocked                   // the port is blocked because of a loop
	outImpaired                  // lost by an impairment
	numOutCauses
)

// outCauseNames are the names of OutDropped.Causes.
var outCauseNames = [numOutCauses]string{
	outFull: "full", outHeadDrop: "head_drop", outTimeout: "timeout", outStalled: "stalled", outRefused: "refused",
	outNoBuffer: "no_buffer", outTooLong: "too_long", outClosed: "closed", outBlocked: "blocked",
	outImpaired: "impaired",
}

// counters returns the counters of d by cause.
func (d *OutDropped) counters() []*uint64 {
	return []*uint64{
		outFull: &d.Full, outHeadDrop: &d.HeadDrop, outTimeout: &d.Timeout, outStalled: &d.Stalled, outRefused: &d.Refused,
		outNoBuffer: &d.NoBuffer, outTooLong: &d.TooLong, outClosed: &d.Closed, outBlocked: &d.Blocked,
		outImpaired: &d.Impaired,
	}
}

// inCounters count what comes from a port.
type inCounters struct {
	frames, bytes, forwarded, flooded, copies atomic.Uint64
	gsoFrames, segments, duplicated           atomic.Uint64
	dropped                                   [numInCauses]atomic.Uint64
}

// outCounters count what is for a port.
type outCounters struct {
	offered, mirrored, probes, duplicated, frames, bytes atomic.Uint64
	dropped                                              [numOutCauses]atomic.Uint64
}

// serveCounters count what happens at control sockets.
type serveCounters struct {
	accepted, joined, refused, malformed, silent, evicted, trailingBytes, ringsRejected, violations, ringsOverBudget atomic.Uint64
}

// Stats are the counters of a switch since New, all of one moment. A batch may be under
// way at that moment: what has been made of it by then is in all of them.
//
// For each port
//
//	In.Frames   = In.Forwarded + the sum of In.Dropped
//	Out.Offered = Out.Frames + the sum of Out.Dropped + Out.Queued
//
// and over all ports
//
//	the sum of In.Copies = the sum of Out.Offered - Out.Probes - Out.Duplicated + Monitors.Offered
//
// A forwarded frame makes one copy for each endpoint that it is for, none if
// there is no such endpoint, and one for each mirror and monitor that sees it.
//
// A GSO frame that goes only to ports that take it is one frame in all counters.
// One that is segmented counts as its segments, in Frames and everything that
// follows from it, so that
//
//	In.Frames - In.Segments + In.GSOFrames - In.Duplicated
//
// is the number of frames that the port's peer sent. Bytes are those of frames,
// without metadata. Frames from a port that its PortConfig.Impair delays are in no
// counter until they have been dealt with.
//
// The struct marshals to JSON; for package expvar see the example.
type Stats struct {
	Ports    []PortStats // by number
	Monitors OutStats    // of all monitor sessions together
	FDB      FDBStats
	Serve    ServeStats
}

// PortStats counts the frames of a port over all endpoints it has had.
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
	GSOFrames uint64 // GSO frames that were segmented; Frames counts none of them
	Segments  uint64 // of Frames: the segments of GSOFrames

	// Duplicated is how many frames PortConfig.Impair has made: of Frames, those that
	// the peer did not send, with each GSO frame that was segmented as one.
	Duplicated uint64

	Dropped InDropped
}

// InDropped counts frames dropped where they came in, by cause.
type InDropped struct {
	Empty    uint64 // of length zero: old clients send one as they leave
	Runt     uint64 // no whole header, or a VLAN tag cut off
	Giant    uint64 // longer than Config.MaxFrameSize
	VLAN     uint64 // of a VLAN that the port is not in
	Security uint64 // from an address that may not be behind the port: see MACLimit, Static
	Storm    uint64 // over PortConfig.StormLimit
	Local    uint64 // for an address behind the same port
	Closed   uint64 // still unread when the switch ended the endpoint
	Offload  uint64 // not what its virtio-net header says
	Segments uint64 // GSO frames of more than frame.MaxGSOSegments segments, or of shorter ones than frame.MinGSOSize
	Group    uint64 // from a group address, which no host has
	Tagged   uint64 // tagged, on an access port; see PortConfig.Tagged
	Isolated uint64 // for an address behind another isolated port
	Probe    uint64 // the switch's own, which find loops; see LoopProtection
	Blocked  uint64 // the port was blocked because of a loop
	Impaired uint64 // lost by PortConfig.Impair
	Full     uint64 // too many were under way in PortConfig.Impair
}

// OutStats counts copies of frames for a port.
type OutStats struct {
	Offered    uint64
	Mirrored   uint64 // of Offered: because the port is a mirror
	Probes     uint64 // of Offered: the switch's own, which find loops; see LoopProtection
	Duplicated uint64 // of Offered: made by PortConfig.Impair
	Frames     uint64 // taken by the kernel for the peer, or by the in-process reader
	Bytes      uint64 // in Frames
	Queued     uint64 // in the switch's own queue, or delayed by PortConfig.Impair
	Dropped    OutDropped
}

// OutDropped counts copies dropped where they should have gone out, by cause.
type OutDropped struct {
	Full     uint64 // queue full, and the policy, or being flooded or mirrored, forbade waiting; or too many were under way in PortConfig.Impair
	HeadDrop uint64 // made room for later ones under HeadDrop
	Timeout  uint64 // still no room when PortConfig.Wait was over
	Stalled  uint64 // queue full, and the sender does not wait: after several time-outs, or because it has waited too much (see Backpressure)
	Refused  uint64 // the peer's data socket is gone, or takes nothing from us
	NoBuffer uint64 // the kernel had no memory
	TooLong  uint64 // longer than the kernel's queue: see Config.WriteBuffer
	Closed   uint64 // in the queue, or on the way to it, when the endpoint ended
	Blocked  uint64 // the port was blocked because of a loop
	Impaired uint64 // lost by PortConfig.Impair
}

// Causes returns the number of frames dropped for each cause, in the order of the fields,
// with names such as vlan.
func (d InDropped) Causes() iter.Seq2[string, uint64] {
	return causes(inCauseNames[:], d.counters())
}

// Causes returns the number of copies dropped for each cause, in the order of the fields,
// with names such as too_long.
func (d OutDropped) Causes() iter.Seq2[string, uint64] {
	return causes(outCauseNames[:], d.counters())
}

func causes(names []string, counters []*uint64) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		for i, n := range counters {
			if !yield(names[i], *n) {
				return
			}
		}
	}
}

// Sum returns the number of frames dropped for any cause.
func (d InDropped) Sum() (sum uint64) {
	for _, n := range d.Causes() {
		sum += n
	}
	return sum
}

// Sum returns the number of copies dropped for any cause.
func (d OutDropped) Sum() (sum uint64) {
	for _, n := range d.Causes() {
		sum += n
	}
	return sum
}

// FDBStats counts what happened to the FDB.
type FDBStats struct {
	Entries     int    // at this moment
	Learned     uint64 // entries made, static ones not included
	Moved       uint64 // entries whose address was seen on another port
	Aged        uint64 // entries removed for their age
	Full        uint64 // frames from addresses not learned because the FDB was full
	StaticMoves uint64 // frames from the address of a static entry of another port
}

// ServeStats counts what happened at control sockets.
type ServeStats struct {
	Accepted      uint64 // connections
	Joined        uint64 // connections that became endpoints
	Refused       uint64 // asked for what they may not have
	Malformed     uint64 // sent no valid request
	Silent        uint64 // did not send their request in time, or closed before
	Evicted       uint64 // were closed before their request was read because there were too many
	TrailingBytes uint64 // endpoints ended because the peer sent bytes after its request
	RingsRejected uint64 // of Joined: offered shared memory that could not be used, and got a stream or a socket
	Violations    uint64 // endpoints ended because the peer violated the protocol of shared memory or of streams

	// RingsOverBudget, of Joined, offered more shared memory than
	// Config.MaxSharedMemory left for them, and got a stream or a socket.
	RingsOverBudget uint64
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

// Stats returns the counters of this moment. It holds up forwarding only for that
// moment, however many ports there are.
//
// Each port has two sets of counters. Stats has all that happens from now on added to
// the other one, and then moves what is in the first one to the totals, which nobody
// else uses.
func (sw *Switch) Stats() Stats {
	sw.statsMu.Lock()
	defer sw.statsMu.Unlock()
	used := sw.countersInUse.Load()
	// A reader of a queue may have noted which set is in use before the last call, and
	// have added to it since.
	for _, p := range sw.records() {
		p.moveCounters(1 - used)
	}
	if sw.monitors != nil {
		sw.monitors.moveCounters(1 - used)
	}
	sw.forwarding.Lock()
	sw.countersInUse.Store(1 - used)
	sw.forwarding.Unlock()

	records := sw.records() // with those that came meanwhile
	s := Stats{Ports: make([]PortStats, len(records))}
	for i, p := range records {
		s.Ports[i] = p.moveCounters(used)
	}
	if sw.cfgErr == nil {
		s.Monitors = sw.monitors.moveCounters(used).Out
	}

	if sw.fdb != nil {
		s.FDB = FDBStats(sw.fdb.Stats())
	}
	v := &sw.serve
	s.Serve = ServeStats{
		Accepted: v.accepted.Load(), Joined: v.joined.Load(), Refused: v.refused.Load(), Malformed: v.malformed.Load(),
		Silent: v.silent.Load(), Evicted: v.evicted.Load(), TrailingBytes: v.trailingBytes.Load(),
		RingsRejected: v.ringsRejected.Load(), Violations: v.violations.Load(),
		RingsOverBudget: v.ringsOverBudget.Load(),
	}
	return s
}

// inNow returns the counters that are in use; sw.forwarding is held for reading.
func (p *port) inNow() *inCounters { return &p.in[p.sw.countersInUse.Load()] }

// outNow returns the counters that are in use. Without sw.forwarding it is called
// after what is to be counted has happened, so what was queued after the moment of a
// call of Stats is not counted as taken before it.
func (p *port) outNow() *outCounters { return &p.out[p.sw.countersInUse.Load()] }

// moveCounters moves a set of counters, which is not in use, to the totals and returns
// these. sw.statsMu is held.
func (p *port) moveCounters(set uint32) PortStats {
	in, out, t := &p.in[set], &p.out[set], &p.total
	move(&t.In.Frames, &in.frames)
	move(&t.In.Bytes, &in.bytes)
	move(&t.In.Forwarded, &in.forwarded)
	move(&t.In.Flooded, &in.flooded)
	move(&t.In.Copies, &in.copies)
	move(&t.In.GSOFrames, &in.gsoFrames)
	move(&t.In.Segments, &in.segments)
	move(&t.In.Duplicated, &in.duplicated)
	for i, to := range t.In.Dropped.counters() {
		move(to, &in.dropped[i])
	}
	move(&t.Out.Offered, &out.offered)
	move(&t.Out.Mirrored, &out.mirrored)
	move(&t.Out.Probes, &out.probes)
	move(&t.Out.Duplicated, &out.duplicated)
	move(&t.Out.Frames, &out.frames)
	move(&t.Out.Bytes, &out.bytes)
	for i, to := range t.Out.Dropped.counters() {
		move(to, &out.dropped[i])
	}
	t.Out.Queued = t.Out.Offered - t.Out.Frames - t.Out.Dropped.Sum()
	return *t
}

// move moves what from holds to to.
func move(to *uint64, from *atomic.Uint64) {
	if from.Load() != 0 {
		*to += from.Swap(0)
	}
}
