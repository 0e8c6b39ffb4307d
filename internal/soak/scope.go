// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
)

// A scope is a testing.TB for the helpers of testpeers: what they start ends when
// the scope is closed, and what they report is a violation. Peers are started many
// times in an hour, so each has a scope of its own. In one scope for all, the list
// of cleanups would grow and be found as a leak.
type scope struct {
	testing.TB // nil: a method that is not defined below panics

	s *soak

	mu       sync.Mutex
	cleanups []func()
	failed   bool
	skipped  string
}

func (s *soak) scope() *scope { return &scope{s: s} }

// try runs f, which may call Fatal or Skip, and reports why it did not return.
func (c *scope) try(f func()) error {
	done := make(chan error, 1)
	go func() {
		err := errors.New("it did not work")
		defer func() { done <- err }()
		f()
		err = nil
	}()
	err := <-done
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.skipped != "" {
		return fmt.Errorf("%s: %w", c.skipped, errors.ErrUnsupported)
	}
	return err
}

// close runs the cleanups, the latest first.
func (c *scope) close() {
	c.mu.Lock()
	fs := c.cleanups
	c.cleanups = nil
	c.mu.Unlock()
	for _, f := range slices.Backward(fs) {
		f()
	}
}

func (c *scope) Cleanup(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cleanups = append(c.cleanups, f)
}

func (c *scope) Helper() {}

func (c *scope) Context() context.Context { return context.Background() }

func (c *scope) Failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

func (c *scope) Logf(format string, args ...any) { c.s.note("%s", fmt.Sprintf(format, args...)) }

func (c *scope) Errorf(format string, args ...any) {
	c.mu.Lock()
	c.failed = true
	c.mu.Unlock()
	c.s.violate("helper: %s", fmt.Sprintf(format, args...))
}

func (c *scope) Error(args ...any) { c.Errorf("%s", fmt.Sprintln(args...)) }

func (c *scope) Fatal(args ...any) {
	c.Error(args...)
	runtime.Goexit()
}

func (c *scope) Fatalf(format string, args ...any) {
	c.Errorf(format, args...)
	runtime.Goexit()
}

func (c *scope) Skipf(format string, args ...any) {
	c.mu.Lock()
	c.skipped = fmt.Sprintf(format, args...)
	c.mu.Unlock()
	runtime.Goexit()
}

// tempDir makes a directory for sockets, whose names may have 107 bytes: TMPDIR may be too
// long for that.
func tempDir() (string, error) { return os.MkdirTemp("/tmp", "soak") }

func (c *scope) TempDir() string {
	dir, err := tempDir()
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
