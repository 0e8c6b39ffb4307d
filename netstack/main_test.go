// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/refs"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// TestMain fails if anything is left at the end of the tests: a goroutine, or a
// packet, route or endpoint of gVisor's that still has a reference. Not
// with benchmarks: keeping the books costs much, and gVisor's own endpoint does
// not always end.
func TestMain(m *testing.M) {
	serveIfAsked()
	flag.Parse()
	checked := flag.Lookup("test.bench").Value.String() == ""
	if checked {
		refs.SetLeakMode(refs.LeaksPanic)
	}
	code := m.Run()
	if code == 0 && checked {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left:", err)
			code = 1
		}
		// Buffers that were dropped without a release are found by their finalizers.
		runtime.GC()
		refs.DoLeakCheck()
	}
	os.Exit(code)
}

// bound is a context that ends when the test is taking far too long.
func bound(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// open joins network.
func open(t testing.TB, network string, opts ...vde.Option) *vde.Conn {
	t.Helper()
	c, err := vde.Open(bound(t), network, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// pair returns two connections joined by a cable.
func pair(t testing.TB, opts ...vde.Option) (a, b *vde.Conn) {
	t.Helper()
	_, a, b = cable(t, opts...)
	return a, b
}

func cable(t testing.TB, opts ...vde.Option) (sw *testutil.FakeSwitch, a, b *vde.Conn) {
	t.Helper()
	sw = testutil.FakePointToPoint(t)
	type result struct {
		c   *vde.Conn
		err error
	}
	other := make(chan result)
	go func() {
		c, err := vde.Open(bound(t), sw.Dir(), opts...)
		other <- result{c, err}
	}()
	a, err := vde.Open(bound(t), sw.Dir(), opts...)
	r := <-other
	if err != nil || r.err != nil {
		t.Fatal(err, r.err)
	}
	t.Cleanup(func() { a.Close(); r.c.Close() })
	return sw, a, r.c
}

// The addresses of tests, unlike any that testutil gives its stations, on the
// same networks.
var lastStation atomic.Uint32

func addrs() []netip.Prefix {
	n := lastStation.Add(1)
	return []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 99, 200 + byte(n>>8), byte(n)}), 16),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x99, 13: 1, 14: byte(n >> 8), 15: byte(n)}), 64),
	}
}

// host returns a host on c with addresses of both families.
func host(t testing.TB, c *vde.Conn, cfg netstack.HostConfig) *netstack.Host {
	t.Helper()
	if cfg.Addrs == nil {
		cfg.Addrs = addrs()
	}
	h, err := netstack.NewHost(c, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// hosts returns two hosts joined by a cable.
func hosts(t testing.TB, cfg netstack.HostConfig, opts ...vde.Option) (a, b *netstack.Host) {
	t.Helper()
	ca, cb := pair(t, opts...)
	return host(t, ca, cfg), host(t, cb, cfg)
}

func addr4(h *netstack.Host) netip.Addr { return h.Addrs()[0].Addr() }

// addr6 is the host's first address of IPv6 that is not for the link only.
func addr6(h *netstack.Host) netip.Addr {
	for _, p := range h.Addrs() {
		if a := p.Addr(); a.Is6() && !a.IsLinkLocalUnicast() {
			return a
		}
	}
	return netip.Addr{}
}

// scaled is full, or short where time is short.
func scaled(full, short int64) int64 {
	if testing.Short() || raceEnabled {
		return short
	}
	return full
}
