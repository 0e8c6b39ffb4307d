// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// setImpair makes c the impairments of port n.
func setImpair(t testing.TB, sw *vswitch.Switch, n int, c impair.Config) {
	t.Helper()
	pc, err := sw.Port(n)
	if err != nil {
		t.Fatal(err)
	}
	pc.Impair = c
	if err := sw.SetPort(n, pc); err != nil {
		t.Fatal(err)
	}
}

// An impairedPair is a switch with the stations A at port 1, which may be impaired, and
// B at port 2. Each is known.
type impairedPair struct {
	sw   *vswitch.Switch
	a, b *vde.Conn
}

func newImpairedPair(t testing.TB, c impair.Config) impairedPair {
	t.Helper()
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Queue: 4096}})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	p := impairedPair{sw, attach(t, sw, 1), attach(t, sw, 2)}
	t.Cleanup(func() { sw.Close() })
	write(t, p.a, testFrame(macB, macA, 60, 0))
	write(t, p.b, testFrame(macA, macB, 60, 0))
	received(t, sw, p.a)
	received(t, sw, p.b)
	setImpair(t, sw, 1, c)
	return p
}

// ways returns for both directions the impairment i in it, the sender and the receiver.
func (p impairedPair) ways(i impair.Impairment) []impairedWay {
	return []impairedWay{
		{"in", impair.Config{In: i, Seed: 1}, p.a, p.b, macB, macA},
		{"out", impair.Config{Out: i, Seed: 1}, p.b, p.a, macA, macB},
	}
}

type impairedWay struct {
	name     string
	config   impair.Config
	from, to *vde.Conn
	dst, src frame.MAC
}

// send sends frames of 125 bytes with the numbers from first on.
func (w impairedWay) send(t testing.TB, first, n int) {
	t.Helper()
	for i := range n {
		f := testFrame(w.dst, w.src, 125, 0)
		binary.BigEndian.PutUint32(f[frame.HeaderLen:], uint32(first+i))
		write(t, w.from, f)
	}
}

// An impairedArrival is the number of a frame and when it has arrived.
type impairedArrival struct {
	number int
	after  time.Duration
}

// receive returns what arrives within the given time.
func (w impairedWay) receive(t testing.TB, within time.Duration) (got []impairedArrival) {
	t.Helper()
	start := time.Now()
	if err := w.to.SetReadDeadline(start.Add(within)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	for {
		_, err := w.to.Read(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, impairedArrival{int(binary.BigEndian.Uint32(b[frame.HeaderLen:])), time.Since(start)})
	}
}

func impairedNumbers(got []impairedArrival) (list []int) {
	for _, a := range got {
		list = append(list, a.number)
	}
	return list
}

func impairedUpTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// eachWay calls f in a bubble for each direction of port 1, which is not impaired yet.
func eachWay(t *testing.T, i impair.Impairment, f func(t *testing.T, p impairedPair, w impairedWay)) {
	for way := range 2 {
		name := []string{"in", "out"}[way]
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newImpairedPair(t, impair.Config{})
				f(t, p, p.ways(i)[way])
			})
		})
	}
}

// TestImpairDelay: each frame is under way for the delay, and the other direction is not
// delayed.
func TestImpairDelay(t *testing.T) {
	eachWay(t, impair.Impairment{Delay: 50 * time.Millisecond}, func(t *testing.T, p impairedPair, w impairedWay) {
		setImpair(t, p.sw, 1, w.config)
		w.send(t, 0, 100)
		back := impairedWay{from: w.to, to: w.from, dst: w.src, src: w.dst}
		back.send(t, 0, 1)
		if got := back.receive(t, time.Millisecond); len(got) != 1 || got[0].after != 0 {
			t.Errorf("back: %v", got)
		}
		got := w.receive(t, time.Second)
		if !slices.Equal(impairedNumbers(got), impairedUpTo(100)) {
			t.Errorf("%v", impairedNumbers(got))
		}
		for _, a := range got {
			if a.after != 49*time.Millisecond {
				t.Errorf("frame %d after %v", a.number, a.after)
			}
		}
		checkAccounts(t, p.sw.Stats())
	})
}

// TestImpairLoss: frames are lost as the seed says, and counted.
func TestImpairLoss(t *testing.T) {
	const n = 2000
	var lost []uint64
	for range 2 {
		eachWay(t, impair.Impairment{Loss: 0.1}, func(t *testing.T, p impairedPair, w impairedWay) {
			setImpair(t, p.sw, 1, w.config)
			w.send(t, 0, n)
			got := w.receive(t, time.Second)
			s := counts(t, p.sw, 1)
			k := s.In.Dropped.Impaired + s.Out.Dropped.Impaired
			if uint64(len(got))+k != n || k < n/20 || k > n/5 {
				t.Errorf("%d received, %d lost", len(got), k)
			}
			lost = append(lost, k)
		})
	}
	if !slices.Equal(lost[:2], lost[2:]) || lost[0] == lost[1] {
		t.Errorf("lost with the same seed: %v; the directions should differ", lost)
	}
}

// TestImpairRate: frames come one after the other, as fast as the rate says.
func TestImpairRate(t *testing.T) {
	eachWay(t, impair.Impairment{Rate: 1e6}, func(t *testing.T, p impairedPair, w impairedWay) {
		setImpair(t, p.sw, 1, w.config)
		w.send(t, 0, 20)
		for i, a := range w.receive(t, time.Second) {
			if want := time.Duration(i+1) * time.Millisecond; a.number != i || a.after != want {
				t.Errorf("frame %d after %v, want %d after %v", a.number, a.after, i, want)
			}
		}
	})
}

// TestImpairOrder: jitter keeps the order, and reorder does not.
func TestImpairOrder(t *testing.T) {
	eachWay(t, impair.Impairment{Delay: 10 * time.Millisecond, Jitter: 9 * time.Millisecond}, func(t *testing.T, p impairedPair, w impairedWay) {
		setImpair(t, p.sw, 1, w.config)
		w.send(t, 0, 100)
		if got := impairedNumbers(w.receive(t, time.Second)); !slices.Equal(got, impairedUpTo(100)) {
			t.Errorf("jitter: %v", got)
		}
		w.config.In.Reorder, w.config.Out.Reorder = 0.5, 0.5
		setImpair(t, p.sw, 1, w.config)
		w.send(t, 0, 100)
		got := impairedNumbers(w.receive(t, time.Second))
		if slices.IsSorted(got) {
			t.Errorf("reorder: %v", got)
		}
		slices.Sort(got)
		if !slices.Equal(got, impairedUpTo(100)) {
			t.Errorf("reorder: %v", got)
		}
	})
}

// TestImpairDuplicate: copies are counted where they are made.
func TestImpairDuplicate(t *testing.T) {
	eachWay(t, impair.Impairment{Duplicate: 1}, func(t *testing.T, p impairedPair, w impairedWay) {
		setImpair(t, p.sw, 1, w.config)
		before := counts(t, p.sw, 1)
		w.send(t, 0, 10)
		if got := impairedNumbers(w.receive(t, time.Second)); len(got) != 20 || !slices.Equal(slices.Compact(got), impairedUpTo(10)) {
			t.Errorf("%v", got)
		}
		s := counts(t, p.sw, 1)
		if w.name == "in" && (s.In.Frames-before.In.Frames != 20 || s.In.Duplicated != 10) ||
			w.name == "out" && (s.Out.Frames-before.Out.Frames != 20 || s.Out.Duplicated != 10 || s.Out.Offered-before.Out.Offered != 20) {
			t.Errorf("%+v", s)
		}
	})
}

// TestImpairFull: no more frames are under way than Queue says, and the others are
// counted.
func TestImpairFull(t *testing.T) {
	for _, queue := range []int{0, 10} {
		eachWay(t, impair.Impairment{Delay: time.Second, Queue: queue}, func(t *testing.T, p impairedPair, w impairedWay) {
			setImpair(t, p.sw, 1, w.config)
			most := queue
			if most == 0 {
				most = vswitch.DefaultImpairQueue
			}
			w.send(t, 0, most+5)
			synctest.Wait()
			s := counts(t, p.sw, 1)
			if w.name == "in" && s.In.Dropped.Full != 5 || w.name == "out" && (s.Out.Dropped.Full != 5 || s.Out.Queued != uint64(most)) {
				t.Errorf("%+v", s)
			}
			if e := p.sw.Ports()[0].Endpoints[0]; w.name == "out" && e.Queued != most {
				t.Errorf("%d queued, want %d", e.Queued, most)
			}
			if got := impairedNumbers(w.receive(t, 2*time.Second)); !slices.Equal(got, impairedUpTo(most)) {
				t.Errorf("%v", got)
			}
		})
	}
}

// TestImpairEnd: when the impairment is removed, what is under way arrives at once and
// before later frames, and nothing remains of the impairment.
func TestImpairEnd(t *testing.T) {
	eachWay(t, impair.Impairment{Delay: time.Hour, Rate: 1000}, func(t *testing.T, p impairedPair, w impairedWay) {
		setImpair(t, p.sw, 1, w.config)
		w.send(t, 0, 100)
		if n := vswitch.ImpairedDirections(p.sw, 1); n != 1 {
			t.Errorf("%d directions impaired", n)
		}
		setImpair(t, p.sw, 1, impair.Config{})
		w.send(t, 100, 100)
		got := w.receive(t, time.Second)
		if !slices.Equal(impairedNumbers(got), impairedUpTo(200)) || got[199].after != 0 {
			t.Errorf("%v", got)
		}
		if n := vswitch.ImpairedDirections(p.sw, 1); n != 0 {
			t.Errorf("%d directions impaired when the impairment has ended", n)
		}
		// It can begin anew, also while the last one ends.
		w.config.In.Rate, w.config.Out.Rate = 0, 0
		setImpair(t, p.sw, 1, w.config)
		w.send(t, 0, 10)
		setImpair(t, p.sw, 1, impair.Config{})
		setImpair(t, p.sw, 1, w.config)
		w.send(t, 10, 10)
		if got := w.receive(t, time.Minute); !slices.Equal(impairedNumbers(got), impairedUpTo(10)) {
			t.Errorf("%v", got)
		}
		if got := w.receive(t, time.Hour); !slices.Equal(impairedNumbers(got), impairedUpTo(20)[10:]) {
			t.Errorf("%v", got)
		}
		checkAccounts(t, p.sw.Stats())
	})
}

// TestImpairChange: what is under way arrives no later than it would if it entered at
// the change.
func TestImpairChange(t *testing.T) {
	eachWay(t, impair.Impairment{Delay: time.Hour}, func(t *testing.T, p impairedPair, w impairedWay) {
		setImpair(t, p.sw, 1, w.config)
		w.send(t, 0, 10)
		for _, d := range []*impair.Impairment{&w.config.In, &w.config.Out} {
			if d.Delay != 0 {
				d.Delay, d.Rate = 20*time.Millisecond, 1e6
			}
		}
		setImpair(t, p.sw, 1, w.config)
		w.send(t, 10, 10)
		got := w.receive(t, time.Second)
		if len(got) != 20 {
			t.Fatalf("%v", got)
		}
		for i, a := range got[:10] {
			if want := 20*time.Millisecond + time.Duration(i+1)*time.Millisecond; a.number != i || a.after != want {
				t.Errorf("frame %d after %v, want %d after %v", a.number, a.after, i, want)
			}
		}
		if !slices.Equal(impairedNumbers(got), impairedUpTo(20)) {
			t.Errorf("%v", got)
		}
	})
}

// TestImpairClosed: frames that are under way when the endpoint or the switch ends are
// dropped, and counted as such; their buffers are released.
func TestImpairClosed(t *testing.T) {
	for _, end := range []string{"conn", "disconnect", "switch"} {
		eachWay(t, impair.Impairment{Delay: time.Second, Duplicate: 1}, func(t *testing.T, p impairedPair, w impairedWay) {
			setImpair(t, p.sw, 1, w.config)
			before := counts(t, p.sw, 1)
			w.send(t, 0, 10)
			switch end {
			case "conn":
				p.a.Close()
			case "disconnect":
				if err := p.sw.Disconnect(1, 0); err != nil {
					t.Fatal(err)
				}
			case "switch":
				p.sw.Close()
			}
			synctest.Wait()
			s := counts(t, p.sw, 1)
			if w.name == "in" && (s.In.Dropped.Closed != 20 || s.In.Frames-before.In.Frames != 20 || s.In.Duplicated != 10) ||
				w.name == "out" && (s.Out.Dropped.Closed != 20 || s.Out.Queued != 0) {
				t.Errorf("%s: %+v", end, s)
			}
			if n := vswitch.Live(p.sw); n != 0 {
				t.Errorf("%s: %d buffers", end, n)
			}
		})
	}
}

// TestImpairClosedFull: frames that wait for room behind an impairment when their endpoint
// ends are dropped for that reason, and the waiting ends.
func TestImpairClosedFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{2: withStatic(macB, vswitch.PortConfig{
			Queue: 8, Wait: vswitch.Forever, Impair: impair.Config{Out: impair.Impairment{Delay: time.Second}},
		})}})
		defer sw.Close()
		testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
		w := impairedWay{from: attach(t, sw, 1), dst: macB, src: macA}
		b := attach(t, sw, 2)
		w.send(t, 0, 100)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if s := counts(t, sw, 2).Out; s.Queued != 100 {
			t.Errorf("%+v", s)
		}
		b.Close()
		if s := counts(t, sw, 2).Out; s.Dropped.Closed != 100 || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// TestImpairStalled: nobody waits again and again for a port that does not read, also
// behind an impairment.
func TestImpairStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{2: withStatic(macB, vswitch.PortConfig{
			Queue: 8, Impair: impair.Config{Out: impair.Impairment{Loss: 1e-300}},
		})}})
		defer sw.Close()
		w := impairedWay{from: attach(t, sw, 1), dst: macB, src: macA}
		attach(t, sw, 2)
		start := time.Now()
		w.send(t, 0, 20000)
		for counts(t, sw, 2).Out.Queued > 8 {
			time.Sleep(time.Millisecond)
		}
		s := counts(t, sw, 2).Out
		if d := time.Since(start); d > 500*time.Millisecond || s.Dropped.Stalled < 10000 {
			t.Errorf("after %v: %+v", d, s)
		}
	})
}

// TestImpairMirror: a mirror sees what comes out of the impairment of the port that the
// frames come from, and what goes into that of the port that they are for; copies are
// impaired at the mirror's port.
func TestImpairMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newImpairedPair(t, impair.Config{In: impair.Impairment{Loss: 1}, Out: impair.Impairment{Loss: 1}})
		m := attach(t, p.sw, 3)
		if err := p.sw.Mirror(1, 3); err != nil {
			t.Fatal(err)
		}
		ways := p.ways(impair.Impairment{})
		ways[0].to, ways[1].to = m, m
		ways[0].send(t, 0, 10)
		ways[1].send(t, 10, 10)
		if got := impairedNumbers(ways[0].receive(t, time.Second)); !slices.Equal(got, impairedUpTo(20)[10:]) {
			t.Errorf("%v", got)
		}
		setImpair(t, p.sw, 3, impair.Config{Out: impair.Impairment{Delay: time.Second}})
		ways[1].send(t, 0, 1)
		if got := ways[0].receive(t, time.Minute); len(got) != 1 || got[0].after != time.Second {
			t.Errorf("%v", got)
		}
		if s := counts(t, p.sw, 3).Out; s.Mirrored != 11 {
			t.Errorf("%+v", s)
		}
	})
}

// TestImpairProbe: the switch's own probes are impaired as other frames are.
func TestImpairProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{
			LoopProtection: vswitch.LoopProtectionOn, Impair: impair.Config{Out: impair.Impairment{Delay: 100 * time.Millisecond}},
		}})
		defer sw.Close()
		w := impairedWay{to: attach(t, sw, 1)}
		got := w.receive(t, 10*time.Second)
		if len(got) < 9 || got[0].after < 100*time.Millisecond || got[0].after > 200*time.Millisecond {
			t.Errorf("%v", got)
		}
		s := counts(t, sw, 1).Out
		if s.Frames != uint64(len(got)) || s.Probes != s.Offered {
			t.Errorf("%d received, %+v", len(got), s)
		}
	})
}

// TestImpairEndpoints: endpoints of one port are impaired each by itself, also one that
// comes later, and all ports that have no configuration of their own with them.
func TestImpairEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Impair: impair.Config{Out: impair.Impairment{Rate: 1e6}}}})
		defer sw.Close()
		a, b, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 2)
		w := impairedWay{from: a, dst: frame.Broadcast(), src: macA}
		w.send(t, 0, 10)
		for _, w.to = range []*vde.Conn{b, c} {
			got := w.receive(t, time.Second)
			if !slices.Equal(impairedNumbers(got), impairedUpTo(10)) || w.to == b && got[9].after != 10*time.Millisecond {
				t.Errorf("%v", got)
			}
		}
		if err := sw.SetDefaultPort(vswitch.PortConfig{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := vswitch.ImpairedDirections(sw, 2); n != 0 {
			t.Errorf("%d directions impaired", n)
		}
		checkAccounts(t, sw.Stats())
	})
}

// TestImpairPriorityTag: a copy of a frame whose tag is changed on the way keeps its own.
func TestImpairPriorityTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
			1: {VLAN: 5, Impair: impair.Config{In: impair.Impairment{Duplicate: 1}}}, 2: {VLAN: vswitch.NoVLAN, Tagged: []uint16{5}},
		}})
		defer sw.Close()
		a, b := attach(t, sw, 1), attach(t, sw, 2)
		write(t, a, tagged(testFrame(frame.Broadcast(), macA, 1000, 1), 3<<13))
		synctest.Wait()
		got := received(t, sw, b)
		want := tagged(testFrame(frame.Broadcast(), macA, 1000, 1), 3<<13|5)
		if len(got) != 2 || !slices.Equal(got[0], want) || !slices.Equal(got[1], want) {
			t.Errorf("%d frames, %x", len(got), got)
		}
		if s := counts(t, sw, 1).In; s.Duplicated != 1 || s.Forwarded != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// TestImpairConfig: impossible impairments are refused with the name of the field.
func TestImpairConfig(t *testing.T) {
	for want, c := range map[string]impair.Config{
		"invalid configuration of port 1: Impair.Out.Loss is 2, want a probability from 0 to 1": {Out: impair.Impairment{Loss: 2}},
		"invalid configuration of port 1: Impair.In.Delay is 2h0m0s, want at most 1h0m0s":       {In: impair.Impairment{Delay: 2 * time.Hour}},
		"invalid configuration of port 1: Impair.Out.Jitter is 2h0m0s, want at most 1h0m0s":     {Out: impair.Impairment{Jitter: 2 * time.Hour}},
		"invalid configuration of port 1: Impair.In.Queue is 2097152, want at most 1048576":     {In: impair.Impairment{Queue: 2 << 20}},
		"invalid configuration of port 1: Impair.In.Rate is negative":                           {In: impair.Impairment{Rate: -1}},
	} {
		sw := vswitch.New(vswitch.Config{})
		if err := sw.SetPort(1, vswitch.PortConfig{Impair: c}); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
