// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package metrics_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"go.uber.org/goleak"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/metrics"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// collectedPair attaches two ports to a new switch, sends three frames and a runt
// from the first to the second, which reads one of them, and adds all of it to a
// collector.
func collectedPair(t *testing.T) (c *metrics.Collector, a, b *vde.Conn, removeA func()) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{})
	t.Cleanup(func() { sw.Close() })
	var conns [2]*vde.Conn
	for i := range conns {
		var err error
		if conns[i], err = sw.Attach(); err != nil {
			t.Fatal(err)
		}
	}
	a, b = conns[0], conns[1]
	f := frame.AppendHeader(make([]byte, 0, 100), frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)[:100]
	if _, err := a.WriteBatch([][]byte{f, f, f}); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(f[:5]); err == nil {
		t.Fatal("a runt was sent")
	}
	if _, err := b.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	c = metrics.New()
	removeA = c.AddConn("a", a)
	c.AddConn("b", b)
	c.AddSwitch("lab", sw)
	return c, a, b, removeA
}

// collected is what a collector of collectedPair exports after b was closed.
const collected = `
# HELP vde_conn_frames_total Frames received or sent.
# TYPE vde_conn_frames_total counter
vde_conn_frames_total{conn="a",direction="in"} 0
vde_conn_frames_total{conn="a",direction="out"} 3
vde_conn_frames_total{conn="b",direction="in"} 1
vde_conn_frames_total{conn="b",direction="out"} 0
# HELP vde_conn_up 1 until the connection ends, then 0.
# TYPE vde_conn_up gauge
vde_conn_up{conn="a"} 1
vde_conn_up{conn="b"} 0
# HELP vde_switch_fdb_entries Entries of the forwarding database.
# TYPE vde_switch_fdb_entries gauge
vde_switch_fdb_entries{switch="lab"} 1
# HELP vde_switch_port_frames_total Frames received from a port, or sent to it.
# TYPE vde_switch_port_frames_total counter
vde_switch_port_frames_total{direction="in",port="1",switch="lab"} 3
vde_switch_port_frames_total{direction="in",port="2",switch="lab"} 0
vde_switch_port_frames_total{direction="out",port="1",switch="lab"} 0
vde_switch_port_frames_total{direction="out",port="2",switch="lab"} 1
`

func TestCollector(t *testing.T) {
	c, a, b, removeA := collectedPair(t)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	b.Close()
	if err := testutil.GatherAndCompare(registry, strings.NewReader(collected), "vde_conn_frames_total", "vde_conn_up", "vde_switch_port_frames_total", "vde_switch_fdb_entries"); err != nil {
		t.Error(err)
	}
	text := gather(t, registry)
	for _, line := range []string{
		`vde_conn_dropped_total{cause="invalid",conn="a",direction="out"} 1`,
		`vde_conn_dropped_total{cause="foreign",conn="a",direction="in"} 0`,
		`vde_conn_dropped_total{cause="unsent",conn="a",direction="out"} 0`,
		`vde_switch_port_dropped_total{cause="no_buffer",direction="out",port="1",switch="lab"} 0`,
		`vde_switch_port_dropped_total{cause="vlan",direction="in",port="1",switch="lab"} 0`,
		`vde_switch_port_dropped_total{cause="offload",direction="in",port="1",switch="lab"} 0`,
		`vde_switch_port_gso_frames_total{port="1",switch="lab"} 0`,
		`vde_switch_port_gso_segments_total{port="1",switch="lab"} 0`,
		`vde_switch_fdb_events_total{event="learned",switch="lab"} 1`,
		`vde_switch_control_events_total{event="malformed",switch="lab"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("lacks %s in:\n%s", line, text)
		}
	}

	removeA()
	c.AddConn("b", a)
	if text := gather(t, registry); strings.Contains(text, `conn="a"`) || !strings.Contains(text, `vde_conn_frames_total{conn="b",direction="out"} 3`) {
		t.Errorf("after a was removed and took the name of b:\n%s", text)
	}
}

// gather returns some metrics as text.
func gather(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	text, err := testutil.GatherAndFormat(registry, expfmt.TypeTextPlain, "vde_conn_frames_total", "vde_conn_dropped_total",
		"vde_switch_port_dropped_total", "vde_switch_port_gso_frames_total", "vde_switch_port_gso_segments_total", "vde_switch_fdb_events_total", "vde_switch_control_events_total")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
