// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"bufio"
	"context"
	"os"
	"strings"
	"testing"
)

// ServingLine is what a program run by [Serving] prints, alone on a line of its standard output, once it
// accepts connections.
const ServingLine = "serving"

// A ServingProc is a program of the test's choice that serves a control directory.
type ServingProc struct {
	*Process
	dir string
}

var (
	_ SwitchHandle = (*ServingProc)(nil)
	_ Killer       = (*ServingProc)(nil)
	_ Pauser       = (*ServingProc)(nil)
	_ Restarter    = (*ServingProc)(nil)
)

// Serving runs a program that serves the control directory dir, such as a switch written in Go, until the test
// ends, and returns when it has printed [ServingLine]. It should end at SIGTERM and at the end of its standard
// input.
func Serving(t testing.TB, dir string, cfg ProcessConfig) *ServingProc {
	t.Helper()
	s := &ServingProc{dir: dir}
	removeAtEnd(t, dir)
	s.Process = newProcess(t, cfg)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *ServingProc) start() error {
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	s.cfg.stdout = in
	err = s.Process.start()
	in.Close()
	if err != nil {
		return err
	}
	ctx, cancel := bounded(context.Background())
	defer cancel()
	return s.await(ctx, func(ctx context.Context) error {
		defer deadlineOnDone(ctx, out)()
		for lines := bufio.NewReader(out); ; {
			line, err := lines.ReadString('\n')
			if strings.TrimSpace(line) == ServingLine {
				return nil
			}
			if err != nil {
				if ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				return err
			}
		}
	})
}

// Dir returns the control directory.
func (s *ServingProc) Dir() string { return s.dir }

// Restart stops the program if it runs and starts it again; also after Kill.
func (s *ServingProc) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		s.t.Errorf("restart: %v", err)
	}
}

// Self returns the path of the running test binary, for tests that run it again as another program: with
// anyUser, a copy for the time of the test in a place where every user may run it.
func Self(t testing.TB, anyUser bool) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if anyUser {
		return copyProgram(t, path)
	}
	return path
}
