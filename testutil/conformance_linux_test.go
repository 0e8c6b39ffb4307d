// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// hubPair makes connections joined by a hub that waits.
func hubPair(tb testing.TB) (*testutil.Pair, error) {
	s := testutil.FakeHub(tb)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	a, err := vde.Open(ctx, s.VNL())
	if err != nil {
		return nil, err
	}
	b, err := vde.Open(ctx, s.VNL())
	if err != nil {
		a.Close()
		return nil, err
	}
	return &testutil.Pair{A: a, B: b, Stop: s.Stop}, nil
}

// pointToPointPair makes connections whose data sockets are each other's peers.
func pointToPointPair(tb testing.TB) (*testutil.Pair, error) {
	s := testutil.FakePointToPoint(tb)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	type opened struct {
		c   *vde.Conn
		err error
	}
	other := make(chan opened, 1)
	go func() {
		c, err := vde.Open(ctx, s.VNL())
		other <- opened{c, err}
	}()
	a, err := vde.Open(ctx, s.VNL())
	b := <-other
	if err := errors.Join(err, b.err); err != nil {
		for _, c := range []*vde.Conn{a, b.c} {
			if c != nil {
				c.Close()
			}
		}
		return nil, err
	}
	return &testutil.Pair{A: a, B: b.c, Stop: s.Stop, Hangup: s.HangupAll}, nil
}

func TestConformanceThroughFakeHub(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, hubPair, testutil.ConnOptions{Allocs: true})
}

func TestConformanceThroughFakePointToPoint(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, pointToPointPair, testutil.ConnOptions{Allocs: true})
}

// The options for networks that can do less must not ask for more.
func TestConformanceLossy(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
		s := testutil.FakeHub(tb)
		a, err := vde.Open(tb.Context(), s.VNL(), vde.WithMaxFrameSize(1514))
		if err != nil {
			return nil, err
		}
		b, err := vde.Open(tb.Context(), s.VNL(), vde.WithMaxFrameSize(1514))
		if err != nil {
			a.Close()
			return nil, err
		}
		return &testutil.Pair{A: onlyPacketConn{a}, B: b, Stop: s.Stop}, nil
	}, testutil.ConnOptions{Lossy: true, MaxFrame: 1514, MinFrame: 60})
}

// A real switch drops at full queues, and cuts frames at 1518 bytes.
func TestConformanceThroughStockSwitch(t *testing.T) {
	if testing.Short() {
		t.Skip("the tests of package vde have the suite on a stock switch too")
	}
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
		// A switch for each pair, because it can lose track of ports that close
		// while others open.
		s := testpeers.StartSwitch(tb, testpeers.SwitchConfig{})
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		a, err := vde.Open(ctx, s.VNL(), vde.WithMaxFrameSize(1518))
		if err != nil {
			return nil, err
		}
		b, err := vde.Open(ctx, s.VNL(), vde.WithMaxFrameSize(1518))
		if err != nil {
			a.Close()
			return nil, err
		}
		return &testutil.Pair{A: a, B: b, Stop: s.Stop}, nil
	}, testutil.ConnOptions{Lossy: true, MaxFrame: 1518, MinFrame: 60})
}

// onlyPacketConn hides what a connection can do beyond net.PacketConn.
type onlyPacketConn struct{ net.PacketConn }

// The second end comes so late that the first has asked whether it was refused.
func TestFakePointToPointSecondEndLate(t *testing.T) {
	testutil.NoLeaks(t)
	s := testutil.FakePointToPoint(t)
	type result struct {
		c   *vde.Conn
		err error
	}
	first := make(chan result, 1)
	go func() {
		c, err := vde.Open(context.Background(), s.VNL())
		first <- result{c, err}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := s.WaitRequests(ctx, 2); err != nil {
		t.Fatal(err)
	}
	b, err := vde.Open(ctx, s.VNL())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	a := <-first
	if a.err != nil {
		t.Fatal(a.err)
	}
	a.c.Close()
}
