// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// requestOf returns what the next client of sw asked for.
func requestOf(t testing.TB, sw *testutil.FakeSwitch) *testutil.FakeRequest {
	t.Helper()
	r := conntest.Next(t, sw).Request()
	if r == nil || r.Err != nil {
		t.Fatalf("request %+v", r)
	}
	return r
}

// noStrays checks that clients have left nothing in the switch's directory.
func noStrays(t testing.TB, sw *testutil.FakeSwitch) {
	t.Helper()
	if names, err := sw.Strays(); err != nil || len(names) > 0 {
		t.Errorf("left in the switch's directory: %q, %v", names, err)
	}
}

// openKinds are the errors by which failures of Open are told apart.
var openKinds = []error{
	vde.ErrNoSwitch, vde.ErrNotSwitch, vde.ErrControlDenied, vde.ErrDataDenied, vde.ErrConnectBackDenied,
	vde.ErrPortRefused, vde.ErrSwitchFull, vde.ErrNoPortGroup, vde.ErrPathTooLong,
	errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
}

// checkOpenError checks that err is what Open returns for a failure of this
// kind and no other, and that its text has these parts.
func checkOpenError(t testing.TB, vnl string, err, kind error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("Open succeeded, want %q", kind)
	}
	var op *net.OpError
	if e, ok := err.(*net.OpError); !ok || e.Op != "open" || e.Net != "vde" || (e.Addr == nil) != (vnl == "") || vnl != "" && e.Addr.String() != vnl {
		t.Errorf("error %q is %#v, want an OpError of open, vde, %s", err, err, vnl)
	} else {
		op = e
	}
	if !errors.Is(err, kind) {
		t.Errorf("error %q does not match %q", err, kind)
	}
	for _, k := range openKinds {
		if k != kind && errors.Is(err, k) {
			t.Errorf("error %q matches %q too", err, k)
		}
	}
	if op != nil && op.Timeout() != errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Timeout of error %q is %v", err, op.Timeout())
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// needRoot skips the test unless it runs as root.
func needRoot(t testing.TB) {
	t.Helper()
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE")
}

// writeFile makes a file in a new directory.
func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
