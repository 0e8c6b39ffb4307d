// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// A network of two TCP stacks: listen on one, dial on the other.
type tcpNetwork struct {
	listen      func() (net.Listener, error) // nil if the other stack is in another process, with the services below
	pids        []int                        // other processes at work
	dial        func(ctx context.Context, addr string) (net.Conn, error)
	retransmits func() uint64
}

// The services of a stack in another process, testdata/gohost.
const (
	echoService   = "10.0.0.1:7" // returns what it gets
	sourceService = "10.0.0.1:9" // sends to whoever dials
)

// The stacks compared. What the kernel does with a stream socket is no network;
// it says how much of the time is the harness's.
var tcpStacks = []struct {
	name string
	make func(t testing.TB, mtu int) *tcpNetwork
}{
	{"netstack", netstackNetwork},
	{"netstack-inproc", netstackPorts},
	{"netstack-shm", func(t testing.TB, mtu int) *tcpNetwork { return netstackProcesses(t, mtu, "shm:") }},
	{"netstack-sockets", func(t testing.TB, mtu int) *tcpNetwork { return netstackProcesses(t, mtu, "sockets:") }},
	{"fdbased", func(t testing.TB, mtu int) *tcpNetwork { return fdbasedNetwork(t, mtu, false) }},
	{"fdbased-fifo", func(t testing.TB, mtu int) *tcpNetwork { return fdbasedNetwork(t, mtu, true) }},
	{"unix", unixNetwork},
}

func netstackNetwork(t testing.TB, mtu int) *tcpNetwork {
	a, b := cable(t, max(mtu+14, 1514))
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
		dial:        func(ctx context.Context, addr string) (net.Conn, error) { return h.DialContext(ctx, "tcp", addr) },
		pids:        append(pids, sender.pid),
		retransmits: func() uint64 { return h.Stats().TCPRetransmits },
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
		listen:      func() (net.Listener, error) { return ha.Listen("tcp", "10.0.0.1:0") },
		dial:        func(ctx context.Context, addr string) (net.Conn, error) { return hb.DialContext(ctx, "tcp", addr) },
		retransmits: func() uint64 { return ha.Stats().TCPRetransmits + hb.Stats().TCPRetransmits },
	}
}

// fdbasedNetwork is gVisor's own endpoint on a socketpair, with stacks set up as a
// Host's is.
func fdbasedNetwork(t testing.TB, mtu int, queue bool) *tcpNetwork {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var stacks [2]*stack.Stack
	for i, fd := range fds {
		ep, err := fdbased.New(&fdbased.Options{
			FDs: []int{fd}, MTU: uint32(mtu), EthernetHeader: true, Address: tcpip.LinkAddress([]byte{2, 0, 0, 0, 0, byte(i + 1)}),
			GSOMaxSize: 65536, GVisorGSOEnabled: true,
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
			&tcpip.TCPSendBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultSendBufferSize, Max: 4 << 20},
			&tcpip.TCPReceiveBufferSizeRangeOption{Min: tcp.MinBufferSize, Default: tcp.DefaultReceiveBufferSize, Max: 4 << 20},
		} {
			if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, opt); err != nil {
				t.Fatal(err)
			}
		}
		var opts stack.NICOptions
		if queue {
			opts.QDisc = fifo.New(ep, 1, 1000)
		}
		if err := s.CreateNICWithOptions(1, ep, opts); err != nil {
			t.Fatal(err)
		}
		addr := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), PrefixLen: 24}}
		if err := s.AddProtocolAddress(1, addr, stack.AddressProperties{}); err != nil {
			t.Fatal(err)
		}
		s.AddRoute(tcpip.Route{Destination: addr.AddressWithPrefix.Subnet(), NIC: 1})
		stacks[i] = s
	}
	t.Cleanup(func() {
		// Not Destroy: it waits, with the stack locked, for fdbased's receiver,
		// which may be waiting for that lock. The rest stays until the end.
		for _, s := range stacks {
			s.Close()
		}
	})
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
		retransmits: func() uint64 {
			return stacks[0].Stats().TCP.Retransmits.Value() + stacks[1].Stats().TCP.Retransmits.Value()
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
		retransmits: func() uint64 { return 0 },
	}
}

// flows are connections of a network, in pairs.
type flows struct {
	*tcpNetwork
	out, in []net.Conn
}

func (n *tcpNetwork) connect(t testing.TB, pairs int) *flows {
	f := &flows{tcpNetwork: n}
	t.Cleanup(func() {
		for _, c := range append(f.out, f.in...) {
			c.Close()
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	if n.listen == nil {
		for range pairs {
			in, err := n.dial(ctx, sourceService)
			if err != nil {
				t.Fatal(err)
			}
			f.in = append(f.in, in)
		}
		return f
	}
	l, err := n.listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for range pairs {
		out, err := n.dial(ctx, l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		f.out = append(f.out, out)
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		f.in = append(f.in, in)
	}
	return f
}

// echoed returns a connection on which each byte comes back.
func (n *tcpNetwork) echoed(t testing.TB) net.Conn {
	if n.listen != nil {
		f := n.connect(t, 1)
		go io.Copy(f.in[0], oneByOne{f.in[0]})
		return f.out[0]
	}
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	c, err := n.dial(ctx, echoService)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// oneByOne is a reader without the methods that let io.Copy do otherwise.
type oneByOne struct{ io.Reader }

// run lets all flows stream for a time and returns how many bytes arrived. What
// is on its way at the end arrives in the next run. (A number of bytes would be
// no measure: a stack that loses much may sit in its timeouts for minutes.)
func (f *flows) run(d time.Duration) (received int64, err error) {
	var total, given atomic.Int64
	errs := make([]error, 2*len(f.in))
	deadline := time.Now().Add(d)
	stream := func(c net.Conn, op func([]byte) (int, error), count *atomic.Int64, err *error) {
		c.SetDeadline(deadline)
		buf := make([]byte, 256<<10)
		for {
			n, e := op(buf)
			count.Add(int64(n))
			if ne, ok := errors.AsType[net.Error](e); ok && ne.Timeout() {
				return
			}
			if e != nil {
				*err = e
				return
			}
		}
	}
	var wg sync.WaitGroup
	for i := range f.in {
		if f.out != nil {
			wg.Go(func() { stream(f.out[i], f.out[i].Write, &given, &errs[2*i]) })
		}
		wg.Go(func() { stream(f.in[i], f.in[i].Read, &total, &errs[2*i+1]) })
	}
	wg.Wait()
	return total.Load(), errors.Join(errs...)
}

// slice is how long an iteration of BenchmarkTCP streams.
const slice = 200 * time.Millisecond

// BenchmarkTCP streams through each stack. Bytes are counted where they arrive.
func BenchmarkTCP(b *testing.B) {
	for _, mtu := range []int{1500, 9000, 65520} {
		for _, streams := range []int{1, 8} {
			b.Run(fmt.Sprintf("mtu=%d/streams=%d", mtu, streams), func(b *testing.B) {
				for _, s := range inOrder(tcpStacks) {
					leaf(b, "stack="+s.name, func(t testing.TB) *flows {
						f := s.make(t, mtu).connect(t, streams)
						if _, err := f.run(slice / 2); err != nil { // the windows open
							t.Fatal(err)
						}
						return f
					}, (*flows).bench)
				}
				b.Run("stack=memcpy", benchCopy)
			})
		}
	}
}

// benchCopy copies 64 KiB from buffer to buffer, as many as a TCP window: what the
// memory of this machine allows one processor.
func benchCopy(b *testing.B) {
	var src, dst [64][]byte
	for i := range src {
		src[i], dst[i] = make([]byte, 64<<10), make([]byte, 64<<10)
	}
	total, start := 0, time.Now()
	for range b.N {
		for end := time.Now().Add(slice); time.Now().Before(end); {
			for i := range src {
				total += copy(dst[i], src[i])
			}
		}
	}
	b.ReportMetric(float64(total)*8/1e9/time.Since(start).Seconds(), "Gbit/s")
	b.ReportMetric(0, "ns/op")
}

func (f *flows) bench(b *testing.B) {
	who := subject{pids: f.pids}
	before, retransmits, start := who.spent(b), f.retransmits(), time.Now()
	var total int64
	for range b.N {
		n, err := f.run(slice)
		if err != nil {
			b.Fatal(err)
		}
		total += n
	}
	elapsed := time.Since(start)
	b.StopTimer()
	if total == 0 {
		b.Fatal("nothing arrived")
	}
	gb := float64(total) / 1e9
	b.ReportMetric(gb*8/elapsed.Seconds(), "Gbit/s")
	b.ReportMetric(who.spent(b).minus(before).total().Seconds()/gb, "cpu-s/GB")
	b.ReportMetric(float64(f.retransmits()-retransmits)/gb, "retransmits/GB")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkTCPLatency sends one byte and waits for one.
func BenchmarkTCPLatency(b *testing.B) {
	for _, s := range inOrder(tcpStacks) {
		if s.name == "fdbased-fifo" {
			continue
		}
		var last []time.Duration
		leaf(b, "stack="+s.name, func(t testing.TB) net.Conn { return s.make(t, 1500).echoed(t) }, func(c net.Conn, b *testing.B) {
			one := make([]byte, 1)
			last = make([]time.Duration, 0, b.N)
			for range b.N {
				start := time.Now()
				if _, err := c.Write(one); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(c, one); err != nil {
					b.Fatal(err)
				}
				last = append(last, time.Since(start))
			}
			b.StopTimer()
			reportTimes(b, last)
		})
		keepTimes(b, "stack="+s.name, last)
	}
}
