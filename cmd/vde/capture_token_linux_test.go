// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/json"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-vde/sdk/testutil"
)

// TestPortCaptureHidesToken checks that what is printed about a capture does not have the
// token of the URL by which the switch was named.
func TestPortCaptureHidesToken(t *testing.T) {
	dir := filepath.Join(testutil.ShortDir(t), "ctl")
	log, _ := startSwitch(t, dir, "--no-api", "--http", "127.0.0.1:0", "--http-write")
	m := regexp.MustCompile(`The switch is shown at ((http://\S+/)#token=(\S+))`).FindStringSubmatch(log.String())
	if m == nil {
		t.Fatalf("no URL in %s", log)
	}
	station := openNet(t, dir+"[1]")
	o := captureOptions{jsonOption: jsonOption{true}, output: "x", count: 1, port: "1", create: func(context.Context, string) (io.WriteCloser, error) {
		if _, err := station.Write(stationFrame(1, 2)); err != nil {
			t.Error(err)
		}
		return new(memoryFile), nil
	}}
	var out, messages strings.Builder
	if err := runCapture(t.Context(), &out, &messages, m[1], o); err != nil {
		t.Fatal(err)
	}
	var got portCaptureResult
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got.Network != m[2] || strings.Contains(out.String()+messages.String(), m[3]) {
		t.Errorf("%v\n%s%s", err, &out, &messages)
	}
}
