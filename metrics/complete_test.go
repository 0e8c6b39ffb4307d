// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package metrics

import (
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/go-vde/sdk/vswitch"
)

// page returns all metrics as text.
func page(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

// series returns the rest of the name of a port's metric for the counter key.
func series(key string) string {
	switch key {
	case "segments":
		return "gso_segments_total"
	case "queued":
		return key
	}
	return key + "_total"
}

// TestComplete checks that each counter of a switch is exported: one that is added to
// vswitch.Stats has to be added here.
func TestComplete(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	if err := sw.Mirror(1, 2); err != nil { // so there are two ports
		t.Fatal(err)
	}
	c := New()
	c.AddSwitch("lab", sw)
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	text := "\n" + page(t, registry)
	exports := func(line string) {
		t.Helper()
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("lacks %s", line)
		}
	}
	all := func(what any, line func(key string) string) {
		v := reflect.ValueOf(what)
		for i := range v.NumField() {
			if v.Field(i).Kind() == reflect.Uint64 {
				exports(line(snake(v.Type().Field(i).Name)))
			}
		}
	}
	port := func(key string) string { return "vde_switch_port_" + series(key) + "{" }
	all(vswitch.InStats{}, port)
	all(vswitch.OutStats{}, port)
	for _, d := range []string{"in", "out"} {
		for _, key := range []string{"frames", "bytes"} {
			exports("vde_switch_port_" + key + `_total{direction="` + d + `",port="1",switch="lab"} 0`)
		}
	}
	dropped := func(direction string) func(string) string {
		return func(key string) string {
			return `vde_switch_port_dropped_total{cause="` + key + `",direction="` + direction + `",port="1",switch="lab"} 0`
		}
	}
	all(vswitch.InDropped{}, dropped("in"))
	all(vswitch.OutDropped{}, dropped("out"))
	all(vswitch.OutDropped{}, func(key string) string { return `vde_switch_monitor_dropped_total{cause="` + key + `",switch="lab"} 0` })
	for _, key := range []string{"frames_total", "bytes_total", "offered_total", "queued"} {
		exports("vde_switch_monitor_" + key + `{switch="lab"} 0`)
	}
	all(vswitch.FDBStats{}, func(key string) string { return `vde_switch_fdb_events_total{event="` + key + `",switch="lab"} 0` })
	all(vswitch.ServeStats{}, func(key string) string { return `vde_switch_control_events_total{event="` + key + `",switch="lab"} 0` })
	for _, key := range []string{"endpoints", "fdb_entries", "blocked", "links_down"} {
		exports("vde_switch_port_" + key + `{port="1",switch="lab"} 0`)
	}
	exports(`vde_switch_port_blocks_total{port="1",switch="lab"} 0`)
	exports(`vde_switch_fdb_entries{switch="lab"} 0`)
}
