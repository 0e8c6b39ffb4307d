// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/go-vde/sdk/bench/internal/gvisor"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A tcpShape is what a network is to carry.
type tcpShape struct{ mtu, streams int }

// A tcpNetwork is two TCP stacks: listen on one, dial on the other.
type tcpNetwork struct {
	listen func() (net.Listener, error) // nil if the other stack is in another process, with the services below
	pids   []int                        // other processes at work
	dial   func(ctx context.Context, addr string) (net.Conn, error)
	counts func() tcpCounts
}

// A tcpCounts is what the stacks of a network in this process have counted: frames
// and calls of the one that dials, 0 if they are not known.
type tcpCounts struct{ retransmits, drops, frames, calls uint64 }

// hostCounts adds up the counts of hosts, of which the last one dials.
func hostCounts(hosts ...*netstack.Host) (c tcpCounts) {
	for _, h := range hosts {
		s := h.Stats()
		c.retransmits += s.TCPRetransmits
		c.drops += s.Endpoint.TxDropped()
		c.frames, c.calls = s.Endpoint.Conn.TxFrames, s.Endpoint.Conn.TxCalls
	}
	return c
}

// The services of a stack in another process, testdata/gohost.
const (
	echoService   = "10.0.0.1:7" // returns what it gets
	sourceService = "10.0.0.1:9" // sends to each connection
)

// The stacks compared. A stream socket of the kernel is no network: it shows how
// much of the time is that of the benchmark itself.
var tcpStacks = []struct {
	name string
	make func(testing.TB, tcpShape) *tcpNetwork
}{
	{"netstack", netstackNetwork},
	{"netstack-inproc", netstackPorts},
	{"netstack-shm", netstackProcesses("shm:")},
	{"netstack-sockets", netstackProcesses("sockets:")},
	{"fdbased", gvisorNetwork("fdbased")},
	{"fdbased-fifo", gvisorNetwork("fdbased-fifo")},
	{"fdbased-buffered", gvisorNetwork("fdbased-buffered")},
	{"fdbased-vnet", gvisorNetwork("fdbased-vnet")},
	{"fdbased-vnet-processes", gvisorProcesses("fdbased-vnet")},
	{"sharedmem", gvisorNetwork("sharedmem")},
	{"sharedmem-processes", gvisorProcesses("sharedmem")},
	{"unix", unixNetwork},
}

func netstackNetwork(t testing.TB, shape tcpShape) *tcpNetwork {
	a, b := direct(t, max(shape.mtu+14, 1514))
	return hosts(newHost(t, a, "10.0.0.1/24", shape.mtu), newHost(t, b, "10.0.0.2/24", shape.mtu))
}

// netstackPorts is two ports of a switch in this process.
func netstackPorts(t testing.TB, shape tcpShape) *tcpNetwork {
	size := shape.mtu + 14
	sw := newSwitch(t, max(size, 1514))
	return hosts(newHost(t, attach(t, sw, size), "10.0.0.1/24", shape.mtu), newHost(t, attach(t, sw, size), "10.0.0.2/24", shape.mtu))
}

// netstackProcesses is three processes: this one, the switch, and a host with
// services.
func netstackProcesses(how string) func(testing.TB, tcpShape) *tcpNetwork {
	return func(t testing.TB, shape tcpShape) *tcpNetwork {
		size := shape.mtu + 14
		name, pids := switchProcess(how)(t, load{sizes: []int{size}})
		sender := startProgram(t, nil, program(t, "gohost"), name, "10.0.0.1/24", strconv.Itoa(shape.mtu))
		var opts []vde.Option
		if how == "sockets:" {
			opts = sockets
		}
		h := newHost(t, open(t, strings.TrimPrefix(name, how), size, opts...), "10.0.0.2/24", shape.mtu)
		return &tcpNetwork{
			dial:   func(ctx context.Context, addr string) (net.Conn, error) { return h.DialContext(ctx, "tcp", addr) },
			pids:   append(pids, sender.pid),
			counts: func() tcpCounts { return hostCounts(h) },
		}
	}
}

func newHost(t testing.TB, c *vde.Conn, prefix string, mtu int) *netstack.Host {
	t.Helper()
	h, err := netstack.NewHost(c, netstack.HostConfig{MTU: mtu, Addrs: []netip.Prefix{netip.MustParsePrefix(prefix)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// hosts joins two hosts of this process.
func hosts(ha, hb *netstack.Host) *tcpNetwork {
	return &tcpNetwork{
		listen: func() (net.Listener, error) { return ha.Listen("tcp", "10.0.0.1:0") },
		dial:   func(ctx context.Context, addr string) (net.Conn, error) { return hb.DialContext(ctx, "tcp", addr) },
		counts: func() tcpCounts { return hostCounts(ha, hb) },
	}
}

// gvisorNetwork is two stacks of this process, joined by endpoints of gVisor.
func gvisorNetwork(name string) func(testing.TB, tcpShape) *tcpNetwork {
	return func(t testing.TB, shape tcpShape) *tcpNetwork {
		kind, link := gvisorLink(t, name, shape)
		listener := gvisorStack(t, kind, gvisor.Receiver, link, "10.0.0.1/24", shape.mtu)
		dialer := gvisorStack(t, kind, gvisor.Sender, link, "10.0.0.2/24", shape.mtu)
		return &tcpNetwork{
			listen: func() (net.Listener, error) { return listener.Listen(0) },
			dial:   dialBare(dialer),
			counts: func() tcpCounts { return tcpCounts{retransmits: listener.Retransmits() + dialer.Retransmits()} },
		}
	}
}

// gvisorProcesses is two processes: this one, and a bare stack with services.
func gvisorProcesses(name string) func(testing.TB, tcpShape) *tcpNetwork {
	return func(t testing.TB, shape tcpShape) *tcpNetwork {
		kind, link := gvisorLink(t, name, shape)
		sender := startProgram(t, link[gvisor.Sender], program(t, "gohost"), "gvisor:"+name, "10.0.0.1/24", strconv.Itoa(shape.mtu))
		s := gvisorStack(t, kind, gvisor.Receiver, link, "10.0.0.2/24", shape.mtu)
		return &tcpNetwork{
			dial:   dialBare(s),
			pids:   []int{sender.pid},
			counts: func() tcpCounts { return tcpCounts{retransmits: s.Retransmits()} },
		}
	}
}

func gvisorLink(t testing.TB, name string, shape tcpShape) (gvisor.Kind, gvisor.Link) {
	t.Helper()
	kind, err := gvisor.KindOf(name)
	if err != nil {
		t.Fatal(err)
	}
	link, err := kind.Join(shape.streams)
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("missing: a send buffer beyond the limit of the kernel (run the benchmark as root)")
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	return kind, link
}

func gvisorStack(t testing.TB, kind gvisor.Kind, side int, link gvisor.Link, prefix string, mtu int) *gvisor.BareStack {
	t.Helper()
	ep, err := kind.Endpoint(side, link[side], mtu)
	if err != nil {
		t.Fatal(err)
	}
	s, err := gvisor.NewBareStack(ep, netip.MustParsePrefix(prefix), kind.Queue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// dialBare dials the host 10.0.0.1, whatever the host in the address is: a listener
// of a bare stack does not know it.
func dialBare(s *gvisor.BareStack) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, addr string) (net.Conn, error) {
		_, port, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		to, err := netip.ParseAddrPort("10.0.0.1:" + port)
		if err != nil {
			return nil, err
		}
		for {
			// A server of sharedmem cannot send before its client has handed it
			// buffers, and an ARP request that cannot be sent fails the dial at once.
			c, err := s.Dial(ctx, to)
			if err == nil || ctx.Err() != nil {
				return c, err
			}
		}
	}
}

func unixNetwork(t testing.TB, _ tcpShape) *tcpNetwork {
	path := testutil.ShortDir(t) + "/s"
	return &tcpNetwork{
		listen: func() (net.Listener, error) { return net.Listen("unix", path) },
		dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", addr)
		},
		counts: func() tcpCounts { return tcpCounts{} },
	}
}
