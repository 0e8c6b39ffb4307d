// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
)

// TestExitStatus checks that a wrong command line is told apart from a failure:
// the status is 2, and the usage is printed.
func TestExitStatus(t *testing.T) {
	const host = "--addr 10.0.0.2/24 --net /nowhere"
	for _, test := range []struct {
		args   string
		status int
		want   string // in the standard error
	}{
		{"dance", 2, "vde [command]"},
		{"--dance", 2, "vde [command]"},
		{"switch", 2, "vde switch [DIR] [flags]"},
		{"switch x y", 2, "vde switch [DIR] [flags]"},
		{"switch x --dance", 2, "vde switch [DIR] [flags]"},
		{"switch x --ports many", 2, "vde switch [DIR] [flags]"},
		{"switch x --ports -1", 2, "vde switch [DIR] [flags]"},
		{"switch x --mode 999", 2, "vde switch [DIR] [flags]"},
		{"capture x", 2, "vde capture [VNL] [flags]"},
		{"capture x -w y -s -1", 2, "vde capture [VNL] [flags]"},
		{"demo --size 0", 2, "vde demo [flags]"},
		{"demo dance", 2, "vde demo [flags]"},
		{"demo frames --size 0", 2, "vde demo frames [flags]"},
		{"get http://10.0.0.1/x --net x", 2, "vde get URL [flags]"},
		{"get http://10.0.0.1/ " + host, 2, "vde get URL [flags]"},
		{"get gopher://10.0.0.1/x " + host, 2, "vde get URL [flags]"},
		{"get http://10.0.0.1/x --mac x " + host, 2, "vde get URL [flags]"},
		{"serve . --mtu 1 " + host, 2, "vde serve DIR [flags]"},
		{"ping me " + host, 2, "vde ping ADDRESS [flags]"},
		{"ping 10.0.0.1 -c -1 " + host, 2, "vde ping ADDRESS [flags]"},
		{"completion fish x", 2, "vde completion fish"},
		{"get http://10.0.0.1/x " + host, 1, "/nowhere"},
		{"ping 10.0.0.1 " + host, 1, "/nowhere"},
		{"serve /nowhere " + host, 1, "/nowhere"},
		{"capture /nowhere -w /nowhere/x", 1, "/nowhere"},
		{"doctor /nowhere", 1, "cannot be used"},
		{"switch /nowhere/x", 1, "/nowhere"},
		{"version", 0, ""},
		{"", 0, ""},
	} {
		checkStatus(t, test.args, test.status, test.want)
	}
}

// checkStatus runs the command line args and checks its exit status, what is in its
// standard error, and whether its usage is.
func checkStatus(t *testing.T, args string, status int, want string) {
	t.Helper()
	var messages bytes.Buffer
	root := newRoot()
	root.SetIn(strings.NewReader(""))
	root.SetOut(io.Discard)
	root.SetErr(&messages)
	got := runCommand(t.Context(), root, append([]string{"vde"}, strings.Fields(args)...), &messages)
	text := messages.String()
	if got != status || !strings.Contains(text, want) {
		t.Errorf("vde %s: status %d, want %d and %q in:\n%s", args, got, status, want, text)
	}
	if usage := strings.Contains(text, "Usage:"); usage != (status == 2) {
		t.Errorf("vde %s: usage: %v\n%s", args, usage, text)
	}
}

// TestUsageErrors checks that errors about the command line are in its words: they name the
// flag, say what can be given, and name no function or field of Go.
func TestUsageErrors(t *testing.T) {
	for args, want := range map[string]string{
		"switch x --ports many":                 `--ports "many": give a whole number`,
		"switch x --ports 99999999999999999999": `--ports "99999999999999999999": the number is too large or too small`,
		"switch x --wait long":                  `--wait "long": give a time with its unit`,
		"switch x --http-write=so":              `--http-write "so": give true or false`,
		"switch x --mode 999":                   `--mode "999": give an octal number up to 0777`,
		"serve . -p many":                       `--port "many": give a whole number that is not negative`,
		"capture x -c -1":                       `--count "-1": give a whole number that is not negative`,
		"plug a b --delay soon":                 `--delay "soon": give a time with its unit`,
		"plug a b --delay=-1s":                  `--delay "-1s": give a time with its unit`,
		"plug a b --jitter 1ms,2":               `--jitter "1ms,2": give a time with its unit`,
		"plug a b --loss 7":                     `--loss "7": give a probability, from 0 to 1`,
		"plug a b --duplicate 0,x":              `--duplicate "0,x": give a probability, from 0 to 1`,
		"plug a b --rate fast":                  `--rate "fast": give a number of bits per second`,
		"plug a b --impair-queue few":           `--impair-queue "few": give a number of frames`,
	} {
		checkStatus(t, args, 2, "vde: "+want)
	}
}

// TestOneNameForTheNetwork checks that each command which joins a network takes
// its name by the flag --net.
func TestOneNameForTheNetwork(t *testing.T) {
	for _, args := range [][]string{
		{"capture", "-w", "/nowhere/x"},
		{"doctor"},
		{"get", "http://10.0.0.1/x", "--addr", "10.0.0.2/24"},
		{"ping", "10.0.0.1", "--addr", "10.0.0.2/24"},
		{"plug"},
		{"serve", ".", "--addr", "10.0.0.2/24"},
	} {
		out, err := execute(t.Context(), append(args, "--net", "/nowhere/sw")...)
		if err == nil || !strings.Contains(out+err.Error(), "/nowhere/sw") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	for _, args := range [][]string{{"capture", "x", "-w", "/nowhere/x"}, {"doctor", "x"}} {
		if _, err := execute(t.Context(), append(args, "--net", "/nowhere/sw")...); err == nil || !strings.Contains(err.Error(), "--net") {
			t.Errorf("%v: the network has two names: %v", args, err)
		}
	}
}
