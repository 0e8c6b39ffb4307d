// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package metrics_test

import (
	"fmt"
	"log"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/go-vde/sdk/metrics"
	"github.com/go-vde/sdk/vswitch"
)

// A registry with the counters of a switch and of one of its ports. A program
// serves it with promhttp.HandlerFor.
func Example() {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	conn, err := sw.Attach()
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	registry := prometheus.NewRegistry()
	collector := metrics.New()
	registry.MustRegister(collector)
	remove := collector.AddConn("uplink", conn)
	defer remove()
	defer collector.AddSwitch("lab", sw)()

	families, err := registry.Gather()
	if err != nil {
		log.Fatal(err)
	}
	for _, family := range families {
		if name := family.GetName(); name == "vde_conn_up" || name == "vde_switch_fdb_entries" {
			fmt.Println(name, family.GetMetric()[0].GetGauge().GetValue())
		}
	}
	// Output:
	// vde_conn_up 1
	// vde_switch_fdb_entries 0
}
