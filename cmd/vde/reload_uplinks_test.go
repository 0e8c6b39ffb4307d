// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/testutil"
)

// TestReloadAttachesAgain checks that uplinks which were disconnected since, or could not be
// put back when changes were undone, are attached again by the next reload, and can be
// removed from the file.
func TestReloadAttachesAgain(t *testing.T) {
	testutil.NoLeaks(t)
	name := filepath.Join(t.TempDir(), "lab.yaml")
	write(t, name, before)
	l := startLive(t, name)
	defer closeLive(t, l)
	stays := portInfo(t, l.sw, 5).Endpoints[0].ID
	if err := l.sw.Disconnect(15, 0); err != nil {
		t.Fatal(err)
	}
	if changed, err := l.Reload(t.Context()); err != nil || !slices.Equal(changed, []string{"uplinks"}) {
		t.Errorf("after a disconnection: %q, %v", changed, err)
	}
	if now := portInfo(t, l.sw, 15).Endpoints; len(now) != 1 || !now[0].Uplink {
		t.Errorf("the uplink that was disconnected is not back: %+v", now)
	}
	if now := portInfo(t, l.sw, 5).Endpoints; len(now) != 1 || now[0].ID != stays {
		t.Errorf("the uplink that was not concerned: %+v", now)
	}
	if changed, err := l.Reload(t.Context()); err != nil || len(changed) != 0 {
		t.Errorf("without a difference: %q, %v", changed, err)
	}
	if err := l.sw.Disconnect(15, 0); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(l.uplinks, func(u *uplink) bool { return u.Port == 15 })
	l.uplinks = slices.Delete(l.uplinks, i, i+1) // as when it cannot be attached to undo a change
	write(t, name, strings.Replace(before, "  - {locator: 'null://', port: 15, description: goes}\n", "", 1))
	if changed, err := l.Reload(t.Context()); err != nil || !slices.Equal(changed, nil) {
		t.Errorf("with that uplink removed from the file: %q, %v", changed, err)
	}
	if now := portInfo(t, l.sw, 15).Endpoints; len(now) != 0 {
		t.Errorf("the uplink that was removed: %+v", now)
	}
}
