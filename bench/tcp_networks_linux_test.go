// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/link/qdisc/fifo"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

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
	make func(t testing.TB, mtu int) *tcpNetwork
}{
	{"netstack", netstackNetwork},
	{"netstack-inproc", netstackPorts},
	{"netstack-shm", func(t testing.TB, mtu int) *tcpNetwork { return netstackProcesses(t, mtu, "shm:") }},
	{"netstack-sockets", func(t testing.TB, mtu int) *tcpNetwork { return netstackProcesses(t, mtu, "sockets:") }},
	{"fdbased", fdbasedNetwork(fdbasedKind{})},
	{"fdbased-fifo", fdbasedNetwork(fdbasedKind{queue: true})},
	{"fdbased-buffered", fdbasedNetwork(fdbasedKind{buffered: true})},
	{"unix", unixNetwork},
}

func netstackNetwork(t testing.TB, mtu int) *tcpNetwork {
	a, b := direct(t, max(mtu+14, 1514))
	return hosts(newHost(t, a, "10.0.0.1/24", mtu), newHost(t, b, "10.0.0.2/24", mtu))
}

// netstackPorts is two ports of a switch in this process.
func netstackPorts(t testing.TB, mtu int) *tcpNetwork {
	sw := newSwitch(t, max(mtu+14, 1514))
	return hosts(newHost(t, attach(t, sw, mtu+14), "10.0.0.1/24", mtu), newHost(t, attach(t, sw, mtu+14), "10.0.0.2/24", mtu))
}

// netstackProcesses is three processes: this one, the switch, and a host with
// services.
func netstackProcesses(t testing.TB, mtu int, how string) *tcpNetwork {
	name, pids := switchProcess(how)(t, load{sizes: []int{mtu + 14}})
	sender := startProgram(t, nil, program(t, "gohost"), name, "10.0.0.1/24", strconv.Itoa(mtu))
	var opts []vde.Option
	if how == "sockets:" {
		opts = sockets
	}
	h := newHost(t, open(t, strings.TrimPrefix(name, how), mtu+14, opts...), "10.0.0.2/24", mtu)
	return &tcpNetwork{
		dial:   func(ctx context.Context, addr string) (net.Conn, error) { return h.DialContext(ctx, "tcp", addr) },
		pids:   append(pids, sender.pid),
		counts: func() tcpCounts { return hostCounts(h) },
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

// An fdbasedKind is a way to set up gVisor's own endpoint.
type fdbasedKind struct {
	queue    bool // gVisor's queue in front of the endpoint
	buffered bool // GRO, and a send buffer that holds the window of a TCP connection
}

// tcpWindow is the largest TCP window, in buffers that the kernel counts twice: data
// and overhead.
const tcpWindow = 16 << 20

// fdbasedNetwork is gVisor's own endpoint on a socketpair.
func fdbasedNetwork(kind fdbasedKind) func(testing.TB, int) *tcpNetwork {
	return func(t testing.TB, mtu int) *tcpNetwork {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		var stacks [2]*stack.Stack
		for i, fd := range fds {
			if kind.buffered {
				if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, tcpWindow); err != nil {
					t.Skipf("missing: a send buffer of %d bytes (run the benchmark as root)", tcpWindow)
				}
			}
			stacks[i] = fdbasedStack(t, fd, byte(i+1), mtu, kind)
		}
		t.Cleanup(func() {
			// Not Destroy: it waits, with the stack locked, for fdbased's receiver,
			// which may be waiting for that lock. The rest stays until the end.
			for _, s := range stacks {
				s.Close()
			}
		})
		return stackNetwork(stacks)
	}
}

// fdbasedStack is a stack with the settings of a Host, and the address 10.0.0.host.
func fdbasedStack(t testing.TB, fd int, host byte, mtu int, kind fdbasedKind) *stack.Stack {
	ep, err := fdbased.New(&fdbased.Options{
		FDs: []int{fd}, MTU: uint32(mtu), EthernetHeader: true, Address: tcpip.LinkAddress([]byte{2, 0, 0, 0, 0, host}),
		GSOMaxSize: 65536, GVisorGSOEnabled: true, GRO: kind.buffered,
		PacketDispatchMode: fdbased.RecvMMsg, ProcessorsPerChannel: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	for _, opt := range []tcpip.SettableTransportProtocolOption{
		new(tcpip.TCPSACKEnabled(true)),
		new(tcpip.CongestionControlOption("reno")),
		new(tcpip.TCPRecovery(0)),
		&tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultSendBufferSize, Max: 4 << 20},
		&tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultReceiveBufferSize, Max: 4 << 20},
	} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, opt); err != nil {
			t.Fatal(err)
		}
	}
	var opts stack.NICOptions
	if kind.queue {
		opts.QDisc = fifo.New(ep, 1, 1000)
	}
	if err := s.CreateNICWithOptions(1, ep, opts); err != nil {
		t.Fatal(err)
	}
	addr := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
		Address: tcpip.AddrFrom4([4]byte{10, 0, 0, host}), PrefixLen: 24}}
	if err := s.AddProtocolAddress(1, addr, stack.AddressProperties{}); err != nil {
		t.Fatal(err)
	}
	s.AddRoute(tcpip.Route{Destination: addr.AddressWithPrefix.Subnet(), NIC: 1})
	return s
}

// stackNetwork is a network of two bare stacks.
func stackNetwork(stacks [2]*stack.Stack) *tcpNetwork {
	return &tcpNetwork{
		listen: func() (net.Listener, error) {
			return gonet.ListenTCP(stacks[0], tcpip.FullAddress{NIC: 1, Port: 0}, ipv4.ProtocolNumber)
		},
		dial: func(ctx context.Context, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil {
				return nil, err
			}
			return gonet.DialContextTCP(ctx, stacks[1], tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), Port: uint16(n)}, ipv4.ProtocolNumber)
		},
		counts: func() tcpCounts {
			return tcpCounts{retransmits: stacks[0].Stats().TCP.Retransmits.Value() + stacks[1].Stats().TCP.Retransmits.Value()}
		},
	}
}

func unixNetwork(t testing.TB, _ int) *tcpNetwork {
	path := t.TempDir() + "/s"
	return &tcpNetwork{
		listen: func() (net.Listener, error) { return net.Listen("unix", path) },
		dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", addr)
		},
		counts: func() tcpCounts { return tcpCounts{} },
	}
}
