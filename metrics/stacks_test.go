// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package metrics_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"

	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/metrics"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// The types of a host and an endpoint, as in module netstack, on which this one does
// not depend.
type (
	endpointStats struct {
		Conn                       vde.Stats
		RxDelivered, TxDroppedFull uint64
	}
	hostStats struct {
		Endpoint                        endpointStats
		TCPSegmentsSent, TCPRetransmits uint64
	}
	endpoint struct{}
	host     struct{}
)

func (*endpoint) Stats() endpointStats { return endpointStats{RxDelivered: 7, TxDroppedFull: 2} }

func (*host) Stats() hostStats {
	return hostStats{Endpoint: new(endpoint).Stats(), TCPSegmentsSent: 5, TCPRetransmits: 1}
}

// TestWhatIsBuiltOnConns checks the metrics of lines, pools, hosts and endpoints.
func TestWhatIsBuiltOnConns(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	conn, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	line, err := impair.New(conn, impair.Config{Out: impair.Impairment{Loss: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer line.Conn().Close()
	if _, err := line.Conn().Write(make([]byte, 60)); err != nil {
		t.Fatal(err)
	}
	buffers := pool.New(100, 0)
	defer buffers.Get().Release()

	c := metrics.New()
	removes := []func(){c.AddLine("wan", line), c.AddPool("rx", buffers), metrics.AddHost(c, "web", new(host)), metrics.AddEndpoint(c, "nic", new(endpoint))}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	text, err := testutil.GatherAndFormat(registry, expfmt.TypeTextPlain, "vde_line_frames_total", "vde_line_pending",
		"vde_pool_buffers_total", "vde_pool_live", "vde_host_events_total", "vde_host_endpoint_events_total", "vde_endpoint_events_total")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`vde_line_frames_total{direction="out",event="lost",line="wan"} 1`,
		`vde_line_frames_total{direction="in",event="frames",line="wan"} 0`,
		`vde_line_pending{direction="out",line="wan"} 0`,
		`vde_pool_buffers_total{event="gets",pool="rx"} 1`,
		`vde_pool_live{pool="rx"} 1`,
		`vde_host_events_total{event="tcp_segments_sent",host="web"} 5`,
		`vde_host_endpoint_events_total{event="tx_dropped_full",host="web"} 2`,
		`vde_endpoint_events_total{endpoint="nic",event="rx_delivered"} 7`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("lacks %s in:\n%s", want, text)
		}
	}
	for _, remove := range removes {
		remove()
	}
	if families, err := registry.Gather(); err != nil || len(families) > 0 {
		t.Errorf("after all was removed: %v\n%v", err, families)
	}
}
