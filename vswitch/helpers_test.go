// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
)

// long is more than anything takes; short is how long to look for what is not to
// come.
const (
	long  = 10 * time.Second
	short = 50 * time.Millisecond
)

func testFrame(dst, src frame.MAC, n int, fill byte) []byte {
	f := bytes.Repeat([]byte{fill}, max(n, frame.HeaderLen))
	frame.PutHeader(f, dst, src, 0x88b5)
	return f[:n]
}

var macC = frame.MAC{0x02, 0, 0, 0, 0, 0x0c}

// until waits for cond, which looks at what another goroutine will do.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	end := time.Now().Add(long)
	for !cond() {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}
