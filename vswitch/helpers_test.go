// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// long is more than anything takes; short is how long to look for what is not to
// come.
const (
	long  = time.Minute
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

// attach attaches a station to port n until the test ends.
func attach(tb testing.TB, sw *vswitch.Switch, n int) *vde.Conn {
	tb.Helper()
	c, err := sw.Attach(vde.WithPort(n))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// received returns what is queued at c, a port of sw: in-process, a frame has
// arrived when its sender's write returns. What is queued and no frame is
// skipped by c, which then waits for more; hence the deadline.
func received(tb testing.TB, sw *vswitch.Switch, c *vde.Conn) (frames [][]byte) {
	tb.Helper()
	b := make([]byte, 10000)
	for vswitch.Queued(sw, c) > 0 {
		if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			tb.Error(err)
		}
		n, err := c.Read(b)
		switch {
		case err == nil:
			frames = append(frames, slices.Clone(b[:n]))
		case !errors.Is(err, os.ErrDeadlineExceeded):
			tb.Error(err)
			return frames
		}
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		tb.Error(err)
	}
	return frames
}

func write(tb testing.TB, c *vde.Conn, f []byte) {
	tb.Helper()
	if _, err := c.Write(f); err != nil {
		tb.Fatal(err)
	}
}

// tagged returns f with a tag in front of its type.
func tagged(f []byte, tci uint16) []byte {
	t := append(slices.Clone(f[:12]), 0x81, 0, 0, 0)
	binary.BigEndian.PutUint16(t[14:], tci)
	return append(t, f[12:]...)
}
