// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/go-vde/sdk/testutil"
)

// TestJSON checks that commands which print results print them as one JSON object,
// and nothing else.
func TestJSON(t *testing.T) {
	testutil.NoLeaks(t)
	h := newHostTest(t)
	stop := h.serve()
	for _, test := range []struct {
		args []string
		want map[string]any // of the object
	}{
		{[]string{"version"}, map[string]any{"module": nil}},
		{[]string{"doctor", "--net", h.net}, map[string]any{"usable": true, "network": h.net, "max_frame_bytes": nil, "findings": nil}},
		{[]string{"doctor", "--net", "/nowhere/sw"}, map[string]any{"usable": false, "network": "/nowhere/sw"}},
		{[]string{"ping", "10.0.0.1", "--net", h.net, "--addr", "10.0.0.2/24", "-c", "2", "-i", "1ms"}, map[string]any{"sent": 2.0, "answered": 2.0, "round_trips_ns": nil}},
		{
			[]string{"get", "http://10.0.0.1:8080/image", "--net", h.net, "--addr", "10.0.0.2/24", "-o", filepath.Join(h.got, "copy")},
			map[string]any{"bytes": float64(len(h.content)), "host": nil},
		},
		{[]string{"plug", h.net, "cmd://true"}, map[string]any{"networks": nil, "conns": nil, "passed": nil, "reason": nil}},
		{[]string{"demo", "--size", "1"}, map[string]any{"bytes": 1048576.0, "server": nil, "dropped": nil}},
		{[]string{"demo", "frames", "--frames", "100"}, map[string]any{"flows": nil, "ports": nil}},
	} {
		out, err := execute(t.Context(), append(test.args, "--json")...)
		if usable, ok := test.want["usable"]; (err == nil) != (!ok || usable == true) {
			t.Errorf("%v: %v", test.args, err)
		}
		var got map[string]any
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Errorf("%v: %v\n%s", test.args, err, out)
			continue
		}
		for key, want := range test.want {
			if value, ok := got[key]; !ok || want != nil && value != want {
				t.Errorf("%v: %s is %v, want %v\n%s", test.args, key, value, want, out)
			}
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
