// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import "testing"

func TestPlugExitStatus(t *testing.T) {
	for _, test := range []struct {
		args   string
		status int
		want   string // in the standard error
	}{
		{"plug x y z", 2, "vde plug [VNL [VNL]] [= COMMAND...] [flags]"},
		{"plug x y = true", 2, "vde plug"},
		{"plug x --net y = true", 2, "vde plug"},
		{"plug x =", 2, "equals sign"},
		{"plug x --loss 2 = true", 2, "--loss"},
		{"plug x --loss 0.1,x = true", 2, "--loss"},
		{"plug x --delay 5 = true", 2, "--delay"},
		{"plug x --rate 1T = true", 2, "--rate"},
		{"plug x --max-frame 65536", 2, "--max-frame"},
		{"plug x --json", 2, "--json"},
		{"plug x --mod 999", 2, "--mod"},
		{"plug x -L", 2, "--iplog"},
		{"plug /nowhere/x", 1, "/nowhere/x"},
		{"plug cmd://true /nowhere/x", 1, "/nowhere/x"},
		{"plug cmd://true = /nowhere/x", 1, "/nowhere/x"},
		{"plug nowhere://x", 1, "nowhere"},
		{"plug cmd://true = true --dance", 0, ""},
	} {
		checkStatus(t, test.args, test.status, test.want)
	}
}
