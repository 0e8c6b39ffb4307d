// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"

	"github.com/containers/gvisor-tap-vsock/pkg/types"
	"github.com/go-vde/sdk/bench/internal/peer"
)

// The contenders whose round trips are measured.
var pingers = []contender{
	rawSockets("go-one", 1),
	{name: "c-one", batch: 1, program: "cpair"},
	conns("one", 1),
	inproc("inproc", "one"),
	{name: "shm", program: "govde", network: switchProcess("shm:")},
	{name: "sockets", program: "govde", network: switchProcess("sockets:")},
	{name: "vswitch-shm", network: ourSwitch},
	{name: "vswitch", network: ourSwitch, options: sockets},
	{name: "vde_switch", network: stockSwitch},
	{name: "vdeplug4", network: switchNode},
	{name: "c-vswitch", program: "cvde", network: ourSwitch},
	{name: "c-vde_switch", program: "cvde", network: stockSwitch},
	{name: "c-vdeplug4", program: "cvde", network: switchNode},
	{name: "cgo-vde_switch", program: "cgovde", network: stockSwitch},
	gvtap("gvtap-packet", unix.SOCK_SEQPACKET, types.BessProtocol, asPackets),
	{name: "bridge", batch: 1, endpoints: bridge},
}

// BenchmarkRTT measures the way there and back of a 64-byte frame. In a closed
// loop the next frame leaves when the answer has come: this is what a protocol of
// questions and answers sees. At a fixed rate it leaves when it is due, and the
// time counts from then, whether the sender was able to send at that moment or
// not: this is what a user sees of a network that has other things to do, and
// nothing is left out when everything stops for a moment.
func BenchmarkRTT(b *testing.B) {
	l := newLoad(b, "64")
	for _, rate := range []int{0, 1000, 10_000} {
		name := "load=closed"
		if rate > 0 {
			name = fmt.Sprintf("load=%d", rate)
		}
		b.Run(name, func(b *testing.B) {
			for _, c := range inOrder(pingers) {
				// Of a leaf's growing runs only the last is kept, the one that counts.
				var last []time.Duration
				leaf(b, "path="+c.name, func(t testing.TB) pinger { return c.pinger(t, l) }, func(p pinger, b *testing.B) {
					timing, err := p.ping(b.N, rate)
					b.StopTimer()
					if err != nil {
						b.Fatal(err)
					}
					if len(timing.RTT) == 0 {
						b.Fatalf("no answer to %d frames", b.N)
					}
					last = timing.RTT
					reportTimes(b, timing.RTT)
					b.ReportMetric(100*float64(timing.Lost)/float64(b.N), "%lost")
				})
				keepTimes(b, "path="+c.name, last)
			}
		})
	}
}

// reportTimes reports percentiles.
func reportTimes(b *testing.B, times []time.Duration) {
	h := histogram(times)
	for _, q := range []struct {
		unit string
		at   float64
	}{{"p50-ns", 50}, {"p99-ns", 99}, {"p99.9-ns", 99.9}} {
		b.ReportMetric(float64(h.ValueAtQuantile(q.at)), q.unit)
	}
}

func histogram(times []time.Duration) *hdrhistogram.Histogram {
	h := hdrhistogram.New(1, int64(10*time.Second), 3)
	for _, d := range times {
		_ = h.RecordValue(min(d.Nanoseconds(), h.HighestTrackableValue()))
	}
	return h
}

// keepTimes appends a benchmark's times to the file of histograms.
func keepTimes(b *testing.B, name string, times []time.Duration) {
	if *histograms == "" || len(times) == 0 {
		return
	}
	text, err := histogram(times).Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(*histograms, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintf(f, "%s/%s %s\n", strings.TrimPrefix(b.Name(), "Benchmark"), name, text); err != nil {
		b.Fatal(err)
	}
}

// A pinger sends frames and times their answers.
type pinger interface {
	ping(n, rate int) (peer.Timing, error)
}

func (c contender) pinger(t testing.TB, l load) pinger {
	if c.program != "" {
		c.batch = 1
		echo, source, _ := c.processes(t, l, "echo", "ping")
		return &timings{pinger: source, echo: echo}
	}
	var a, b peer.Endpoint
	if c.network != nil {
		name, _ := c.network(t, l)
		a, b = newConn(open(t, name, l.max(), c.options...), "one", l.max()), newConn(open(t, name, l.max(), c.options...), "one", l.max())
	} else {
		a, b = c.endpoints(t, l)
	}
	newPair(t, a, b, l, 1)
	echoed := make(chan struct{})
	go func() {
		defer close(echoed)
		peer.Echo(b)
	}()
	t.Cleanup(func() {
		b.Close()
		<-echoed
	})
	return &localPinger{a: a, size: l.max()}
}

// localPinger pings from this process. The echo is a goroutine beside it, which
// no other goroutine may receive beside.
type localPinger struct {
	a    peer.Endpoint
	size int
	run  uint64
}

func (p *localPinger) ping(n, rate int) (peer.Timing, error) {
	p.run++
	if rate == 0 {
		return peer.Ping(p.a, peer.B, peer.A, p.size, n, p.run)
	}
	return peer.PingAt(p.a, peer.B, peer.A, p.size, n, rate, p.run)
}
