// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package recordtb tests helpers of tests: it runs a function with a [testing.TB] that records failures, skips
// and log lines instead of passing them on.
//
//	r := recordtb.Run(t, func(tb testing.TB) { checkSomething(tb, brokenThing) })
//	if len(r.Errors) != 1 {
//		t.Errorf("the check reported %q", r.Errors)
//	}
package recordtb

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// A Recorder is a [testing.TB] that records what is reported to it. What it does not override goes to the test
// it was made for. Its methods may be called from any goroutine; read its fields after [Run] has returned.
type Recorder struct {
	testing.TB
	Skips, Fatals, Errors, Logs []string

	mu       sync.Mutex
	failed   bool     // guarded by mu
	lines    []string // everything reported, in order; guarded by mu
	cleanups []func() // guarded by mu
}

// Run calls f with a new Recorder, in a goroutine of its own, runs the cleanups that f registered, and returns
// the Recorder.
func Run(t testing.TB, f func(testing.TB)) *Recorder {
	r := &Recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	for {
		r.mu.Lock()
		last := len(r.cleanups) - 1
		if last < 0 {
			r.mu.Unlock()
			return r
		}
		cleanup := r.cleanups[last]
		r.cleanups = r.cleanups[:last]
		r.mu.Unlock()
		cleanup()
	}
}

// Text returns everything that was reported, in order.
func (r *Recorder) Text() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.lines, "\n")
}

// record appends a line to list.
func (r *Recorder) record(list *[]string, failed bool, line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line = strings.TrimSuffix(line, "\n")
	*list = append(*list, line)
	r.lines = append(r.lines, line)
	r.failed = r.failed || failed
}

func (r *Recorder) Helper()      {}
func (r *Recorder) Name() string { return "recorder" }

func (r *Recorder) Cleanup(f func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, f)
}

func (r *Recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

func (r *Recorder) Log(a ...any)              { r.record(&r.Logs, false, fmt.Sprintln(a...)) }
func (r *Recorder) Logf(f string, a ...any)   { r.record(&r.Logs, false, fmt.Sprintf(f, a...)) }
func (r *Recorder) Error(a ...any)            { r.record(&r.Errors, true, fmt.Sprintln(a...)) }
func (r *Recorder) Errorf(f string, a ...any) { r.record(&r.Errors, true, fmt.Sprintf(f, a...)) }

func (r *Recorder) Fail() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = true
}

func (r *Recorder) FailNow() {
	r.Fail()
	runtime.Goexit()
}

func (r *Recorder) Fatal(a ...any) {
	r.record(&r.Fatals, true, fmt.Sprintln(a...))
	runtime.Goexit()
}

func (r *Recorder) Fatalf(f string, a ...any) {
	r.record(&r.Fatals, true, fmt.Sprintf(f, a...))
	runtime.Goexit()
}

func (r *Recorder) Skip(a ...any) {
	r.record(&r.Skips, false, fmt.Sprintln(a...))
	runtime.Goexit()
}

func (r *Recorder) Skipf(f string, a ...any) {
	r.record(&r.Skips, false, fmt.Sprintf(f, a...))
	runtime.Goexit()
}
