// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// serve serves sw in a new directory until the test ends.
func serve(tb testing.TB, sw *vswitch.Switch) (dir string) {
	tb.Helper()
	dir = filepath.Join(testutil.ShortDir(tb), "sw")
	listen(tb, sw, dir)
	return dir
}

// listen serves sw in dir until the test ends.
func listen(tb testing.TB, sw *vswitch.Switch, dir string) *vswitch.Listener {
	tb.Helper()
	l, err := sw.Listen(dir)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-served; !errors.Is(err, context.Canceled) && !errors.Is(err, vswitch.ErrClosed) {
			tb.Errorf("Serve: %v", err)
		}
	})
	return l
}

func open(tb testing.TB, vnl string, opts ...vde.Option) *vde.Conn {
	tb.Helper()
	c, err := vde.Open(tb.Context(), vnl, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// socketPair makes a pair of which A, B or both are in other directories'
// clients, as far as socket says; the others are in-process.
func socketPair(cfg vswitch.Config, socketA, socketB bool) testutil.MakePair {
	return func(tb testing.TB) (*testutil.Pair, error) {
		sw := vswitch.New(cfg)
		dir := serve(tb, sw)
		testutil.NoLive(tb, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
		plug := func(socket bool, port int) (*vde.Conn, error) {
			if socket {
				return vde.Open(tb.Context(), dir, vde.WithPort(port))
			}
			return sw.Attach(vde.WithPort(port))
		}
		a, err := plug(socketA, 1)
		if err != nil {
			return nil, err
		}
		b, err := plug(socketB, 2)
		if err != nil {
			a.Close()
			return nil, err
		}
		return &testutil.Pair{A: a, B: b, Stop: func() { sw.Close() }}, nil
	}
}

func TestConformanceSockets(t *testing.T) {
	for _, test := range []struct {
		name string
		a, b bool
	}{{"Sockets", true, true}, {"SocketToInProcess", true, false}, {"InProcessToSocket", false, true}} {
		if testing.Short() && test.a != test.b {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			testutil.TestPacketConn(t, socketPair(waiting(), test.a, test.b), testutil.ConnOptions{Allocs: true})
		})
		if testing.Short() {
			continue
		}
		t.Run(test.name+"Default", func(t *testing.T) {
			testutil.NoLeaks(t)
			testutil.TestPacketConn(t, socketPair(vswitch.Config{}, test.a, test.b), testutil.ConnOptions{Lossy: true})
		})
	}
}

// active returns the numbers of the ports with an endpoint.
func active(sw *vswitch.Switch) (list []int) {
	for _, p := range sw.Ports() {
		if p.Active() {
			list = append(list, p.Number)
		}
	}
	return list
}

// start returns a switch served in dir.
func start(t *testing.T, cfg vswitch.Config) (sw *vswitch.Switch, dir string) {
	t.Helper()
	testutil.NoLeaks(t)
	sw = vswitch.New(cfg)
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	return sw, serve(t, sw)
}
