// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package deadline_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/internal/deadline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// passed reports whether d's channel is closed, and checks that Passed agrees.
func passed(t *testing.T, d *deadline.Timer) bool {
	t.Helper()
	closed := false
	select {
	case <-d.Done():
		closed = true
	default:
	}
	if d.Passed() != closed {
		t.Errorf("Passed is %v, but Done is closed: %v", d.Passed(), closed)
	}
	return closed
}

func TestPast(t *testing.T) {
	if p := deadline.Past(); p.IsZero() || !p.Before(time.Now()) {
		t.Errorf("%v has not passed", p)
	}
}

func TestTimerPassesAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d deadline.Timer
		if passed(t, &d) {
			t.Error("the zero value has passed")
		}
		start := time.Now()
		d.Set(start.Add(time.Second))
		<-d.Done()
		if after := time.Since(start); after != time.Second || !passed(t, &d) {
			t.Errorf("passed after %v", after)
		}
	})
}

func TestTimerSet(t *testing.T) {
	const none, past = 0, -1 // in place of a time from now on
	for _, c := range []struct {
		name   string
		set    []time.Duration
		passed bool // at once
		later  bool // after an hour
	}{
		{"past", []time.Duration{past}, true, true},
		{"past, then none", []time.Duration{past, none}, false, false},
		{"past, then future", []time.Duration{past, time.Minute}, false, true},
		{"future, then none", []time.Duration{time.Minute, none}, false, false},
		{"future, then past", []time.Duration{time.Minute, past}, true, true},
		{"past twice", []time.Duration{past, past}, true, true},
		{"future, then further", []time.Duration{time.Minute, 100 * time.Hour}, false, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			var d deadline.Timer
			for _, left := range c.set {
				switch left {
				case none:
					d.Set(time.Time{})
				case past:
					d.Set(deadline.Past())
				default:
					d.Set(time.Now().Add(left))
				}
			}
			if got := passed(t, &d); got != c.passed {
				t.Errorf("%s: passed at once: %v, want %v", c.name, got, c.passed)
			}
			<-time.After(time.Hour)
			synctest.Wait()
			if got := passed(t, &d); got != c.later {
				t.Errorf("%s: passed after an hour: %v, want %v", c.name, got, c.later)
			}
			d.Stop()
		})
	}
}

// TestTimerDoneStays checks that a call which waits already sees the deadline
// that is set afterwards.
func TestTimerDoneStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d deadline.Timer
		waiting := d.Done()
		d.Set(time.Now().Add(time.Hour))
		d.Set(time.Now().Add(time.Minute))
		start := time.Now()
		<-waiting
		if after := time.Since(start); after != time.Minute {
			t.Errorf("woken after %v", after)
		}
		d.Set(time.Time{})
		if d.Done() == waiting {
			t.Error("the channel of a deadline that has passed was kept")
		}
	})
}

func TestTimerOnExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		d := deadline.Timer{}
		d.OnExpire = func() {
			calls++
			d.Done() // a lock held by the caller would be a deadlock here
		}
		d.Set(deadline.Past())
		d.Set(time.Now().Add(time.Minute))
		d.Set(time.Now().Add(2 * time.Minute))
		<-d.Done()
		synctest.Wait()
		if calls != 2 {
			t.Errorf("called %d times, want 2", calls)
		}
	})
}

func TestTimerStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d deadline.Timer
		d.Set(time.Now().Add(time.Minute))
		d.Stop()
		<-time.After(time.Hour)
		synctest.Wait()
		if passed(t, &d) {
			t.Error("passed after Stop")
		}
		d.Stop()
	})
}

// TestTimerConcurrentSet moves a deadline from several goroutines and ends with
// one in the past, which must win.
func TestTimerConcurrentSet(t *testing.T) {
	var d deadline.Timer
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 500 {
				switch (i + j) % 3 {
				case 0:
					d.Set(time.Time{})
				case 1:
					d.Set(deadline.Past())
				default:
					d.Set(time.Now().Add(time.Duration(j)))
				}
				d.Passed()
				d.Done()
			}
		})
	}
	wg.Wait()
	d.Set(deadline.Past())
	<-d.Done()
	d.Set(time.Time{})
	if passed(t, &d) {
		t.Error("passed without a deadline")
	}
}
