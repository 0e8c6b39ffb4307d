// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"net"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// The stations of the conformance suite.
var (
	macA = frame.MAC{0x02, 0, 0, 0, 0, 0x0a}
	macB = frame.MAC{0x02, 0, 0, 0, 0, 0x0b}
)

// withStatic returns pc with a static entry for mac.
func withStatic(mac frame.MAC, pc vswitch.PortConfig) vswitch.PortConfig {
	pc.Static = []vswitch.StaticEntry{{MAC: mac}}
	return pc
}

// waiting is the configuration of a switch for two stations that loses nothing.
func waiting() vswitch.Config {
	pc := vswitch.PortConfig{Wait: vswitch.Forever}
	return vswitch.Config{Ports: map[int]vswitch.PortConfig{1: withStatic(macA, pc), 2: withStatic(macB, pc)}}
}

// inProcessPair makes two in-process ports; the switch must have known stations
// on ports 1 and 2.
func inProcessPair(cfg vswitch.Config) testutil.MakePair {
	return func(tb testing.TB) (*testutil.Pair, error) {
		sw := vswitch.New(cfg)
		testutil.NoLive(tb, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
		a, err := sw.Attach(vde.WithPort(1))
		if err != nil {
			return nil, err
		}
		b, err := sw.Attach(vde.WithPort(2))
		if err != nil {
			return nil, err
		}
		return &testutil.Pair{
			A: a, B: b,
			Stop: func() { sw.Close() },
			Hangup: func() {
				// After Close nothing is there to hang up on.
				for n := 1; n <= 2; n++ {
					if err := sw.Disconnect(n, 0); err != nil && !errors.Is(err, vswitch.ErrNoPort) {
						tb.Error(err)
					}
				}
			},
		}, nil
	}
}

func TestConformanceInProcess(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, inProcessPair(waiting()), testutil.ConnOptions{Allocs: true})
}

// With the defaults, a writer is not held up for ever.
func TestConformanceInProcessDefault(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, inProcessPair(vswitch.Config{}), testutil.ConnOptions{Lossy: true, Allocs: true})
}

// TestAttachErrors checks that errors of Attach are those of vde.Open.
func TestAttachErrors(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Name: "lab", NumPorts: 1})
	attach(t, sw, 1)
	_, full := sw.Attach()
	_, none := sw.Attach(vde.WithPort(2))
	_, invalid := vswitch.New(vswitch.Config{NumPorts: -1}).Attach()
	if err := sw.Close(); err != nil {
		t.Fatal(err)
	}
	_, closed := sw.Attach()
	for _, test := range []struct {
		name string
		err  error
		is   []error
		text string
	}{
		{"full", full, []error{vswitch.ErrNoFreePort, vde.ErrSwitchFull}, "open vde vswitch://lab: no free port from 1 to 1"},
		{"no port", none, []error{vswitch.ErrNoPort, vde.ErrPortRefused}, "open vde vswitch://lab: port not available: 2, there are 0 to 1"},
		{"invalid", invalid, nil, "open vde vswitch://vswitch: invalid configuration: NumPorts is -1, want 1 to 8388607"},
		{"closed", closed, []error{vswitch.ErrClosed, vde.ErrHangup}, "open vde vswitch://lab: switch closed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var op *net.OpError
			if !errors.As(test.err, &op) || op.Op != "open" || op.Net != "vde" {
				t.Fatalf("got %#v", test.err)
			}
			for _, is := range test.is {
				if !errors.Is(test.err, is) {
					t.Errorf("does not match %v", is)
				}
			}
			if test.err.Error() != test.text {
				t.Errorf("got  %v\nwant %s", test.err, test.text)
			}
		})
	}
}

// Disconnect ends one endpoint of a port, once, and PortOf forgets it.
func TestDisconnectAndPortOf(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	a, b := attach(t, sw, 4), attach(t, sw, 4)
	if n, ok := sw.PortOf(b); n != 4 || !ok {
		t.Errorf("PortOf: %d, %v", n, ok)
	}
	ids := sw.Ports()[0].Endpoints
	if len(ids) != 2 {
		t.Fatalf("%+v", ids)
	}
	if err := sw.Disconnect(4, ids[0].ID); err != nil {
		t.Fatal(err)
	}
	<-a.Context().Done()
	if a.Err() != vde.ErrHangup || b.Err() != nil {
		t.Errorf("%v, %v", a.Err(), b.Err())
	}
	if err := sw.Disconnect(4, ids[0].ID); !errors.Is(err, vswitch.ErrNoPort) {
		t.Errorf("a second time: %v", err)
	}
	if _, ok := sw.PortOf(a); ok {
		t.Error("PortOf knows an endpoint that was pulled")
	}
}
