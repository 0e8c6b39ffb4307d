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
	"testing"
)

// A Recorder is a [testing.TB] that records what is reported to it. What it does not override goes to the test
// it was made for. It serves one goroutine at a time.
type Recorder struct {
	testing.TB
	Skips, Fatals, Errors, Logs []string

	cleanups []func()
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
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return r
}

func (r *Recorder) Helper()                   {}
func (r *Recorder) Name() string              { return "recorder" }
func (r *Recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *Recorder) Failed() bool              { return len(r.Fatals)+len(r.Errors) > 0 }
func (r *Recorder) Error(a ...any)            { r.Errors = append(r.Errors, fmt.Sprint(a...)) }
func (r *Recorder) Log(a ...any)              { r.Logs = append(r.Logs, fmt.Sprint(a...)) }
func (r *Recorder) Logf(f string, a ...any)   { r.Log(fmt.Sprintf(f, a...)) }
func (r *Recorder) Errorf(f string, a ...any) { r.Error(fmt.Sprintf(f, a...)) }
func (r *Recorder) Fatalf(f string, a ...any) { r.Fatal(fmt.Sprintf(f, a...)) }

func (r *Recorder) Skipf(f string, a ...any) {
	r.Skips = append(r.Skips, fmt.Sprintf(f, a...))
	runtime.Goexit()
}

func (r *Recorder) Fatal(a ...any) {
	r.Fatals = append(r.Fatals, fmt.Sprint(a...))
	runtime.Goexit()
}
