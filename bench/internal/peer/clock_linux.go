// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package peer

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Now returns nanoseconds of the clock that all processes of the machine share.
func Now() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// awake is how long before its time a sender is up and looks at the clock.
const awake = 60 * time.Microsecond

// pace calls send(i) when due(i) has come, for n numbers, and then finish. The
// runtime's timers are not exact enough for it (a sleep below a millisecond may
// take a whole one), so it has a thread for itself that sleeps in the kernel.
func pace(due func(uint64) time.Time, n int, send func(uint64) error, finish func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err == nil {
		_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		defer unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0)
	}
	for i := range uint64(n) {
		if wait := time.Until(due(i)) - awake; wait > 0 {
			ts := unix.NsecToTimespec(wait.Nanoseconds())
			_ = unix.Nanosleep(&ts, nil) // woken early, it looks at the clock for longer
		}
		for time.Until(due(i)) > 0 {
		}
		if err := send(i); err != nil {
			return err
		}
	}
	return finish()
}
