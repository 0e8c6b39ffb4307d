// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package metrics exports the counters of connections, switches and what is built on
// them to Prometheus.
// Use it in a program that serves a /metrics page; for package expvar no module
// is needed, because [vde.Stats] and [vswitch.Stats] marshal to JSON as they are.
//
//	collector := metrics.New()
//	prometheus.MustRegister(collector)
//	remove := collector.AddConn("uplink", conn)
//	defer remove()
//
// The package's example is a complete program.
//
// The counters are read when Prometheus asks for them; nothing is done for each
// frame. A [Collector] has no options: names are given to AddConn, AddSwitch and so on,
// and the prefix of all metrics is vde.
package metrics

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A Collector is a [prometheus.Collector] of connections, switches, impaired lines,
// pools of buffers, and the hosts and endpoints of module netstack. Its
// methods may be called from any goroutine.
type Collector struct {
	mu        sync.Mutex
	conns     map[string]*vde.Conn
	switches  map[string]*vswitch.Switch
	lines     map[string]*impair.Line
	pools     map[string]*pool.Pool
	hosts     map[string]source
	endpoints map[string]source
}

var _ prometheus.Collector = (*Collector)(nil)

// New returns a Collector of nothing yet.
func New() *Collector {
	return &Collector{
		conns: make(map[string]*vde.Conn), switches: make(map[string]*vswitch.Switch),
		lines: make(map[string]*impair.Line), pools: make(map[string]*pool.Pool),
		hosts: make(map[string]source), endpoints: make(map[string]source),
	}
}

// AddConn adds conn with the label conn="name" and replaces any other connection
// of that name. remove removes it, unless it has been replaced. A closed
// connection keeps its last values until then.
//
// Labels are UTF-8. In a name that is not, each byte that is not part of a character
// becomes its hexadecimal number, as in b\xfcro; names that are equal then are the
// same name.
func (c *Collector) AddConn(name string, conn *vde.Conn) (remove func()) {
	return add(c, c.conns, name, conn)
}

// AddSwitch does for sw what AddConn does for a connection. The label is
// switch="name".
func (c *Collector) AddSwitch(name string, sw *vswitch.Switch) (remove func()) {
	return add(c, c.switches, name, sw)
}

func add[V comparable](c *Collector, m map[string]V, name string, v V) (remove func()) {
	name = label(name)
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

// label returns name as the value of a label, which has to be UTF-8. Names are often
// paths, and those are any bytes.
func label(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	var b strings.Builder
	for len(name) > 0 {
		r, n := utf8.DecodeRuneInString(name)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, `\x%02x`, name[0])
		} else {
			b.WriteString(name[:n])
		}
		name = name[n:]
	}
	return b.String()
}

// A metric is a name with its labels, and whether it is a counter.
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
	connDrops  = counter("conn_dropped_total", "Datagrams discarded, or frames not sent, by cause; the cause unsent is for frames that were counted as sent before.", "conn", "direction", "cause")
	connUp     = gauge("conn_up", "1 until the connection ends, then 0.", "conn")
)

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range slices.Concat([]metric{
		connFrames, connBytes, connCalls, connDrops, connUp,
		lineEvents, linePending, poolEvents, poolLive, hostEvents, hostEndpointEvents, endpointEvents,
	}, switchMetrics) {
		ch <- m.desc
	}
}

// Collect implements [prometheus.Collector].
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	conns, switches := maps.Clone(c.conns), maps.Clone(c.switches)
	lines, pools := maps.Clone(c.lines), maps.Clone(c.pools)
	hosts, endpoints := maps.Clone(c.hosts), maps.Clone(c.endpoints)
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
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		collectLine(send, name, lines[name])
	}
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		collectPool(send, name, pools[name])
	}
	for _, name := range slices.Sorted(maps.Keys(hosts)) {
		collectHost(send, name, hosts[name])
	}
	for _, name := range slices.Sorted(maps.Keys(endpoints)) {
		collectEndpoint(send, name, endpoints[name])
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
		"runt": s.RxRunts, "truncated": s.RxTruncated, "empty": s.RxEmpty, "foreign": s.RxForeign, "discarded": s.RxDiscarded,
		"missed": s.RxMissed,
	} {
		send(connDrops, n, name, "in", cause)
	}
	for cause, n := range map[string]uint64{
		"full": s.TxFull, "refused": s.TxRefused, "no_buffer": s.TxNoBuffer, "invalid": s.TxInvalid, "unsent": s.TxUnsent,
	} {
		send(connDrops, n, name, "out", cause)
	}
	up := uint64(1)
	if c.Err() != nil {
		up = 0
	}
	send(connUp, up, name)
}

// fields returns the counters of a struct by name, as in no_buffer. Reflection
// makes sure that a counter which is added to the struct is exported too.
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

// snake turns NoBuffer into no_buffer, VLAN into vlan and TCPTimeouts into tcp_timeouts.
func snake(s string) string {
	upper := func(i int) bool { return s[i] >= 'A' && s[i] <= 'Z' }
	var b strings.Builder
	for i := range len(s) {
		if i > 0 && upper(i) && (!upper(i-1) || i+1 < len(s) && !upper(i+1)) {
			b.WriteByte('_')
		}
		b.WriteString(strings.ToLower(s[i : i+1]))
	}
	return b.String()
}
