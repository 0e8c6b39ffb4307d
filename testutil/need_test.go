// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/go-vde/sdk/testutil"
)

// A recorder is a test that only notes what is done to it. Its cleanups run when run returns.
type recorder struct {
	testing.TB
	skipped, fatal, errors, logs []string
	cleanups                     []func()
}

func (r *recorder) Helper()                   {}
func (r *recorder) Name() string              { return "recorder" }
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool              { return len(r.fatal)+len(r.errors) > 0 }
func (r *recorder) Error(a ...any)            { r.errors = append(r.errors, fmt.Sprint(a...)) }
func (r *recorder) Log(a ...any)              { r.logs = append(r.logs, fmt.Sprint(a...)) }
func (r *recorder) Logf(f string, a ...any)   { r.Log(fmt.Sprintf(f, a...)) }
func (r *recorder) Errorf(f string, a ...any) { r.Error(fmt.Sprintf(f, a...)) }
func (r *recorder) Skipf(f string, a ...any) {
	r.skipped = append(r.skipped, fmt.Sprintf(f, a...))
	runtime.Goexit()
}
func (r *recorder) Fatal(a ...any) {
	r.fatal = append(r.fatal, fmt.Sprint(a...))
	runtime.Goexit()
}
func (r *recorder) Fatalf(f string, a ...any) { r.Fatal(fmt.Sprintf(f, a...)) }

// record runs f as a test of its own and returns what became of it.
func record(t *testing.T, f func(testing.TB)) *recorder {
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return r
}

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
			r := record(t, func(tb testing.TB) {
				testutil.Need(tb, tt.name)
				after = true
			})
			got, other := r.skipped, r.fatal
			if tt.ci == "true" {
				got, other = other, got
			}
			if len(got) != 1 || len(other) != 0 || after {
				t.Fatalf("skipped %q, fatal %q, went on %v", r.skipped, r.fatal, after)
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
	r := record(t, func(tb testing.TB) { testutil.Switch(tb, testutil.SwitchConfig{}) })
	if runtime.GOOS != "linux" {
		t.Skip("the first thing missing is Linux")
	}
	if len(r.skipped) != 1 || !strings.Contains(r.skipped[0], "vde_switch (Debian package vde-switch)") {
		t.Errorf("skipped %q, fatal %q", r.skipped, r.fatal)
	}
}

func TestNeedPresent(t *testing.T) {
	testutil.Need(t, "linux", "gcc", "libvdeplug.h", "vde_switch", "vde_plug", "/dev/null")
	if os.Getuid() == 0 {
		testutil.Need(t, "CAP_CHOWN")
	}
}

func TestShortDir(t *testing.T) {
	var dir string
	r := record(t, func(tb testing.TB) {
		dir = testutil.ShortDir(tb)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			t.Error(err)
		}
		if err := os.WriteFile(dir+"/x", nil, 0o600); err != nil {
			t.Error(err)
		}
	})
	if _, err := os.Stat(dir); !os.IsNotExist(err) || r.Failed() {
		t.Errorf("still there: %v %q", err, r.errors)
	}
	if len(dir) > 24 && runtime.GOOS == "linux" {
		t.Errorf("%q is not short", dir)
	}
}
