// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// TestDoctorOfPort examines a network by the name of one of its ports. Endpoints of
// one port do not hear each other.
func TestDoctorOfPort(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{6: {VLAN: 6}}})
	defer sw.Close()
	dir := listen(t, sw, filepath.Join(testutil.ShortDir(t), "s w"))
	for _, locator := range []string{"%s[5]", "vde://%s[5]", "%s[port=5/mode=600]"} {
		vnl := strings.Replace(locator, "%s", dir, 1)
		out, err := execute(t.Context(), "doctor", vnl)
		if err != nil {
			t.Errorf("%s: %v", vnl, err)
		}
		wantLines(t, out, `ok    joined .*\n`, `ok    frames arrive, to all and to one, in both directions`)
	}
	out, err := execute(t.Context(), "doctor", dir+"[6]")
	if err == nil {
		t.Error("a port in a VLAN of its own is well")
	}
	wantLines(t, out, `FAIL .*does not arrive.*VLAN`)
}
