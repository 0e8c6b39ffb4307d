// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/recordtb"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
)

// leak runs f as a test of its own and wants one error that contains want, or none if want is empty.
func leak(t *testing.T, want string, f func(testing.TB)) {
	t.Helper()
	if want != "" {
		defer testutil.SetLeakPatience(testutil.SetLeakPatience(time.Millisecond))
	}
	r := recordtb.Run(t, f)
	switch {
	case want == "" && len(r.Errors) != 0:
		t.Errorf("errors %q", r.Errors)
	case want != "" && (len(r.Errors) != 1 || !strings.Contains(r.Errors[0], want)):
		t.Errorf("errors %q, want one with %q", r.Errors, want)
	}
}

func TestNoLeaks(t *testing.T) {
	testpeers.Need(t, "linux")
	leak(t, "", func(tb testing.TB) {
		testutil.NoLeaks(tb)
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Error(err)
		}
		tb.Cleanup(func() { f.Close() })
	})
	var f *os.File
	leak(t, "(/dev/null)", func(tb testing.TB) {
		testutil.NoLeaks(tb)
		f, _ = os.Open(os.DevNull)
	})
	f.Close()
	stop := make(chan struct{})
	leak(t, "goroutines left", func(tb testing.TB) {
		testutil.NoLeaks(tb)
		go func() { <-stop }()
	})
	close(stop)
}

func TestNoFiles(t *testing.T) {
	dir := t.TempDir()
	create := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Error(err)
		}
	}
	create("old")
	leak(t, "", func(tb testing.TB) {
		testutil.NoFiles(tb, dir)
		testutil.NoFiles(tb, filepath.Join(dir, "none"))
		create("new")
		tb.Cleanup(func() {
			// As a switch does it: a little later.
			time.AfterFunc(20*time.Millisecond, func() { os.Remove(filepath.Join(dir, "new")) })
		})
	})
	leak(t, `"new"`, func(tb testing.TB) {
		testutil.NoFiles(tb, dir)
		create("new")
	})
	leak(t, "were", func(tb testing.TB) {
		testutil.NoFiles(tb, dir)
		os.Remove(filepath.Join(dir, "old"))
	})
}

func TestNoLiveBuffers(t *testing.T) {
	p, q := pool.New(64, 0), pool.New(64, 0)
	leak(t, "", func(tb testing.TB) {
		testutil.NoLiveBuffers(tb, "frames", p, q)
		b := q.Get()
		tb.Cleanup(b.Release)
	})
	want := "frames: 1 live at the end; build with -tags poolleak to see whose"
	if pool.LeakMode {
		want = ", held by the test's connection"
	}
	leak(t, want, func(tb testing.TB) {
		testutil.NoLiveBuffers(tb, "frames", p, q)
		pool.AddOwner("the test's connection", q.Get())
	})
}

func TestNoLive(t *testing.T) {
	var live atomic.Int64
	leak(t, "", func(tb testing.TB) {
		testutil.NoLive(tb, "buffers", live.Load)
		live.Add(1)
		tb.Cleanup(func() { live.Add(-1) })
	})
	leak(t, "buffers: 1 live", func(tb testing.TB) {
		testutil.NoLive(tb, "buffers", live.Load)
		live.Add(1)
	})
}
