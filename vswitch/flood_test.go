// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// StormLimit bounds what a port may flood in a second, and nothing else.
func TestStormControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{1: {StormLimit: 1000}, 2: withStatic(macB, vswitch.PortConfig{})}})
		defer sw.Close()
		a, b := attach(t, sw, 1), attach(t, sw, 2)
		flood := func(n int) int {
			for range n {
				write(t, a, testFrame(frame.Broadcast(), macA, 60, 0))
				write(t, a, testFrame(macB, macA, 60, 0)) // not flooded, not limited
			}
			return len(received(t, sw, b)) - n
		}
		time.Sleep(time.Second)
		for i, test := range []struct {
			pause time.Duration
			want  int
		}{{0, 100}, {0, 0}, {50 * time.Millisecond, 50}, {time.Hour, 100}} {
			time.Sleep(test.pause)
			if got := flood(200); got != test.want {
				t.Errorf("%d: %d frames of a flood passed, want %d", i, got, test.want)
			}
		}
		checkAccounts(t, sw.Stats())
	})
}

// References are shared between the receivers of a flood, and nobody's copy is
// anybody else's business.
func TestFloodedReferences(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	defer sw.Close()
	conns := attachMany(t, sw, 4)
	var chans []<-chan vde.Frame
	for _, c := range conns[1:] {
		chans = append(chans, c.Frames())
	}
	f := testFrame(frame.Broadcast(), macA, 700, 9)
	write(t, conns[0], f)
	clear(f) // the writer's bytes were lent
	want := testFrame(frame.Broadcast(), macA, 700, 9)
	var got []vde.Frame
	for _, ch := range chans {
		got = append(got, <-ch)
	}
	for i, g := range got {
		if !bytes.Equal(g.Bytes(), want) {
			t.Errorf("receiver %d got other bytes", i)
		}
		g.Release()
	}
}
