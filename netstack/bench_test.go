// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

// A contender is a way for two TCP stacks in this process to talk over a pair of
// AF_UNIX sockets.
type contender struct {
	name string
	make func(b testing.TB, mtu int) *rig
}

// A rig is a contender at work: listen on one side, dial on the other.
type rig struct {
	listen func() (net.Listener, error)
	dial   func(ctx context.Context, addr string) (net.Conn, error)

	retransmits func() uint64
	frames      func() (frames, calls uint64) // nil if not known
	drops       func() uint64                 // nil if not known
}

// BENCH_CONTENDERS chooses among them, with commas between names.
var contenders = chosen(os.Getenv("BENCH_CONTENDERS"), []contender{
	{"vde", func(b testing.TB, mtu int) *rig { return vdeRig(b, mtu, pair) }},
	{"vde-agreed", func(b testing.TB, mtu int) *rig { return vdeRig(b, mtu, agreedPair) }},
	{"fdbased", func(b testing.TB, mtu int) *rig { return fdbasedRig(b, mtu, false) }},
	{"fdbased-fifo", func(b testing.TB, mtu int) *rig { return fdbasedRig(b, mtu, true) }},
	{"unix", unixRig},
})

// chosen keeps the contenders in the list of names, or all.
func chosen(names string, all []contender) []contender {
	if names == "" {
		return all
	}
	return slices.DeleteFunc(all, func(c contender) bool {
		return !slices.Contains(strings.Split(names, ","), c.name)
	})
}

// wmem is the send buffer in bytes of every datagram socket in the comparison; 0,
// the default, leaves it to the kernel (BENCH_WMEM).
var wmem, _ = strconv.Atoi(os.Getenv("BENCH_WMEM"))

// vdeRig is two hosts on a cable that cable makes: a plain one, or one whose ends
// have agreed to offload headers.
func vdeRig(b testing.TB, mtu int, cable func(testing.TB, ...vde.Option) (*vde.Conn, *vde.Conn)) *rig {
	opts := []vde.Option{vde.WithMaxFrameSize(max(mtu+14, 1514))}
	if wmem > 0 {
		opts = append(opts, vde.WithWriteBuffer(wmem))
	}
	ca, cb := cable(b, opts...)
	cfg := netstack.HostConfig{MTU: mtu, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}}
	cfg.Congestion = os.Getenv("BENCH_CC")
	ha := host(b, ca, cfg)
	cfg.Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}
	hb := host(b, cb, cfg)
	both := func(f func(netstack.HostStats) uint64) uint64 { return f(ha.Stats()) + f(hb.Stats()) }
	return &rig{
		listen: func() (net.Listener, error) { return ha.Listen("tcp", "10.0.0.1:0") },
		dial:   func(ctx context.Context, addr string) (net.Conn, error) { return hb.DialContext(ctx, "tcp", addr) },
		retransmits: func() uint64 {
			return both(func(s netstack.HostStats) uint64 { return s.TCPRetransmits })
		},
		frames: func() (uint64, uint64) {
			s := hb.Stats().Endpoint.Conn
			return s.TxFrames, s.TxCalls
		},
		drops: func() uint64 {
			return both(func(s netstack.HostStats) uint64 { return s.Endpoint.TxDropped() })
		},
	}
}

// fdbasedRig is gVisor's own endpoint on a socketpair, with the stack set up as
// a Host's is.
func fdbasedRig(b testing.TB, mtu int, queue bool) *rig {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		b.Fatal(err)
	}
	var stacks [2]*stack.Stack
	for i, fd := range fds {
		if wmem > 0 {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, wmem); err != nil {
				b.Fatal(err)
			}
		}
		mac := tcpip.LinkAddress([]byte{2, 0, 0, 0, 0, byte(i + 1)})
		ep, err := fdbased.New(&fdbased.Options{
			FDs: []int{fd}, MTU: uint32(mtu), EthernetHeader: true, Address: mac,
			GSOMaxSize: 65536, GVisorGSOEnabled: true,
			PacketDispatchMode: fdbased.RecvMMsg, ProcessorsPerChannel: 1,
		})
		if err != nil {
			b.Fatal(err)
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
				b.Fatal(err)
			}
		}
		var opts stack.NICOptions
		if queue {
			opts.QDisc = fifo.New(ep, 1, 1000)
		}
		if err := s.CreateNICWithOptions(1, ep, opts); err != nil {
			b.Fatal(err)
		}
		addr := tcpip.ProtocolAddress{Protocol: ipv4.ProtocolNumber, AddressWithPrefix: tcpip.AddressWithPrefix{
			Address: tcpip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), PrefixLen: 24}}
		if err := s.AddProtocolAddress(1, addr, stack.AddressProperties{}); err != nil {
			b.Fatal(err)
		}
		s.AddRoute(tcpip.Route{Destination: addr.AddressWithPrefix.Subnet(), NIC: 1})
		stacks[i] = s
	}
	b.Cleanup(func() {
		// Not Destroy: it waits, with the stack locked, for fdbased's receiver,
		// which may be waiting for that lock. The rest stays until the end.
		for _, s := range stacks {
			s.Close()
		}
	})
	return &rig{
		listen: func() (net.Listener, error) {
			return gonet.ListenTCP(stacks[0], tcpip.FullAddress{NIC: 1, Port: 0}, ipv4.ProtocolNumber)
		},
		dial: func(ctx context.Context, addr string) (net.Conn, error) {
			_, port, _ := net.SplitHostPort(addr)
			n, _ := strconv.Atoi(port)
			return gonet.DialContextTCP(ctx, stacks[1], tcpip.FullAddress{NIC: 1, Addr: tcpip.AddrFrom4([4]byte{10, 0, 0, 1}), Port: uint16(n)}, ipv4.ProtocolNumber)
		},
		retransmits: func() uint64 {
			return stacks[0].Stats().TCP.Retransmits.Value() + stacks[1].Stats().TCP.Retransmits.Value()
		},
	}
}

// unixRig is the kernel's stream socket, no network at all.
func unixRig(b testing.TB, _ int) *rig {
	dir := b.TempDir()
	return &rig{
		listen: func() (net.Listener, error) { return net.Listen("unix", dir+"/s") },
		dial: func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", addr)
		},
		retransmits: func() uint64 { return 0 },
	}
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// flows are connections of a rig, in pairs.
type flows struct {
	out, in []net.Conn
}

func (r *rig) connect(b testing.TB, n int) *flows {
	l, err := r.listen()
	if err != nil {
		b.Fatal(err)
	}
	f := new(flows)
	for range n {
		out, err := r.dial(bound(b), l.Addr().String())
		if err != nil {
			b.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		f.out, f.in = append(f.out, out), append(f.in, in)
	}
	b.Cleanup(func() {
		for i := range f.out {
			f.out[i].Close()
			f.in[i].Close()
		}
		l.Close()
	})
	return f
}

// run lets all flows stream for a time and returns how many bytes arrived. What
// is on its way at the end arrives in the next run. (A number of bytes would be
// no measure: a stack that loses much may sit in its timeouts for minutes.)
func (f *flows) run(d time.Duration) (received int64, err error) {
	var total atomic.Int64
	errs := make([]error, 2*len(f.out))
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
	for i := range f.out {
		wg.Go(func() { stream(f.out[i], f.out[i].Write, new(atomic.Int64), &errs[2*i]) })
		wg.Go(func() { stream(f.in[i], f.in[i].Read, &total, &errs[2*i+1]) })
	}
	wg.Wait()
	return total.Load(), errors.Join(errs...)
}

// BenchmarkTCP lets each contender stream for a second in turn, once per
// iteration, so that all see the same state of the machine. The figures are
// medians over the iterations; retransmissions are sums.
func BenchmarkTCP(b *testing.B) {
	for _, mtu := range []int{1500, 9000, 65520} {
		for _, streams := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("mtu=%d/streams=%d", mtu, streams), func(b *testing.B) { benchmarkTCP(b, mtu, streams) })
		}
	}
}

func benchmarkTCP(b *testing.B, mtu, streams int) {
	type result struct{ gbits, cpu []float64 }
	results := make([]result, len(contenders))
	rigs := make([]*rig, len(contenders))
	fs := make([]*flows, len(contenders))
	for i, c := range contenders {
		rigs[i] = c.make(b, mtu)
		fs[i] = rigs[i].connect(b, streams)
		if _, err := fs[i].run(200 * time.Millisecond); err != nil { // windows open
			b.Fatal(c.name, err)
		}
	}
	for b.Loop() {
		for i, c := range contenders {
			cpu, start := cpuTime(), time.Now()
			n, err := fs[i].run(time.Second)
			if err != nil {
				b.Fatal(c.name, err)
			}
			r := &results[i]
			r.gbits = append(r.gbits, float64(n)*8/time.Since(start).Seconds()/1e9)
			r.cpu = append(r.cpu, (cpuTime()-cpu).Seconds()/(float64(n)/1e9))
		}
	}
	median := func(v []float64) float64 {
		slices.Sort(v)
		return v[len(v)/2]
	}
	first := median(results[0].gbits)
	for i, c := range contenders {
		gbits := median(results[i].gbits)
		b.ReportMetric(gbits, c.name+"-Gbit/s")
		b.ReportMetric(median(results[i].cpu), c.name+"-cpu-s/GB")
		b.ReportMetric(float64(rigs[i].retransmits()), c.name+"-retransmits")
		if rigs[i].frames != nil {
			frames, calls := rigs[i].frames()
			b.ReportMetric(float64(frames)/float64(calls), c.name+"-frames/call")
		}
		if rigs[i].drops != nil {
			b.ReportMetric(float64(rigs[i].drops()), c.name+"-drops")
		}
		if i > 0 {
			b.ReportMetric(first/gbits, "ratio-to-"+c.name)
		}
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLatency sends one byte and waits for one, on each contender in turn.
func BenchmarkLatency(b *testing.B) {
	const rounds = 2000
	samples := make([][]time.Duration, len(contenders))
	fs := make([]*flows, len(contenders))
	for i, c := range contenders {
		fs[i] = c.make(b, 1500).connect(b, 1)
		in := fs[i].in[0]
		go func() {
			one := make([]byte, 1)
			for {
				if _, err := io.ReadFull(in, one); err != nil {
					return
				}
				if _, err := in.Write(one); err != nil {
					return
				}
			}
		}()
	}
	one := make([]byte, 1)
	for b.Loop() {
		for i := range contenders {
			out := fs[i].out[0]
			for range rounds {
				start := time.Now()
				if _, err := out.Write(one); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(out, one); err != nil {
					b.Fatal(err)
				}
				samples[i] = append(samples[i], time.Since(start))
			}
		}
	}
	for i, c := range contenders {
		s := samples[i]
		slices.Sort(s)
		b.ReportMetric(float64(s[len(s)/2].Nanoseconds())/1e3, c.name+"-median-µs")
		b.ReportMetric(float64(s[len(s)*99/100].Nanoseconds())/1e3, c.name+"-p99-µs")
	}
	b.ReportMetric(0, "ns/op")
}
