// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// Ports of the tests with slow ports. From dropPorts and slowPorts on there may be
// several.
const (
	senderPort = 1   // sends to all others
	goodPort   = 2   // reads as fast as it can
	dropPorts  = 100 // never reads, and has the policy TailDrop: costs nobody anything
	fillPort   = 99  // fills the queues of slow ports before the test
	slowPorts  = 300 // reads too slowly, and has the default policy
)

// slowPortConfig is that of a switch with slow ports, whose addresses are known.
func slowPortConfig(slow int) vswitch.Config {
	cfg := vswitch.Config{Ports: map[int]vswitch.PortConfig{}}
	add := func(n int, policy vswitch.Policy) {
		cfg.Ports[n] = withStatic(stationMAC(n), vswitch.PortConfig{Policy: policy})
	}
	add(senderPort, vswitch.Backpressure)
	add(goodPort, vswitch.Backpressure)
	for i := range slow {
		add(dropPorts+i, vswitch.TailDrop)
		add(slowPorts+i, vswitch.Backpressure)
	}
	return cfg
}

// endpointKinds are the kinds of endpoints by name.
var endpointKinds = []string{"in-process", "rings", "socket"}

// endpointOf makes an endpoint of a kind.
func endpointOf(t *testing.T, sw *vswitch.Switch, dir, kind string, port int) *vde.Conn {
	t.Helper()
	switch kind {
	case "rings":
		return open(t, dir, vde.WithPort(port))
	case "socket":
		return open(t, dir, vde.WithPort(port), vde.WithSharedMemory(vde.SharedMemoryNever))
	}
	return attach(t, sw, port)
}

// A readingPattern reads from c until ctx ends.
type readingPattern func(ctx context.Context, c *vde.Conn)

// readEvery reads at most n frames every so often.
func readEvery(period time.Duration, n int) readingPattern {
	return func(ctx context.Context, c *vde.Conn) {
		bufs := newBufs(n)
		tick := time.NewTicker(period)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if _, err := c.ReadBatch(bufs); err != nil {
					return
				}
			}
		}
	}
}

// slowPatterns are the ways of reading too slowly.
var slowPatterns = []struct {
	name string
	read readingPattern
}{
	{"never", func(ctx context.Context, _ *vde.Conn) { <-ctx.Done() }},
	{"one frame every 100 ms", readEvery(100*time.Millisecond, 1)},
	{"one frame every ms", readEvery(time.Millisecond, 1)},
	{"64 frames every 15 ms", readEvery(15*time.Millisecond, 64)},
	{"too late for each time", readEvery(vswitch.DefaultWait+time.Millisecond, 1)},
}

// A slowPortRun measures what slow ports cost the frames for goodPort.
type slowPortRun struct {
	t          *testing.T
	sw         *vswitch.Switch
	from, good *vde.Conn
	dst        frame.MAC // of the frames for goodPort
	slow       int       // ports
}

// rate sends half of each batch to one of the ports from others on, in turns, and
// half to goodPort, and returns how many frames a second came there.
func (r *slowPortRun) rate(others int) float64 {
	r.t.Helper()
	const (
		half  = 32
		slice = 25 * time.Millisecond
	)
	batches := make([][][]byte, r.slow)
	for i := range batches {
		for j := range 2 * half {
			dst := stationMAC(others + i)
			if j >= half {
				dst = r.dst
			}
			batches[i] = append(batches[i], testFrame(dst, stationMAC(senderPort), 60, 1))
		}
	}
	before := r.good.Stats().RxFrames
	start := time.Now()
	for next := 0; time.Since(start) < slice; next++ {
		if n, err := r.from.WriteBatch(batches[next%r.slow]); err != nil {
			r.t.Fatal(n, err)
		}
	}
	return float64(r.good.Stats().RxFrames-before) / time.Since(start).Seconds()
}

// leastRatio is what slow ports have to leave others of their rate. A sender that waits
// as long as slow ports like has a hundredth.
const leastRatio = 0.3

// compare returns how the rate beside slow ports compares with the rate beside one
// that costs nobody anything, by rounds in turns. On a busy machine it takes more of
// them until something has been dropped at slow ports, and until chance decides no more.
func (r *slowPortRun) compare() (ratio float64) {
	r.t.Helper()
	const many, most = 40, 2000
	few := 20
	if testing.Short() {
		few = 5
	}
	var beside, alone float64
	rounds := 0
	for ; rounds < few || rounds < many && beside < leastRatio*alone || rounds < most && r.dropped() == 0; rounds++ {
		alone += r.rate(dropPorts)
		beside += r.rate(slowPorts)
	}
	r.t.Logf("%.0f frames/s beside slow ports, %.0f without", beside/float64(rounds), alone/float64(rounds))
	return beside / alone
}

// dropped returns how many frames were dropped at slow ports.
func (r *slowPortRun) dropped() (n uint64) {
	for _, p := range r.sw.Stats().Ports {
		if p.Port >= slowPorts {
			n += p.Out.Dropped.Timeout + p.Out.Dropped.Stalled
		}
	}
	return n
}

// newSlowPortRun makes a switch with slow ports of a kind, which read as they
// should.
func newSlowPortRun(t *testing.T, from, kind string, slow int, read readingPattern) *slowPortRun {
	t.Helper()
	sw, dir := start(t, slowPortConfig(slow))
	r := &slowPortRun{t: t, sw: sw, dst: stationMAC(goodPort), slow: slow}
	r.from, r.good = endpointOf(t, sw, dir, from, senderPort), attach(t, sw, goodPort)
	fill := attach(t, sw, fillPort)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	readers.Go(func() { readAll(r.good) })
	var conns []*vde.Conn
	for i := range slow {
		c := endpointOf(t, sw, dir, kind, slowPorts+i)
		full := make([][]byte, 64)
		for j := range full {
			full[j] = testFrame(stationMAC(slowPorts+i), stationMAC(fillPort), 60, 1)
		}
		for err := error(nil); !errors.Is(err, vde.ErrFull); {
			if _, err = fill.TryWriteBatch(full); err != nil && !errors.Is(err, vde.ErrFull) {
				t.Fatal(err)
			}
		}
		readers.Go(func() { read(ctx, c) })
		conns = append(conns, c, endpointOf(t, sw, dir, kind, dropPorts+i))
	}
	t.Cleanup(func() {
		cancel()
		for _, c := range append(conns, r.good) {
			c.Close()
		}
		readers.Wait()
	})
	return r
}

// check compares, and checks that every frame is accounted for.
func (r *slowPortRun) check() {
	r.t.Helper()
	if ratio := r.compare(); ratio < leastRatio {
		r.t.Errorf("slow ports leave others %.3f of their rate", ratio)
	}
	checkAccounts(r.t, r.sw.Stats())
	if r.dropped() == 0 {
		r.t.Error("nothing was dropped at slow ports")
	}
}

// TestSlowPort checks that a port which reads too slowly, in whatever way, leaves
// the frames that its senders have for others their rate.
func TestSlowPort(t *testing.T) {
	for _, kind := range endpointKinds {
		for i, p := range slowPatterns {
			if testing.Short() && i > 0 && (kind != "in-process" || i > 2) {
				break
			}
			t.Run(kind+"/"+p.name, func(t *testing.T) {
				r := newSlowPortRun(t, "in-process", kind, 1, p.read)
				r.check()
			})
		}
	}
}

// TestSlowPortSenders is TestSlowPort for each kind of sender.
func TestSlowPortSenders(t *testing.T) {
	for _, kind := range endpointKinds[1:] {
		t.Run(kind, func(t *testing.T) {
			r := newSlowPortRun(t, kind, "in-process", 1, readEvery(time.Millisecond, 1))
			r.check()
		})
	}
}

// TestSlowPortFloods checks that frames which are flooded do not wait behind those
// for a slow port.
func TestSlowPortFloods(t *testing.T) {
	r := newSlowPortRun(t, "in-process", "in-process", 1, readEvery(time.Millisecond, 1))
	r.dst = frame.Broadcast()
	r.check()
}

// TestManySlowPorts checks that many slow ports cost no more than one.
func TestManySlowPorts(t *testing.T) {
	for _, kind := range endpointKinds {
		if testing.Short() && kind != "rings" {
			continue
		}
		t.Run(kind, func(t *testing.T) {
			r := newSlowPortRun(t, "in-process", kind, 100, readEvery(20*time.Millisecond, 1))
			r.check()
		})
	}
}
