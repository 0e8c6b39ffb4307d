// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
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

// station returns the configuration of a port with one known station.
func station(mac frame.MAC, pc vswitch.PortConfig) vswitch.PortConfig {
	pc.Stations = []vswitch.Station{{MAC: mac}}
	return pc
}

// waiting is the configuration of a switch for two stations that loses nothing.
func waiting() vswitch.Config {
	pc := vswitch.PortConfig{Wait: vswitch.Forever}
	return vswitch.Config{Ports: map[int]vswitch.PortConfig{1: station(macA, pc), 2: station(macB, pc)}}
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
					if err := sw.Disconnect(n, 0); err != nil && !errors.Is(err, vswitch.ErrPort) {
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
