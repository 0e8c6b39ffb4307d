// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/go-vde/sdk/testutil"
)

// TestReloadCommand has a switch read its file again, for which the file says where its
// API is.
func TestReloadCommand(t *testing.T) {
	testutil.NoLeaks(t)
	base := testutil.ShortDir(t)
	dir, socket, name := filepath.Join(base, "sw"), filepath.Join(base, "a"), filepath.Join(base, "lab.yaml")
	head := "dir: " + dir + "\napi: {path: " + socket + ", mode: 0660}\n"
	write(t, name, head)
	startSwitch(t, "-c", name)
	if info, err := os.Lstat(socket); err != nil || info.Mode() != fs.ModeSocket|0o660 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	for _, test := range []struct{ text, out, failure string }{
		{"", "Nothing has changed.\n", ""},
		{"hub: true\nports: {3: {vlan: 3}}", "changed hub\nchanged ports.3\n", ""},
		{"hub: true\nspeed: 1", "", name + ":4: speed: unknown key"},
		{"max-frame-size: 1518", "", name + ":3: max-frame-size: cannot be changed while the switch runs"},
		{"", "changed hub\nchanged ports.3\n", ""},
	} {
		write(t, name, head+test.text)
		out, err := execute(t.Context(), "reload", socket)
		if out != test.out || (err == nil) != (test.failure == "") || err != nil && !strings.HasPrefix(err.Error(), test.failure) {
			t.Errorf("%q: %q, %v", test.text, out, err)
		}
	}
	write(t, name, head+"ageing-time: 3s")
	out, err := execute(t.Context(), "reload", socket, "--json")
	var result reloadResult
	if err != nil || json.Unmarshal([]byte(out), &result) != nil || !reflect.DeepEqual(result.Changed, []string{"ageing-time"}) {
		t.Errorf("%q, %v", out, err)
	}
}

// TestReloadCommandRefused checks what a switch without a file, and no switch, are said to be.
func TestReloadCommandRefused(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	if out, err := execute(t.Context(), "reload", dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("%q, %v", out, err)
	}
	startSwitch(t, dir)
	if out, err := execute(t.Context(), "reload", dir); err == nil || !strings.Contains(err.Error(), "not started with a configuration file") {
		t.Errorf("%q, %v", out, err)
	}
}

// TestSwitchFileAPI checks that the file can turn the API off and serve it on TCP.
func TestSwitchFileAPI(t *testing.T) {
	testutil.NoLeaks(t)
	base := testutil.ShortDir(t)
	dir, name := filepath.Join(base, "sw"), filepath.Join(base, "lab.yaml")
	write(t, name, "api: {disabled: true}\nhttp: {address: 0, write: true}")
	l, _ := startSwitch(t, dir, "-c", name)
	if _, err := os.Lstat(filepath.Join(dir, "api")); !os.IsNotExist(err) {
		t.Errorf("the API's socket: %v", err)
	}
	m := regexp.MustCompile(`The switch is shown at (http://127\.0\.0\.1:\S+)`).FindStringSubmatch(l.String())
	if m == nil {
		t.Fatalf("no address in %s", l)
	}
	if getSwitch(t, m[1]).GetReadOnly() {
		t.Error("the API is read-only")
	}
}
