// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestLoopStorm joins a switch to another one twice, without protection, and has a
// broadcast go round. With protection one uplink is blocked, the storm ends, and frames
// arrive once: through one of ours, with rings and with sockets, and through a stock
// vde_switch.
func TestLoopStorm(t *testing.T) {
	t.Run("vde_switch", func(t *testing.T) {
		testLoopStorm(t, testpeers.StartSwitch(t, testpeers.SwitchConfig{NoMgmt: true}).Dir())
	})
	if testing.Short() {
		return // the other switches take as long each
	}
	t.Run("node of libvdeplug", func(t *testing.T) {
		testLoopStorm(t, testpeers.StartNode(t, "hub").Dir())
	})
	for _, mode := range []vde.SharedMemory{vde.SharedMemorySameUser, vde.SharedMemoryNever} {
		t.Run("ours/"+mode.String(), func(t *testing.T) {
			dir := testutil.ShortDir(t) + "/s"
			other := vswitch.New(vswitch.Config{SharedMemory: mode})
			l, err := other.Listen(dir)
			if err != nil {
				t.Fatal(err)
			}
			go l.Serve(context.Background())
			t.Cleanup(func() {
				other.Close()
				checkAccounts(t, other.Stats())
			})
			testLoopStorm(t, dir)
		})
	}
}

func testLoopStorm(t *testing.T, dir string) {
	sw := vswitch.New(vswitch.Config{
		LoopInterval: 200 * time.Millisecond,
		DefaultPort:  vswitch.PortConfig{LoopProtection: vswitch.LoopProtectionOff, Policy: vswitch.TailDrop},
	})
	defer sw.Close()
	near := attach(t, sw, 3)
	for n := 1; n <= 2; n++ {
		uplink(t, sw, dir, vswitch.LinkConfig{Port: n, Uplink: true})
		until(t, "up", func() bool { return !sw.Ports()[n-1].Endpoints[0].Down })
	}
	storm := testFrame(frame.Broadcast(), macA, 60, 1)
	write(t, near, storm)
	until(t, "it goes round", func() bool { return counts(t, sw, 1).In.Frames > 1000 })

	for n := 1; n <= 2; n++ {
		if err := sw.SetPort(n, vswitch.PortConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "blocked", func() bool { return len(blocked(sw)) == 1 })
	if got := blocked(sw); got[0] != 2 {
		t.Errorf("blocked is port %d", got[0])
	}
	far := open(t, dir)
	// What port 2 has sent before it was blocked is on its way too. Its probes follow, and
	// come back at port 1.
	back := counts(t, sw, 1).In.Dropped.Probe
	until(t, "port 2 has nothing under way", func() bool { return counts(t, sw, 1).In.Dropped.Probe >= back+2 })
	awaitStormEnd(t, far, near)
	awaitStormEnd(t, near, far)
	// From here on everything arrives once.
	for i := range byte(20) {
		f := testFrame(frame.Broadcast(), macB, 60, 100+i)
		write(t, far, f)
		if n := readUntil(t, near, f); n != 0 {
			t.Errorf("%d other frames before number %d", n, i)
		}
		f = testFrame(frame.Broadcast(), macA, 60, 200+i)
		write(t, near, f)
		if n := readUntil(t, far, f); n != 0 {
			t.Errorf("%d other frames before number %d back", n, i)
		}
	}
	if err := sw.Close(); err != nil {
		t.Error(err)
	}
	checkAccounts(t, sw.Stats())
	t.Logf("%+v", counts(t, sw, 2))
}

// awaitStormEnd has from send frames until one arrives at to, behind all that is left of
// the storm. While that is more than fits, some are lost.
func awaitStormEnd(t *testing.T, from, to *vde.Conn) {
	t.Helper()
	b := make([]byte, 2000)
	for i := 0; ; i++ {
		f := testFrame(frame.Broadcast(), macB, 64+i%1400, 2)
		write(t, from, f)
		if err := to.SetReadDeadline(time.Now().Add(short)); err != nil {
			t.Fatal(err)
		}
		for {
			n, err := to.Read(b)
			if err == nil && bytes.Equal(b[:n], f) {
				return
			}
			if err != nil {
				break
			}
		}
	}
}

// readUntil reads from c until f comes, and returns how many other frames came before,
// without probes.
func readUntil(t *testing.T, c *vde.Conn, f []byte) (others int) {
	b := make([]byte, 2000)
	if err := c.SetReadDeadline(time.Now().Add(long)); err != nil {
		t.Error(err)
	}
	for {
		n, err := c.Read(b)
		switch {
		case err != nil:
			t.Error(err)
			return others
		case bytes.Equal(b[:n], f):
			return others
		case !isProbe(b):
			others++
		}
	}
}
