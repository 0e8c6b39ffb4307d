// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug

import "time"

// JoinTimeout is what bounds Open when ctx has no deadline.
func JoinTimeout() time.Duration { return joinTimeout }

// SetJoinTimeout changes it until the returned function is called.
func SetJoinTimeout(d time.Duration) (restore func()) {
	old := joinTimeout
	joinTimeout = d
	return func() { joinTimeout = old }
}

// SetDataFileHook has f called after every change of a data socket's file,
// until the returned function is called.
func SetDataFileHook(f func(path string)) (restore func()) {
	testHookDataFile = f
	return func() { testHookDataFile = nil }
}

// SetProbeDelay changes how long a switch may be silent before it is asked
// whether that is its answer, until the returned function is called.
func SetProbeDelay(d time.Duration) (restore func()) {
	old := probeDelay
	probeDelay = d
	return func() { probeDelay = old }
}

// ResetNames has the next data socket get the first name that is not in use.
func ResetNames() { lastName.Store(0) }
