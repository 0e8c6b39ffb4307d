// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"bufio"
	"context"
	"os"
	"strings"
	"testing"
)

// ReadyLine is what a program run by [StartServer] prints, alone on a line of its standard output, once it
// accepts connections.
const ReadyLine = "serving"

// A Server is a running program, chosen by the test, that serves a control directory.
type Server struct {
	*Process
	dir string
}

// StartServer runs a program that serves the control directory dir, such as a switch written in Go, until the test
// ends, and returns when it has printed [ReadyLine]. The program should end at SIGTERM and at the end of its
// standard input.
func StartServer(t testing.TB, dir string, cfg ProcessConfig) *Server {
	t.Helper()
	s := &Server{dir: dir}
	removeAtEnd(t, dir)
	s.Process = newProcess(t, cfg)
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *Server) start() error {
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
			if strings.TrimSpace(line) == ReadyLine {
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
func (s *Server) Dir() string { return s.dir }

// Restart stops the program if it runs and starts it again; also after Kill.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		s.t.Errorf("restart: %v", err)
	}
}
