// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// A path is a way for two hosts in this process to exchange frames. Package bench
// of the repository compares them with other implementations.
type path struct {
	name string
	pair func(testing.TB, ...vde.Option) (*vde.Conn, *vde.Conn)
}

// The paths: datagram sockets with ordinary frames, and with GSO frames.
var paths = []path{{"vde", pair}, {"vde-agreed", agreedPair}}

// wmem is the send buffer of the sockets in bytes. 0 leaves it to the kernel.
var wmem, _ = strconv.Atoi(os.Getenv("BENCH_WMEM"))

// A rig is two hosts on a path.
type rig struct{ server, client *netstack.Host }

func newRig(b testing.TB, p path, mtu int) *rig {
	opts := []vde.Option{vde.WithMaxFrameSize(max(mtu+14, 1514))}
	if wmem > 0 {
		opts = append(opts, vde.WithWriteBuffer(wmem))
	}
	ca, cb := p.pair(b, opts...)
	cfg := netstack.HostConfig{MTU: mtu, CongestionControl: os.Getenv("BENCH_CC")}
	cfg.Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}
	server := host(b, ca, cfg)
	cfg.Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}
	return &rig{server, host(b, cb, cfg)}
}

func (r *rig) retransmits() uint64 {
	return r.server.Stats().TCPRetransmits + r.client.Stats().TCPRetransmits
}

func (r *rig) drops() uint64 {
	return r.server.Stats().Endpoint.TxDropped() + r.client.Stats().Endpoint.TxDropped()
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
	l, err := r.server.Listen("tcp", "10.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	f := new(flows)
	for range n {
		out, err := r.client.DialContext(bound(b), "tcp", l.Addr().String())
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

// run lets all flows stream for a time and returns how many bytes arrived. Bytes
// that are under way at the end arrive in the next run. A run is not a number of
// bytes, because a stack that loses many frames can wait for minutes in timeouts.
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

// BenchmarkTCP lets each path stream for a second in turn, once per iteration, so
// that all are measured in the same state of the machine. The figures are medians
// over the iterations; retransmissions are sums.
func BenchmarkTCP(b *testing.B) {
	for _, mtu := range []int{1500, 9000, 65520} {
		for _, streams := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("mtu=%d/streams=%d", mtu, streams), func(b *testing.B) { benchmarkTCP(b, mtu, streams) })
		}
	}
}

func benchmarkTCP(b *testing.B, mtu, streams int) {
	type result struct{ gbits, cpu []float64 }
	results := make([]result, len(paths))
	rigs := make([]*rig, len(paths))
	fs := make([]*flows, len(paths))
	for i, p := range paths {
		rigs[i] = newRig(b, p, mtu)
		fs[i] = rigs[i].connect(b, streams)
		if _, err := fs[i].run(200 * time.Millisecond); err != nil { // windows open
			b.Fatal(p.name, err)
		}
	}
	for b.Loop() {
		for i, p := range paths {
			cpu, start := cpuTime(), time.Now()
			n, err := fs[i].run(time.Second)
			if err != nil {
				b.Fatal(p.name, err)
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
	for i, p := range paths {
		sent := rigs[i].client.Stats().Endpoint.Conn
		b.ReportMetric(median(results[i].gbits), p.name+"-Gbit/s")
		b.ReportMetric(median(results[i].cpu), p.name+"-cpu-s/GB")
		b.ReportMetric(float64(rigs[i].retransmits()), p.name+"-retransmits")
		b.ReportMetric(float64(sent.TxFrames)/float64(sent.TxCalls), p.name+"-frames/call")
		b.ReportMetric(float64(rigs[i].drops()), p.name+"-drops")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLatency sends one byte and waits for one, on each path in turn.
func BenchmarkLatency(b *testing.B) {
	const rounds = 2000
	samples := make([][]time.Duration, len(paths))
	fs := make([]*flows, len(paths))
	for i, p := range paths {
		fs[i] = newRig(b, p, 1500).connect(b, 1)
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
		for i := range paths {
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
	for i, p := range paths {
		s := samples[i]
		slices.Sort(s)
		b.ReportMetric(float64(s[len(s)/2].Nanoseconds())/1e3, p.name+"-median-µs")
		b.ReportMetric(float64(s[len(s)*99/100].Nanoseconds())/1e3, p.name+"-p99-µs")
	}
	b.ReportMetric(0, "ns/op")
}
