// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"strconv"

	"github.com/go-vde/sdk/vswitch"
)

var (
	portFrames      = counter("switch_port_frames_total", "Frames received from a port, or sent to it.", "switch", "port", "direction")
	portBytes       = counter("switch_port_bytes_total", "Bytes of frames received from a port, or sent to it.", "switch", "port", "direction")
	portDrops       = counter("switch_port_dropped_total", "Frames dropped when they were received, or copies dropped before they were sent, by cause.", "switch", "port", "direction", "cause")
	portForwarded   = counter("switch_port_forwarded_total", "Frames from a port that were not dropped when they were received.", "switch", "port")
	portFlooded     = counter("switch_port_flooded_total", "Frames from a port that were sent to all other ports.", "switch", "port")
	portCopies      = counter("switch_port_copies_total", "Copies made of the frames from a port, for ports and monitor sessions.", "switch", "port")
	portGSOFrames   = counter("switch_port_gso_frames_total", "GSO frames from a port that were segmented, for ports that take ordinary frames only.", "switch", "port")
	portGSOSegments = counter("switch_port_gso_segments_total", "Of the frames received from a port, those that are segments of GSO frames.", "switch", "port")
	portOffered     = counter("switch_port_offered_total", "Copies for a port: sent, dropped or in the queue.", "switch", "port")
	portMirrored    = counter("switch_port_mirrored_total", "Of the copies for a port, those of frames of a port that is mirrored to it.", "switch", "port")
	portProbes      = counter("switch_port_probes_total", "Of the copies for a port, those of the switch's own probes.", "switch", "port")
	portDuplicated  = counter("switch_port_duplicated_total", "Of the frames received from a port, or of the copies for it, those that its impairments have made.", "switch", "port", "direction")
	portQueued      = gauge("switch_port_queued", "Frames in the queue of the switch for a port, or delayed by its impairments.", "switch", "port")
	portEndpoints   = gauge("switch_port_endpoints", "Endpoints of a port.", "switch", "port")
	portFDBEntries  = gauge("switch_port_fdb_entries", "Entries of the forwarding database for a port.", "switch", "port")
	portBlocked     = gauge("switch_port_blocked", "1 while a port is blocked because of a loop, otherwise 0.", "switch", "port")
	portBlocks      = counter("switch_port_blocks_total", "How often a port was blocked because of a loop.", "switch", "port")
	portLinksDown   = gauge("switch_port_links_down", "Links of a port that are down and will be opened again.", "switch", "port")

	monitorFrames  = counter("switch_monitor_frames_total", "Frames read in monitor sessions.", "switch")
	monitorBytes   = counter("switch_monitor_bytes_total", "Bytes of frames read in monitor sessions.", "switch")
	monitorOffered = counter("switch_monitor_offered_total", "Copies for monitor sessions: read, dropped or in their queues.", "switch")
	monitorDrops   = counter("switch_monitor_dropped_total", "Copies for monitor sessions that were dropped, by cause.", "switch", "cause")
	monitorQueued  = gauge("switch_monitor_queued", "Frames in the queues for monitor sessions.", "switch")

	fdbEntries    = gauge("switch_fdb_entries", "Entries of the forwarding database.", "switch")
	fdbEvents     = counter("switch_fdb_events_total", "Changes of the forwarding database, by kind.", "switch", "event")
	controlEvents = counter("switch_control_events_total", "Events at the control sockets, by kind.", "switch", "event")
)

// switchMetrics are all metrics of switches.
var switchMetrics = []metric{
	portFrames, portBytes, portDrops, portForwarded, portFlooded, portCopies, portGSOFrames, portGSOSegments,
	portOffered, portMirrored, portProbes, portDuplicated, portQueued, portEndpoints, portFDBEntries, portBlocked, portBlocks, portLinksDown,
	monitorFrames, monitorBytes, monitorOffered, monitorDrops, monitorQueued,
	fdbEntries, fdbEvents, controlEvents,
}

func collectSwitch(send sender, name string, sw *vswitch.Switch) {
	s := sw.Stats()
	for _, p := range s.Ports {
		collectPort(send, name, p)
	}
	for _, p := range sw.Ports() {
		collectPortState(send, name, p)
	}
	send(monitorFrames, s.Monitors.Frames, name)
	send(monitorBytes, s.Monitors.Bytes, name)
	send(monitorOffered, s.Monitors.Offered, name)
	send(monitorQueued, s.Monitors.Queued, name)
	for cause, n := range fields(s.Monitors.Dropped) {
		send(monitorDrops, n, name, cause)
	}
	send(fdbEntries, uint64(s.FDB.Entries), name)
	for event, n := range fields(s.FDB) {
		send(fdbEvents, n, name, event)
	}
	for event, n := range fields(s.Serve) {
		send(controlEvents, n, name, event)
	}
}

func collectPort(send sender, name string, p vswitch.PortStats) {
	port := strconv.Itoa(p.Port)
	send(portFrames, p.In.Frames, name, port, "in")
	send(portFrames, p.Out.Frames, name, port, "out")
	send(portBytes, p.In.Bytes, name, port, "in")
	send(portBytes, p.Out.Bytes, name, port, "out")
	send(portForwarded, p.In.Forwarded, name, port)
	send(portFlooded, p.In.Flooded, name, port)
	send(portCopies, p.In.Copies, name, port)
	send(portGSOFrames, p.In.GSOFrames, name, port)
	send(portGSOSegments, p.In.Segments, name, port)
	send(portOffered, p.Out.Offered, name, port)
	send(portMirrored, p.Out.Mirrored, name, port)
	send(portProbes, p.Out.Probes, name, port)
	send(portDuplicated, p.In.Duplicated, name, port, "in")
	send(portDuplicated, p.Out.Duplicated, name, port, "out")
	send(portQueued, p.Out.Queued, name, port)
	for cause, n := range fields(p.In.Dropped) {
		send(portDrops, n, name, port, "in", cause)
	}
	for cause, n := range fields(p.Out.Dropped) {
		send(portDrops, n, name, port, "out", cause)
	}
}

func collectPortState(send sender, name string, p vswitch.PortInfo) {
	port := strconv.Itoa(p.Number)
	var down, blocked uint64
	for _, e := range p.Endpoints {
		if e.Down {
			down++
		}
	}
	if p.Loop.Blocked {
		blocked = 1
	}
	send(portEndpoints, uint64(len(p.Endpoints)), name, port)
	send(portFDBEntries, uint64(p.FDBEntries), name, port)
	send(portBlocked, blocked, name, port)
	send(portBlocks, p.Loop.Blocks, name, port)
	send(portLinksDown, down, name, port)
}
