// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/recordtb"
	"github.com/go-vde/sdk/internal/testpeers"
)

func TestNeed(t *testing.T) {
	for _, tt := range []struct {
		ci, name, remedy string
	}{
		{"", "no-such-program", "install it"},
		{"false", "no-such-program", "install it"},
		{"true", "no-such-program", "install it"},
		{"", "/no/such/device", "provide the file"},
		{"", "no-such-header.h", "install it"},
		{"true", "CAP_NO_SUCH_THING", ""},
	} {
		t.Run(tt.name+"/ci="+tt.ci, func(t *testing.T) {
			t.Setenv("CI", tt.ci)
			after := false
			r := recordtb.Run(t, func(tb testing.TB) {
				testpeers.Need(tb, tt.name)
				after = true
			})
			got, other := r.Skips, r.Fatals
			if tt.ci == "true" {
				got, other = other, got
			}
			if len(got) != 1 || len(other) != 0 || after {
				t.Fatalf("skipped %q, fatal %q, went on %v", r.Skips, r.Fatals, after)
			}
			if !strings.Contains(got[0], "missing: "+tt.name) || !strings.Contains(got[0], tt.remedy) {
				t.Errorf("says %q", got[0])
			}
		})
	}
}

func TestNeedNamesThePackage(t *testing.T) {
	t.Setenv("CI", "")
	t.Setenv("PATH", t.TempDir())
	r := recordtb.Run(t, func(tb testing.TB) { testpeers.StartSwitch(tb, testpeers.SwitchConfig{}) })
	if runtime.GOOS != "linux" {
		t.Skip("the first thing missing is Linux")
	}
	if len(r.Skips) != 1 || !strings.Contains(r.Skips[0], "vde_switch (Debian package vde-switch)") {
		t.Errorf("skipped %q, fatal %q", r.Skips, r.Fatals)
	}
}

func TestNeedPresent(t *testing.T) {
	t.Parallel()
	testpeers.Need(t, "linux", "gcc", "libvdeplug.h", "vde_switch", "vde_plug", "/dev/null")
	if os.Getuid() == 0 {
		testpeers.Need(t, "CAP_CHOWN")
	}
}
