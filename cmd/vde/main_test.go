// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// execute runs the command line args and returns what it prints.
func execute(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&out)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return out.String(), err
}

func TestDemo(t *testing.T) {
	testutil.NoLeaks(t)
	t.Setenv("TMPDIR", testutil.ShortDir(t))
	out, err := execute(t.Context(), "demo", "--frames", "2000", "--quiet")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{
		`(?m)^ *1 +station a \(in-process\) +1 +2001 `,
		`(?m)^ *2 +station b \(socket\) +1 +2001 `,
		`(?m)^ *a to b +in process to socket +2000 +\d+ +\d+ +\d+ +\d+\.\d\d *$`,
		`(?m)^\d+ frames in [\d.]+ s, \d+ lost, 0 out of order\. The switch counts \d+ drops\.$`,
	} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the output lacks %s:\n%s", want, out)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary directory: %v, %v", left, err)
	}
}

func TestDemoStopsWhenTold(t *testing.T) {
	testutil.NoLeaks(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if out, err := execute(ctx, "demo", "--quiet"); err == nil {
		t.Errorf("no error:\n%s", out)
	}
}

func TestSwitchServesUntilTold(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	log, w := io.Pipe()
	root := newRoot()
	root.SetErr(w)
	root.SetArgs([]string{"switch", dir, "--log", "info"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() {
		done <- root.ExecuteContext(ctx)
		w.Close()
	}()
	lines := bufio.NewScanner(log)
	if !lines.Scan() { // the first line says that it serves
		t.Fatal(<-done)
	}
	go func() {
		for lines.Scan() {
		}
	}()
	c, err := vde.Open(ctx, dir)
	if err != nil {
		t.Fatalf("%v (log: %s)", err, lines.Text())
	}
	defer c.Close()
	if _, err := c.Write(make([]byte, frame.MinLen)); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-c.Context().Done()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", dir, err)
	}
}

func TestBadArguments(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string // in the error
	}{
		{[]string{"switch"}, "accepts 1 arg"},
		{[]string{"switch", "x", "--log", "loud"}, "give debug, info, warn or error"},
		{[]string{"switch", "x", "--policy", "hope"}, "unknown policy"},
		{[]string{"switch", "x", "--mode", "999"}, "octal"},
		{[]string{"switch", "x", "--dirmode", "7777"}, "octal"},
		{[]string{"switch", "x", "--ports", "-1"}, "NumPorts"},
		{[]string{"demo", "--size", "10"}, "--size 10"},
		{[]string{"demo", "--frames", "0"}, "--frames 0"},
		{[]string{"dance"}, "unknown command"},
	} {
		_, err := execute(t.Context(), test.args...)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("vde %s: %v, want an error with %q", strings.Join(test.args, " "), err, test.want)
		}
	}
}

func TestHelpAndCompletion(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--help"}, "demo"},
		{[]string{"switch", "--help"}, "--policy"},
		{[]string{"completion", "bash"}, "__start_vde"},
		{[]string{"__complete", "switch", "x", "--policy", ""}, "drop-oldest"},
	} {
		out, err := execute(t.Context(), test.args...)
		if err != nil || !strings.Contains(out, test.want) {
			t.Errorf("vde %s: %v, want %q in:\n%s", strings.Join(test.args, " "), err, test.want, out)
		}
	}
}
