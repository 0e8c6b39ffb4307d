// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build poolleak

package impair_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// TestBufferOwners checks that leak mode names the line whose frames are under
// way, and then the line's Conn.
func TestBufferOwners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, far := newLine(t, impair.Config{Out: impair.Impairment{Delay: time.Hour}, In: impair.Impairment{Delay: time.Second, Duplicate: 1}})
		conn := line.Conn()
		testutil.NoLiveBuffers(t, "frames", conn.FramePools()...)
		want := func(what, want string) {
			t.Helper()
			var all []string
			for _, p := range conn.FramePools() {
				all = append(all, p.Leaks()...)
			}
			for i, l := range all {
				_, held, _ := strings.Cut(l, ", held by ")
				held, _, _ = strings.Cut(held, ", Frames called at ")
				all[i] = held
			}
			if len(all) != 1 || all[0] != want {
				t.Errorf("%s: leaks %q, want %q", what, all, want)
			}
		}
		underWay := fmt.Sprintf("an impair.Line around vde.Conn %q", conn.LocalAddr())
		send(t, far, 0, 1)
		synctest.Wait()
		want("inwards", underWay)
		ch := conn.Frames()
		var frames []vde.Frame
		for range 2 {
			frames = append(frames, <-ch)
		}
		synctest.Wait()
		want("received", fmt.Sprintf("vde.Conn %q on %s as a Frame", conn.LocalAddr(), conn.Caps().Name()))
		for _, f := range frames {
			f.Release()
		}
		send(t, conn, 0, 1)
		synctest.Wait()
		want("outwards", underWay)
		conn.Close()
	})
}
