// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package metrics shows the counters of connections and switches to Prometheus.
//
//	collector := metrics.New()
//	prometheus.MustRegister(collector)
//	remove := collector.AddConn("uplink", conn)
//	defer remove()
//
// The numbers are those of [vde.Stats] and [vswitch.Stats], read when Prometheus
// asks; nothing is done per frame. For package expvar no module is needed: both
// marshal to JSON as they are.
package metrics

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A Collector is a [prometheus.Collector] of connections and switches. Its
// methods may be called from any goroutine.
type Collector struct {
	mu       sync.Mutex
	conns    map[string]*vde.Conn
	switches map[string]*vswitch.Switch
}

var _ prometheus.Collector = (*Collector)(nil)

// New returns a Collector of nothing.
func New() *Collector {
	return &Collector{conns: make(map[string]*vde.Conn), switches: make(map[string]*vswitch.Switch)}
}

// AddConn adds c, with the label conn="name", in place of any other connection
// of that name. remove takes it out again, if it still has the name; a closed
// connection keeps its last numbers until then.
func (c *Collector) AddConn(name string, conn *vde.Conn) (remove func()) {
	return add(c, c.conns, name, conn)
}

// AddSwitch adds sw, with the label switch="name"; otherwise as AddConn.
func (c *Collector) AddSwitch(name string, sw *vswitch.Switch) (remove func()) {
	return add(c, c.switches, name, sw)
}

func add[V comparable](c *Collector, m map[string]V, name string, v V) (remove func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m[name] = v
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if m[name] == v {
			delete(m, name)
		}
	}
}

// A metric is one kind of number.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func counter(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("vde_"+name, help, labels, nil), prometheus.CounterValue}
}

func gauge(name, help string, labels ...string) metric {
	return metric{prometheus.NewDesc("vde_"+name, help, labels, nil), prometheus.GaugeValue}
}

var (
	connFrames = counter("conn_frames_total", "Frames received or sent.", "conn", "direction")
	connBytes  = counter("conn_bytes_total", "Bytes of frames received or sent.", "conn", "direction")
	connCalls  = counter("conn_calls_total", "System calls, or in-process transfers, that moved frames.", "conn", "direction")
	connDrops  = counter("conn_dropped_total", "Datagrams discarded, or frames not sent, by cause.", "conn", "direction", "cause")
	connUp     = gauge("conn_up", "Whether the connection has not ended.", "conn")

	portFrames  = counter("switch_port_frames_total", "Frames that came from a port, or went to it.", "switch", "port", "direction")
	portBytes   = counter("switch_port_bytes_total", "Bytes of these frames.", "switch", "port", "direction")
	portDrops   = counter("switch_port_dropped_total", "Frames dropped where they came in, or copies where they should have gone out, by cause.", "switch", "port", "direction", "cause")
	portFlooded = counter("switch_port_flooded_total", "Frames from a port that were sent to all others.", "switch", "port")
	portSplit   = counter("switch_port_split_total", "Offloaded frames from a port that had to be cut; what they became is in the frames that came from it.", "switch", "port")
	portParts   = counter("switch_port_split_into_total", "Of the frames that came from a port, those that offloaded frames became.", "switch", "port")
	portQueued  = gauge("switch_port_queued", "Frames in the switch's own queue for a port.", "switch", "port")
	stations    = gauge("switch_stations", "Stations in the learning table.", "switch")
	tableEvents = counter("switch_table_events_total", "What happened to the learning table.", "switch", "event")
	serveEvents = counter("switch_control_events_total", "What happened at the control sockets.", "switch", "event")
)

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range []metric{
		connFrames, connBytes, connCalls, connDrops, connUp,
		portFrames, portBytes, portDrops, portFlooded, portSplit, portParts, portQueued, stations, tableEvents, serveEvents,
	} {
		ch <- m.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	conns, switches := maps.Clone(c.conns), maps.Clone(c.switches)
	c.mu.Unlock()
	send := func(m metric, value uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, float64(value), labels...)
	}
	for _, name := range slices.Sorted(maps.Keys(conns)) {
		collectConn(send, name, conns[name])
	}
	for _, name := range slices.Sorted(maps.Keys(switches)) {
		collectSwitch(send, name, switches[name])
	}
}

type sender func(m metric, value uint64, labels ...string)

func collectConn(send sender, name string, c *vde.Conn) {
	s := c.Stats()
	send(connFrames, s.RxFrames, name, "in")
	send(connFrames, s.TxFrames, name, "out")
	send(connBytes, s.RxBytes, name, "in")
	send(connBytes, s.TxBytes, name, "out")
	send(connCalls, s.RxCalls, name, "in")
	send(connCalls, s.TxCalls, name, "out")
	for cause, n := range map[string]uint64{
		"runt": s.RxRunts, "truncated": s.RxTruncated, "empty": s.RxEmpty, "early": s.RxEarly, "discarded": s.RxDiscarded,
	} {
		send(connDrops, n, name, "in", cause)
	}
	for cause, n := range map[string]uint64{
		"full": s.TxFull, "refused": s.TxRefused, "no_buffer": s.TxNoBuffer, "invalid": s.TxInvalid,
	} {
		send(connDrops, n, name, "out", cause)
	}
	up := uint64(1)
	if c.Err() != nil {
		up = 0
	}
	send(connUp, up, name)
}

func collectSwitch(send sender, name string, sw *vswitch.Switch) {
	s := sw.Stats()
	for _, p := range s.Ports {
		port := strconv.Itoa(p.Port)
		send(portFrames, p.In.Frames, name, port, "in")
		send(portFrames, p.Out.Frames, name, port, "out")
		send(portBytes, p.In.Bytes, name, port, "in")
		send(portBytes, p.Out.Bytes, name, port, "out")
		send(portFlooded, p.In.Flooded, name, port)
		send(portSplit, p.In.Split, name, port)
		send(portParts, p.In.SplitInto, name, port)
		send(portQueued, p.Out.Queued, name, port)
		for cause, n := range fields(p.In.Dropped) {
			send(portDrops, n, name, port, "in", cause)
		}
		for cause, n := range fields(p.Out.Dropped) {
			send(portDrops, n, name, port, "out", cause)
		}
	}
	send(stations, uint64(s.Table.Stations), name)
	for event, n := range fields(s.Table) {
		send(tableEvents, n, name, event)
	}
	for event, n := range fields(s.Serve) {
		send(serveEvents, n, name, event)
	}
}

// fields returns the counters of a struct by name, as in no_buffer. A cause that
// is new there is new here too, without anybody having to remember.
func fields(counters any) map[string]uint64 {
	v := reflect.ValueOf(counters)
	m := make(map[string]uint64, v.NumField())
	for i := range v.NumField() {
		if n, ok := v.Field(i).Interface().(uint64); ok {
			m[snake(v.Type().Field(i).Name)] = n
		}
	}
	return m
}

// snake turns NoBuffer into no_buffer and VLAN into vlan.
func snake(s string) string {
	var b strings.Builder
	for i, r := range s {
		upper := r >= 'A' && r <= 'Z'
		if upper && i > 0 && s[i-1] >= 'a' && s[i-1] <= 'z' {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(string(r)))
	}
	return b.String()
}
