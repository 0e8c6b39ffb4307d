// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"context"
	"flag"
	"fmt"
	"net"
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
	"github.com/go-vde/sdk/vswitch"
)

// TestMain fails if a goroutine is left at the end of the tests, or a packet, route
// or endpoint of gVisor that still has a reference. It does not check benchmarks,
// because counting references is expensive.
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
		// The finalizers find buffers that were not released.
		runtime.GC()
		refs.DoLeakCheck()
	}
	os.Exit(code)
}

// watchdog is how long a step of a test may take. A step takes as long only if it
// hangs, even on a busy machine.
const watchdog = 5 * time.Minute

// bound returns a context that ends when the test hangs.
func bound(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until ok returns true.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := bound(t)
	for !ok() {
		select {
		case <-tick.C:
		case <-end.Done():
			t.Fatalf("not so: %s", what)
		}
	}
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

// pair returns two connections joined point to point.
func pair(t testing.TB, opts ...vde.Option) (a, b *vde.Conn) {
	t.Helper()
	_, a, b = pointToPoint(t, opts...)
	return a, b
}

// pointToPoint returns a switch that joins two connections, and the connections.
func pointToPoint(t testing.TB, opts ...vde.Option) (sw *testutil.FakeSwitch, a, b *vde.Conn) {
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

// attach gives the test a port of sw.
func attach(t testing.TB, sw *vswitch.Switch, opts ...vde.Option) *vde.Conn {
	t.Helper()
	c, err := sw.Attach(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// lastHost numbers the hosts of the tests.
var lastHost atomic.Uint32

// addrs returns new addresses on the networks of testutil, none of which testutil
// uses itself.
func addrs() []netip.Prefix {
	n := lastHost.Add(1)
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

// hosts returns two hosts joined point to point.
func hosts(t testing.TB, cfg netstack.HostConfig, opts ...vde.Option) (a, b *netstack.Host) {
	t.Helper()
	ca, cb := pair(t, opts...)
	return host(t, ca, cfg), host(t, cb, cfg)
}

// addr4 returns the first address of h, which is an IPv4 address.
func addr4(h *netstack.Host) netip.Addr { return h.Addrs()[0].Addr() }

// addr6 returns the first IPv6 address of h that is not link-local.
func addr6(h *netstack.Host) netip.Addr {
	for _, p := range h.Addrs() {
		if a := p.Addr(); a.Is6() && !a.IsLinkLocalUnicast() {
			return a
		}
	}
	return netip.Addr{}
}

// listen returns a listener of h that is closed when the test ends.
func listen(t testing.TB, h *netstack.Host, network, addr string) net.Listener {
	t.Helper()
	l, err := h.Listen(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// dial returns a TCP connection from h to port of addr.
func dial(t testing.TB, h *netstack.Host, addr netip.Addr, port uint16) net.Conn {
	t.Helper()
	c, err := h.DialContext(bound(t), "tcp", netip.AddrPortFrom(addr, port).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// accept returns the next connection of l.
func accept(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// connected returns both ends of a TCP connection from a host to another, and the
// listener that accepted it.
func connected(t testing.TB, from, to *netstack.Host) (l net.Listener, out, in net.Conn) {
	t.Helper()
	l = listen(t, to, "tcp", ":80")
	out = dial(t, from, addr4(to), 80)
	return l, out, accept(t, l)
}

// listenPort returns the port of l.
func listenPort(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

// unused returns an address on the network of h that no host has.
func unused(h *netstack.Host) netip.Addr {
	a := addr4(h).As4()
	a[2] = 1
	return netip.AddrFrom4(a)
}

// dropped returns how many frames an endpoint dropped, without those for a stalled
// link: on a busy machine, a link can be without progress for a second.
func dropped(s netstack.EndpointStats) uint64 { return s.TxDropped() - s.TxDroppedStalled }

// scaled returns full, or short with -short or the race detector.
func scaled(full, short int64) int64 {
	if testing.Short() || raceEnabled {
		return short
	}
	return full
}
