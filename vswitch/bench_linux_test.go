// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A roundResult is what receivers counted in one round.
type roundResult struct {
	rate float64 // frames per second
	lost float64 // percent
}

// sideBySide runs rounds of ours and of vde_switch in turns, one of each for an
// iteration, and reports the medians and their ratio.
func sideBySide(b *testing.B, ours, theirs func() roundResult) {
	var results [2][]roundResult
	for b.Loop() {
		results[0] = append(results[0], ours())
		results[1] = append(results[1], theirs())
	}
	var rates [2]float64
	for i, prefix := range []string{"", "vde_switch-"} {
		rates[i] = median(results[i], func(r roundResult) float64 { return r.rate })
		b.ReportMetric(rates[i]/1e6, prefix+"Mframes/s")
		b.ReportMetric(median(results[i], func(r roundResult) float64 { return r.lost }), prefix+"%lost")
	}
	b.ReportMetric(rates[0]/rates[1], "ours/vde_switch")
	b.ReportMetric(0, "ns/op") // a round is no operation
}

// median returns the median of what f returns for the elements of s.
func median[T any](s []T, f func(T) float64) float64 {
	v := make([]float64, len(s))
	for i, e := range s {
		v[i] = f(e)
	}
	slices.Sort(v)
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// cRound moves count frames from one C libvdeplug client to another through the
// switch in dir. The time is from the first frame that the receiver counts until
// it has been told to stop after the sender was done and its queue is empty, a
// little longer than it took the frames.
func cRound(b *testing.B, dir string, size int, count uint64) roundResult {
	sink := testpeers.StartCPeer(b, testpeers.CPeerConfig{Role: testpeers.CCount, Network: dir, Port: 1, MAC: macB})
	source := testpeers.StartCPeer(b, testpeers.CPeerConfig{
		Role: testpeers.CFlood, Network: dir, Port: 2, MAC: macA, Peer: macB, Count: count, Size: size,
	})
	if err := source.Begin(); err != nil {
		b.Fatal(err)
	}
	if _, err := source.Wait(b.Context()); err != nil {
		b.Fatal(err)
	}
	// Only then may the source leave: vde_switch forgets what it has not read.
	r, err := sink.Finish(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := source.Finish(b.Context()); err != nil {
		b.Fatal(err)
	}
	return roundResult{float64(r.Frames) / r.Elapsed.Seconds(), 100 * (1 - float64(r.Frames)/float64(count))}
}

// vdeSwitchRound is a cRound through a new vde_switch: one that sees clients come
// just as others go may keep an endpoint that is gone (docs/spec/vde-protocol.md,
// section 15, item 13), and then be slow.
func vdeSwitchRound(b *testing.B, size int) roundResult {
	sw := testpeers.StartSwitch(b, testpeers.SwitchConfig{NoMgmt: true})
	defer sw.Stop()
	return cRound(b, sw.Dir(), size, cRoundFrames)
}

// cRoundFrames makes a round take a fraction of a second.
const cRoundFrames = 200_000

// BenchmarkCPeers moves frames from one C libvdeplug client to another, in turns
// through this switch and through vde_switch.
func BenchmarkCPeers(b *testing.B) {
	for _, size := range []int{64, 1514} {
		b.Run(fmt.Sprintf("size=%d", size), func(b *testing.B) {
			sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{1: withStatic(macB, vswitch.PortConfig{})}})
			b.Cleanup(func() { sw.Close() })
			dir := serve(b, sw)
			sideBySide(b,
				func() roundResult {
					defer until(b, "detached", func() bool { return len(active(sw)) == 0 })
					return cRound(b, dir, size, cRoundFrames)
				},
				func() roundResult { return vdeSwitchRound(b, size) })
		})
	}
}

// BenchmarkInProcessBesideVDESwitch compares what two in-process ports can do
// with what two C libvdeplug clients get through vde_switch, in turns.
func BenchmarkInProcessBesideVDESwitch(b *testing.B) {
	const frames = 2_000_000
	for _, size := range []int{64, 1514} {
		for _, read := range []string{"copy", "reference"} {
			b.Run(fmt.Sprintf("size=%d/read=%s", size, read), func(b *testing.B) {
				sw := vswitch.New(waiting())
				b.Cleanup(func() { sw.Close() })
				conns := attachMany(b, sw, 2)
				sideBySide(b,
					func() roundResult {
						elapsed := movePair(b, conns[0], conns[1], size, read, frames)
						return roundResult{rate: frames / elapsed.Seconds()} // the ports wait: all came
					},
					func() roundResult { return vdeSwitchRound(b, size) })
			})
		}
	}
}

// BenchmarkPorts has half of the ports send to a partner each among the other
// half, all at once. Frames are counted by who receives them; what is lost, was
// lost to the policy of the ports, the default. Memory is the heap and the stacks
// in use, before any traffic (idle) and after it, when buffers are kept for more
// and the receivers' goroutines wait; of a socket port it is that of both ends, as
// the clients are in the same process.
func BenchmarkPorts(b *testing.B) {
	const size = 64
	for _, ports := range []int{2, 16, 128, 1000} {
		for _, kind := range []string{"in-process", "socket"} {
			b.Run(fmt.Sprintf("ports=%d/kind=%s", ports, kind), func(b *testing.B) {
				frames := 1_000_000
				if kind == "socket" {
					frames = 100_000
				}
				benchmarkPorts(b, ports, kind == "socket", size, frames)
			})
		}
	}
}

// portMAC is the address of the station on a port.
func portMAC(port int) frame.MAC { return frame.MAC{2, 0, 0, 1, byte(port >> 8), byte(port)} }

const (
	pairBatch = 32  // frames that are written and read together
	pairRoom  = 128 // bytes for each to be read into
)

// A portPair is a port that sends, and its partner that receives.
type portPair struct {
	from, to *vde.Conn
	batch    [][]byte
	slab     []byte // that is read into

	// What the receiver counts is in cache lines of its own.
	_    [128]byte
	got  atomic.Uint64
	last atomic.Int64 // when got changed, in nanoseconds since the start
	_    [112]byte
}

// receive counts frames until the connection is closed.
func (p *portPair) receive(start time.Time) {
	var bufs [pairBatch][]byte
	for {
		for k := range bufs {
			bufs[k] = p.slab[k*pairRoom:][:pairRoom]
		}
		n, err := p.to.ReadBatch(bufs[:])
		if err != nil {
			return
		}
		p.last.Store(int64(time.Since(start)))
		p.got.Add(uint64(n))
	}
}

// send sends count frames.
func (p *portPair) send(count int) error {
	for count > 0 {
		n, err := p.from.WriteBatch(p.batch[:min(count, pairBatch)])
		if err != nil {
			return err
		}
		count -= n
	}
	return nil
}

// pairedPorts is a switch with pairs of ports.
type pairedPorts struct {
	b     *testing.B
	sw    *vswitch.Switch
	start time.Time
	pairs []portPair

	sent, got uint64 // in all rounds
}

// newPairedPorts makes the pairs, which have no connections yet.
func newPairedPorts(b *testing.B, pairs, size int) (p *pairedPorts, cfg vswitch.Config) {
	p = &pairedPorts{b: b, pairs: make([]portPair, pairs)}
	cfg.Ports = make(map[int]vswitch.PortConfig)
	for i := range p.pairs {
		from, to := i+1, pairs+i+1
		f := make([]byte, size)
		frame.PutHeader(f, portMAC(to), portMAC(from), 0x88b5)
		p.pairs[i].batch = slices.Repeat([][]byte{f}, pairBatch)
		p.pairs[i].slab = make([]byte, pairBatch*pairRoom)
		cfg.Ports[from] = withStatic(portMAC(from), vswitch.PortConfig{})
		cfg.Ports[to] = withStatic(portMAC(to), vswitch.PortConfig{})
	}
	return p, cfg
}

// attach attaches a connection to each port.
func (p *pairedPorts) attach(sockets bool) {
	ports := 2 * len(p.pairs)
	var conns []*vde.Conn
	if sockets {
		dir := serve(p.b, p.sw)
		for n := range ports {
			conns = append(conns, open(p.b, dir, vde.WithPort(n+1)))
		}
	} else {
		conns = attachMany(p.b, p.sw, ports)
	}
	for i := range p.pairs {
		p.pairs[i].from, p.pairs[i].to = conns[i], conns[len(p.pairs)+i]
	}
}

// round has each pair move some frames, and waits until all have been received or
// dropped.
func (p *pairedPorts) round(each int) roundResult {
	begun := time.Since(p.start)
	var sending sync.WaitGroup
	for i := range p.pairs {
		sending.Go(func() {
			if err := p.pairs[i].send(each); err != nil {
				p.b.Error(err)
			}
		})
	}
	sending.Wait()
	total := uint64(each * len(p.pairs))
	p.sent += total
	var now uint64
	var last time.Duration
	until(p.b, "everything received or dropped", func() bool {
		var in, queued, out uint64
		for _, s := range p.sw.Stats().Ports {
			in += s.In.Frames
			queued += s.Out.Queued
			out += s.Out.Frames
		}
		now, last = 0, 0
		for i := range p.pairs {
			now += p.pairs[i].got.Load()
			last = max(last, time.Duration(p.pairs[i].last.Load()))
		}
		return in == p.sent && queued == 0 && now == out
	})
	n := now - p.got
	p.got = now
	return roundResult{float64(n) / (last - begun).Seconds(), 100 * (1 - float64(n)/float64(total))}
}

func benchmarkPorts(b *testing.B, ports int, sockets bool, size, frames int) {
	p, cfg := newPairedPorts(b, ports/2, size)
	before := memoryInUse()
	p.sw = vswitch.New(cfg)
	b.Cleanup(func() { p.sw.Close() })
	p.attach(sockets)
	idle := memoryInUse() - before

	p.start = time.Now()
	var reading sync.WaitGroup
	for i := range p.pairs {
		reading.Go(func() { p.pairs[i].receive(p.start) })
	}
	var results []roundResult
	for b.Loop() {
		results = append(results, p.round(frames/len(p.pairs)))
	}
	used := memoryInUse() - before
	b.ReportMetric(median(results, func(r roundResult) float64 { return r.rate })/1e6, "Mframes/s")
	b.ReportMetric(median(results, func(r roundResult) float64 { return r.lost }), "%lost")
	b.ReportMetric(idle/float64(ports), "idle-B/port")
	b.ReportMetric(used/float64(ports), "B/port")
	b.ReportMetric(0, "ns/op")
	for i := range p.pairs {
		p.pairs[i].from.Close()
		p.pairs[i].to.Close()
	}
	reading.Wait()
}

// memoryInUse returns the bytes of heap and stacks in use.
func memoryInUse() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapInuse + m.StackInuse)
}

// BenchmarkIdlePorts reports the memory of ports that are attached and silent.
// Half of a socket endpoint's share is the client's in the same process.
func BenchmarkIdlePorts(b *testing.B) {
	const ports = 1000
	for _, kind := range []string{"in-process", "socket"} {
		b.Run("kind="+kind, func(b *testing.B) {
			for b.Loop() {
				sw := vswitch.New(vswitch.Config{})
				before := memoryInUse()
				if kind == "socket" {
					dir := serve(b, sw)
					for range ports {
						open(b, dir)
					}
				} else {
					attachMany(b, sw, ports)
				}
				b.ReportMetric((memoryInUse()-before)/ports, "B/port")
				sw.Close()
			}
		})
	}
}
