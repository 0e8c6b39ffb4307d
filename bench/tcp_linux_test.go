// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

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

// run lets all flows stream for a time and returns how many bytes arrived, and the
// longest time in which none did. What is on its way at the end arrives in the next
// run. (A number of bytes would be no measure: a stack that loses much may sit in its
// timeouts for minutes.)
func (f *flows) run(d time.Duration) (received int64, gap time.Duration, err error) {
	var total atomic.Int64
	var arrived arrivals
	errs := make([]error, 2*len(f.in))
	start := time.Now()
	deadline := start.Add(d)
	stream := func(c net.Conn, op func([]byte) (int, error), count func(int), err *error) {
		c.SetDeadline(deadline)
		buf := make([]byte, 256<<10)
		for {
			n, e := op(buf)
			count(n)
			if ne, ok := errors.AsType[net.Error](e); ok && ne.Timeout() {
				return
			}
			if e != nil {
				*err = e
				return
			}
		}
	}
	read := func(n int) {
		if n > 0 {
			total.Add(int64(n))
			arrived.at(time.Since(start))
		}
	}
	var wg sync.WaitGroup
	for i := range f.in {
		if f.out != nil {
			wg.Go(func() { stream(f.out[i], f.out[i].Write, func(int) {}, &errs[2*i]) })
		}
		wg.Go(func() { stream(f.in[i], f.in[i].Read, read, &errs[2*i+1]) })
	}
	wg.Wait()
	arrived.at(d)
	return total.Load(), arrived.longest(), errors.Join(errs...)
}

// An arrivals is the longest time between arrivals on all flows together.
type arrivals struct{ last, gap atomic.Int64 }

// at notes an arrival at a time since the start. That of a slower goroutine may be
// before the last one.
func (a *arrivals) at(now time.Duration) {
	gap := int64(now) - a.last.Swap(int64(now))
	for {
		longest := a.gap.Load()
		if gap <= longest || a.gap.CompareAndSwap(longest, gap) {
			return
		}
	}
}

func (a *arrivals) longest() time.Duration { return time.Duration(a.gap.Load()) }

// slice is how long an iteration of BenchmarkTCP streams.
const slice = 200 * time.Millisecond

// BenchmarkTCP streams through each stack. Bytes are counted where they arrive.
func BenchmarkTCP(b *testing.B) {
	for _, mtu := range first(1, []int{1500, 9000, 65520}) {
		for _, streams := range first(2, []int{1, 8, 64}) {
			b.Run(fmt.Sprintf("mtu=%d/streams=%d", mtu, streams), func(b *testing.B) {
				for _, s := range inOrder(tcpStacks) {
					leaf(b, "stack="+s.name, func(t testing.TB) *flows {
						f := s.make(t, tcpShape{mtu, streams}).connect(t, streams)
						if _, _, err := f.run(slice / 2); err != nil { // the windows open
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
	processes := subject{pids: f.pids}
	before, counts, start := processes.spent(b), f.counts(), time.Now()
	var total int64
	var longest time.Duration
	for range b.N {
		n, gap, err := f.run(slice)
		if err != nil {
			b.Fatal(err)
		}
		total += n
		longest = max(longest, gap)
	}
	elapsed := time.Since(start)
	b.StopTimer()
	gb := float64(total) / 1e9
	b.ReportMetric(gb*8/elapsed.Seconds(), "Gbit/s")
	b.ReportMetric(float64(longest)/float64(time.Millisecond), "gap-ms")
	b.ReportMetric(0, "ns/op")
	if total == 0 {
		return // nothing to divide by; the report says that the run stalled
	}
	b.ReportMetric(processes.spent(b).minus(before).total().Seconds()/gb, "cpu-s/GB")
	now := f.counts()
	b.ReportMetric(float64(now.retransmits-counts.retransmits)/gb, "retransmits/GB")
	if calls := now.calls - counts.calls; calls > 0 && f.pids == nil {
		b.ReportMetric(float64(now.drops-counts.drops)/gb, "drops/GB")
		b.ReportMetric(float64(now.frames-counts.frames)/float64(calls), "frames/call")
	}
}

// BenchmarkTCPLatency sends one byte and waits for one.
func BenchmarkTCPLatency(b *testing.B) {
	for _, s := range inOrder(tcpStacks) {
		if s.name == "fdbased-fifo" {
			continue
		}
		var last []time.Duration
		leaf(b, "stack="+s.name, func(t testing.TB) net.Conn { return s.make(t, tcpShape{1500, 1}).echoed(t) }, func(c net.Conn, b *testing.B) {
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
