// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// quickRedial dials again soon.
var quickRedial = vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond, FirstDial: true}

// uplink attaches the network called locator to a port of sw, as cmd/vde does.
func uplink(t testing.TB, sw *vswitch.Switch, locator string, cfg vswitch.LinkConfig, opts ...vde.Option) *vswitch.Attachment {
	t.Helper()
	l, err := vde.OpenLink(t.Context(), locator, append(opts, vde.WithReconnect(quickRedial))...)
	if err != nil {
		t.Fatal(err)
	}
	a, err := sw.AttachLink(l, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// reaches sends broadcasts on from until one of them arrives at to.
func reaches(t testing.TB, what string, from, to *vde.Conn) {
	t.Helper()
	f := testFrame(frame.Broadcast(), macA, 100, 1)
	b := make([]byte, 2000)
	for end := time.Now().Add(long); ; {
		if _, err := from.Write(f); err != nil {
			t.Fatal(what, err)
		}
		if err := to.SetReadDeadline(time.Now().Add(short)); err != nil {
			t.Fatal(err)
		}
		if n, err := to.Read(b); err == nil && bytes.Equal(b[:n], f) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: nothing arrives", what)
		}
	}
}

// TestUplinkReconnects kills the other switch of an uplink, one of ours and a stock
// vde_switch, while frames go both ways. When it is back, they do so again.
func TestUplinkReconnects(t *testing.T) {
	t.Run("vde_switch", func(t *testing.T) {
		other := testpeers.StartSwitch(t, testpeers.SwitchConfig{NoMgmt: true})
		testUplinkReconnects(t, other.Dir(), other.Kill, other.Restart)
	})
	for _, mode := range []vde.SharedMemory{vde.SharedMemorySameUser, vde.SharedMemoryNever} {
		t.Run("ours/"+mode.String(), func(t *testing.T) {
			dir := testutil.ShortDir(t) + "/s"
			cfg := vswitch.Config{SharedMemory: mode}
			var other *vswitch.Switch
			kill := func() { other.Close() }
			restart := func() {
				other = vswitch.New(cfg)
				l, err := other.Listen(dir)
				if err != nil {
					t.Fatal(err)
				}
				go l.Serve(context.Background())
			}
			restart()
			defer func() { other.Close() }()
			testUplinkReconnects(t, dir, kill, restart)
		})
	}
}

// keepSending has a station of sw's send f again and again until stop is called.
func keepSending(t *testing.T, sw *vswitch.Switch, f []byte) (stop func()) {
	c, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			if _, err := c.Write(f); err != nil {
				return
			}
		}
	}()
	return func() {
		c.Close()
		<-done
	}
}

func testUplinkReconnects(t *testing.T, dir string, kill, restart func()) {
	log := new(records)
	sw := vswitch.New(vswitch.Config{Logger: slog.New(log)})
	defer sw.Close()
	a := uplink(t, sw, dir, vswitch.LinkConfig{Port: 2, Description: dir})
	near, far := attach(t, sw, 1), open(t, dir)
	for range 2 {
		reaches(t, "out", near, far)
		reaches(t, "back", far, near)
		// Sends also reach the link while nobody knows yet that it is down.
		write(t, far, testFrame(frame.Broadcast(), macC, 100, 2))
		until(t, "C is learned", func() bool {
			return slices.ContainsFunc(sw.FDB(), func(e vswitch.FDBEntry) bool { return e.MAC == macC && e.Port == 2 })
		})
		stop := keepSending(t, sw, testFrame(macC, macB, 100, 3))
		kill()
		until(t, "the link is down", func() bool { return sw.Ports()[1].Endpoints[0].Down })
		stop()
		restart()
		far = open(t, dir)
	}
	reaches(t, "out", near, far)
	reaches(t, "back", far, near)
	if a.Port() != 2 || a.Err() != nil {
		t.Errorf("port %d, %v", a.Port(), a.Err())
	}
	if err := sw.Close(); err != nil {
		t.Error(err)
	}
	checkAccounts(t, sw.Stats())
	if up, down := log.count("link up"), log.count("link down, will be opened again"); up < 2 || down < 2 {
		t.Errorf("%d times up, %d times down in the log", up, down)
	}
}
