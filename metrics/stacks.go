// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"reflect"

	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/pool"
)

// AddLine does for line what AddConn does for a connection. The label is
// line="name". The connection that [impair.Line.Conn] returns is added by AddConn.
func (c *Collector) AddLine(name string, line *impair.Line) (remove func()) {
	return add(c, c.lines, name, line)
}

// AddPool does for p what AddConn does for a connection. The label is pool="name".
func (c *Collector) AddPool(name string, p *pool.Pool) (remove func()) {
	return add(c, c.pools, name, p)
}

// A StatsOf is what has counters, in a struct S.
type StatsOf[S any] interface{ Stats() S }

// AddHost does for host, a Host of module netstack, what AddConn does for a
// connection. The label is host="name". Only the type of the argument is left open,
// so that programs without a host do not depend on that module. The connection of
// the host is added by AddConn.
func AddHost[S any](c *Collector, name string, host StatsOf[S]) (remove func()) {
	return add(c, c.hosts, name, sourceOf(host))
}

// AddEndpoint does for endpoint, an Endpoint of module netstack, what AddHost does for
// a host, whose endpoint AddHost adds. The label is endpoint="name".
func AddEndpoint[S any](c *Collector, name string, endpoint StatsOf[S]) (remove func()) {
	return add(c, c.endpoints, name, sourceOf(endpoint))
}

// A source returns counters in a struct.
type source = *func() any

func sourceOf[S any](v StatsOf[S]) source {
	stats := func() any { return v.Stats() }
	return &stats
}

var (
	lineEvents         = counter("line_frames_total", "Frames that entered an impaired line, and what became of them.", "line", "direction", "event")
	linePending        = gauge("line_pending", "Frames that are under way on an impaired line.", "line", "direction")
	poolEvents         = counter("pool_buffers_total", "Buffers handed out, released and allocated.", "pool", "event")
	poolLive           = gauge("pool_live", "Buffers handed out and not yet back.", "pool")
	hostEvents         = counter("host_events_total", "Events in the TCP/IP stack of a host, by kind.", "host", "event")
	hostEndpointEvents = counter("host_endpoint_events_total", "Packets that the endpoint of a host moved, dropped or had to wait with, by kind.", "host", "event")
	endpointEvents     = counter("endpoint_events_total", "Packets that an endpoint moved, dropped or had to wait with, by kind.", "endpoint", "event")
)

func collectLine(send sender, name string, line *impair.Line) {
	out, in := line.Stats()
	for direction, stats := range map[string]impair.Stats{"out": out, "in": in} {
		for event, n := range fields(stats) {
			if event != "pending" {
				send(lineEvents, n, name, direction, event)
			}
		}
		send(linePending, stats.Pending, name, direction)
	}
}

func collectPool(send sender, name string, p *pool.Pool) {
	stats := p.Stats()
	for event, n := range fields(stats) {
		send(poolEvents, n, name, event)
	}
	send(poolLive, uint64(max(0, stats.Live)), name)
}

func collectHost(send sender, name string, host source) {
	stats := (*host)()
	for event, n := range fields(stats) {
		send(hostEvents, n, name, event)
	}
	if v := reflect.ValueOf(stats).FieldByName("Endpoint"); v.IsValid() {
		for event, n := range fields(v.Interface()) {
			send(hostEndpointEvents, n, name, event)
		}
	}
}

func collectEndpoint(send sender, name string, endpoint source) {
	for event, n := range fields((*endpoint)()) {
		send(endpointEvents, n, name, event)
	}
}
