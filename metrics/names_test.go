// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package metrics_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-vde/sdk/metrics"
	"github.com/go-vde/sdk/vswitch"
)

// TestNames checks that names of any bytes are labels, and end no scrape.
func TestNames(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	conn, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := metrics.New()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	for _, name := range []string{"b\xfcro", "b\xfdro", `b\xfcro`, "büro", "b\ufffdro", ""} {
		defer c.AddConn(name, conn)()
		defer c.AddSwitch(name, sw)()
	}
	text := gather(t, registry)
	for _, label := range []string{`b\\xfcro`, `b\\xfdro`, `büro`, "b\ufffdro", ""} {
		for _, line := range []string{
			`vde_conn_frames_total{conn="` + label + `",direction="in"} 0`,
			`vde_switch_fdb_events_total{event="learned",switch="` + label + `"} 0`,
		} {
			if !strings.Contains(text, line+"\n") {
				t.Errorf("lacks %s in:\n%s", line, text)
			}
		}
	}
}
