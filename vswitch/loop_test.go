// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A far is the other side of a link that is attached to a switch.
type far struct {
	link.Link

	mu     sync.Mutex
	frames [][]byte       // guarded by mu; what the switch has sent
	handle func(f []byte) // guarded by mu; is called with each, may be nil
}

// newFar attaches a link to port n of sw.
func newFar(t *testing.T, sw *vswitch.Switch, n int, uplink bool) *far {
	t.Helper()
	near, other := linktest.Pipe(1024)
	if _, err := sw.AttachLink(near, vswitch.LinkConfig{Port: n, Uplink: uplink}); err != nil {
		t.Fatal(err)
	}
	x := &far{Link: other}
	go func() {
		b := make([]byte, 2000)
		sizes := make([]int, 1)
		for {
			if _, err := other.Recv(link.Rx{Bufs: [][]byte{b}, Sizes: sizes}); err != nil {
				other.Close()
				return
			}
			x.came(slices.Clone(b[:sizes[0]]))
		}
	}()
	return x
}

func (x *far) came(f []byte) {
	x.mu.Lock()
	x.frames = append(x.frames, f)
	handle := x.handle
	x.mu.Unlock()
	if handle != nil {
		handle(f)
	}
}

// to has f called with each frame that the switch sends; nil for nothing.
func (x *far) to(f func([]byte)) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.handle = f
}

// take returns what has come since the last call.
func (x *far) take() [][]byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	frames := x.frames
	x.frames = nil
	return frames
}

// send has the switch receive f, unless its queue is full.
func (x *far) send(f []byte) {
	_, _, _ = x.Send(link.Tx{Frames: [][]byte{f}, NoWait: true})
}

// join makes a cable of a and b, the other sides of two ports.
func join(a, b *far) {
	a.to(b.send)
	b.to(a.send)
}

// loops returns what is known about loops at each port with an endpoint.
func loops(sw *vswitch.Switch) map[int]vswitch.LoopInfo {
	m := make(map[int]vswitch.LoopInfo)
	for _, p := range sw.Ports() {
		if p.Active() {
			m[p.Number] = p.Loop
		}
	}
	return m
}

// blocked returns the numbers of the blocked ports.
func blocked(sw *vswitch.Switch) (list []int) {
	for _, p := range sw.Ports() {
		if p.Loop.Blocked {
			list = append(list, p.Number)
		}
	}
	return list
}

func wantBlocked(t *testing.T, when string, sw *vswitch.Switch, want ...int) {
	t.Helper()
	synctest.Wait()
	if got := blocked(sw); !slices.Equal(got, want) {
		t.Fatalf("%s: blocked are %v, want %v", when, got, want)
	}
}

// elapse lets time pass, of the bubble.
func elapse(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// inBubble runs test with a switch in a bubble; the counters have to add up at the end.
func inBubble(t *testing.T, cfg vswitch.Config, test func(t *testing.T, sw *vswitch.Switch, log *records)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		log := new(records)
		cfg.Logger = slog.New(log)
		sw := vswitch.New(cfg)
		defer func() {
			sw.Close()
			checkAccounts(t, sw.Stats())
			if n := vswitch.Live(sw); n != 0 {
				t.Errorf("%d buffers are still in use", n)
			}
		}()
		test(t, sw, log)
	})
}

// TestLoopTwoUplinks joins two uplinks, in each mode of a switch: the one with the
// higher number is blocked, whichever was there first, frames reach the network behind
// it once, and it is opened when the loop is gone.
func TestLoopTwoUplinks(t *testing.T) {
	for name, cfg := range map[string]vswitch.Config{
		"switch": {}, "hub": {Hub: true}, "tags kept": {KeepTags: true},
		"tagged": {DefaultPort: vswitch.PortConfig{VLAN: vswitch.NoVLAN, Tagged: []uint16{7, 9}}},
	} {
		for _, order := range [][]int{{1, 2}, {2, 1}} {
			t.Run(fmt.Sprint(name, order), func(t *testing.T) {
				inBubble(t, cfg, func(t *testing.T, sw *vswitch.Switch, log *records) { testLoopTwoUplinks(t, sw, log, order) })
			})
		}
	}
}

func testLoopTwoUplinks(t *testing.T, sw *vswitch.Switch, log *records, order []int) {
	x := make(map[int]*far)
	for _, n := range order {
		x[n] = newFar(t, sw, n, true)
		if len(x) == 2 {
			join(x[1], x[2])
		}
		elapse(3 * time.Second)
	}
	wantBlocked(t, "joined", sw, 2)
	if info := loops(sw)[2]; !info.Probed || info.From != 1 || info.Blocks != 1 || info.Since.IsZero() {
		t.Errorf("%+v", info)
	}
	host := attach(t, sw, 3)
	f := testFrame(frame.Broadcast(), macA, 60, 1)
	if slices.Contains(sw.Ports()[0].Config.Tagged, 7) {
		f = tagged(f, 7)
	}
	x[1].take()
	write(t, host, f)
	synctest.Wait()
	got := slices.DeleteFunc(x[1].take(), isProbe)
	if len(got) != 1 || !bytes.Equal(got[0], f) {
		t.Errorf("%d frames of the host at port 1", len(got))
	}
	if got := received(t, sw, host); len(got) != 0 {
		t.Errorf("%d came back", len(got))
	}
	in, out := counts(t, sw, 2).In, counts(t, sw, 2).Out
	if in.Dropped.Blocked != 1 || out.Dropped.Blocked != 1 || in.Dropped.Probe == 0 || out.Probes == 0 {
		t.Errorf("in %+v, out %+v", in, out)
	}
	later := time.Hour
	if testing.Short() {
		later = 5 * time.Minute
	}
	elapse(later)
	wantBlocked(t, later.String()+" later", sw, 2)

	x[1].to(nil)
	x[2].to(nil)
	elapse(9 * time.Second)
	wantBlocked(t, "9 seconds after the loop", sw, 2)
	elapse(7 * time.Second)
	wantBlocked(t, "16 seconds after the loop", sw)
	if log.count("loop found, port blocked until it is gone") != 1 || log.count("port no longer blocked") != 1 {
		t.Errorf("%q", log.list)
	}
	write(t, host, f)
	synctest.Wait()
	if got := slices.DeleteFunc(x[2].take(), func(g []byte) bool { return !bytes.Equal(f, g) }); len(got) != 1 {
		t.Errorf("%d frames at the port that was blocked", len(got))
	}
}

// isProbe reports whether f is a probe of any switch.
func isProbe(f []byte) bool { return f[0] == 0xcf }

// TestLoopEcho has what is behind a port send back all that it gets.
func TestLoopEcho(t *testing.T) {
	inBubble(t, vswitch.Config{}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		x := newFar(t, sw, 1, true)
		host := attach(t, sw, 2)
		x.to(x.send)
		elapse(2 * time.Second)
		wantBlocked(t, "echo", sw, 1)
		write(t, host, testFrame(frame.Broadcast(), macA, 60, 1))
		elapse(time.Second)
		if got := received(t, sw, host); len(got) != 0 {
			t.Errorf("%d frames came back", len(got))
		}
		// The address of the host is not learned from its echo.
		if list := sw.FDB(); len(list) != 1 || list[0].Port != 2 {
			t.Errorf("%+v", list)
		}
		x.to(nil)
		elapse(16 * time.Second)
		wantBlocked(t, "no echo", sw)
	})
}

// TestLoopOneWay has frames come back from the higher port to the lower one only: the
// lower is blocked, once it is clear that the other one will not be.
func TestLoopOneWay(t *testing.T) {
	inBubble(t, vswitch.Config{}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		low, high := newFar(t, sw, 1, true), newFar(t, sw, 2, true)
		high.to(low.send)
		elapse(900 * time.Millisecond)
		wantBlocked(t, "at first", sw)
		elapse(3 * time.Second)
		wantBlocked(t, "then", sw, 1)
	})
}

// TestLoopWithoutProbes has an uplink and a port without probes reach each other: the
// latter is blocked, whatever its number, because only there is known that a loop is.
func TestLoopWithoutProbes(t *testing.T) {
	for _, numbers := range [][2]int{{1, 2}, {2, 1}} {
		inBubble(t, vswitch.Config{}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
			join(newFar(t, sw, numbers[0], true), newFar(t, sw, numbers[1], false))
			elapse(2 * time.Second)
			wantBlocked(t, "joined", sw, numbers[1])
			if info := loops(sw)[numbers[1]]; info.Probed || info.From != numbers[0] {
				t.Errorf("%+v", info)
			}
		})
	}
}

// TestLoopSettings checks which ports have probes.
func TestLoopSettings(t *testing.T) {
	inBubble(t, vswitch.Config{
		DefaultPort: vswitch.PortConfig{LoopProtection: vswitch.LoopProtectionOn},
		Ports:       map[int]vswitch.PortConfig{1: {}, 2: {LoopProtection: vswitch.LoopProtectionOff}},
	}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		plain, off, on, inproc := newFar(t, sw, 1, false), newFar(t, sw, 2, true), newFar(t, sw, 3, false), attach(t, sw, 4)
		elapse(10*time.Second + 500*time.Millisecond)
		for n, c := range map[int]int{1: len(plain.take()), 2: len(off.take()), 3: len(on.take()), 4: len(received(t, sw, inproc))} {
			if want := []int{0, 0, 0, 11, 11}[n]; c < want || c > 2*want {
				t.Errorf("port %d: %d probes in 10 seconds", n, c)
			}
			if info := loops(sw)[n]; info.Probed != (n > 2) {
				t.Errorf("port %d: %+v", n, info)
			}
		}
		if err := sw.SetPort(3, vswitch.PortConfig{}); err != nil {
			t.Fatal(err)
		}
		elapse(time.Minute)
		if n := len(on.take()); n != 0 {
			t.Errorf("%d probes after they were switched off", n)
		}
		received(t, sw, inproc)
	})
	for _, cfg := range []vswitch.Config{
		{LoopInterval: -1}, {LoopInterval: time.Millisecond}, {LoopInterval: 2 * time.Hour},
		{DefaultPort: vswitch.PortConfig{LoopProtection: 3}},
	} {
		sw := vswitch.New(cfg)
		if _, err := sw.Attach(); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
		sw.Close()
	}
}

// TestLoopVLANs checks that probes of a tagged VLAN find a loop there, and that a cable
// between ports of different VLANs is none.
func TestLoopVLANs(t *testing.T) {
	ports := map[int]vswitch.PortConfig{
		1: {VLAN: 5, Tagged: []uint16{10, 11}}, 2: {VLAN: 6, Tagged: []uint16{11, 12}}, 3: {VLAN: 7},
	}
	inBubble(t, vswitch.Config{Ports: ports}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		a, b := newFar(t, sw, 1, true), newFar(t, sw, 2, true)
		// Untagged frames change their VLAN on the way: no loop.
		a.to(func(f []byte) {
			if f[12] != 0x81 {
				b.send(f)
			}
		})
		elapse(10 * time.Second)
		wantBlocked(t, "from VLAN 5 to VLAN 6", sw)
		a.to(b.send) // VLAN 11 too
		elapse(4 * time.Second)
		wantBlocked(t, "VLAN 11", sw, 2)
	})
}

// TestLoopHold checks that a port that is blocked again and again stays so longer.
func TestLoopHold(t *testing.T) {
	inBubble(t, vswitch.Config{}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		a, b := newFar(t, sw, 1, true), newFar(t, sw, 2, true)
		for _, hold := range []time.Duration{10, 20, 40, 80, 160, 300, 300} {
			join(a, b)
			elapse(2 * time.Second)
			wantBlocked(t, "joined", sw, 2)
			a.to(nil)
			b.to(nil)
			start := time.Now()
			for len(blocked(sw)) > 0 {
				elapse(time.Second)
			}
			// The last probe may have been back a second before.
			if d := time.Since(start); d < (hold-1)*time.Second || d > hold*time.Second*3/2+time.Second {
				t.Errorf("blocked for %v, want %d to %d s", d, hold, hold*3/2)
			}
		}
		elapse(2 * time.Minute)
		join(a, b)
		elapse(2 * time.Second)
		a.to(nil)
		b.to(nil)
		elapse(17 * time.Second)
		wantBlocked(t, "after a long time without", sw)
	})
}

// TestLoopGone checks that a blocked port that loses its endpoint is not blocked for the
// next one.
func TestLoopGone(t *testing.T) {
	inBubble(t, vswitch.Config{}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		a, b := newFar(t, sw, 1, true), newFar(t, sw, 2, false)
		join(a, b)
		elapse(2 * time.Second)
		wantBlocked(t, "joined", sw, 2)
		if err := sw.Disconnect(2, 0); err != nil {
			t.Fatal(err)
		}
		a.to(nil)
		wantBlocked(t, "disconnected", sw)
		c := attach(t, sw, 2)
		write(t, c, testFrame(frame.Broadcast(), macA, 60, 1))
		synctest.Wait()
		if got := slices.DeleteFunc(a.take(), isProbe); len(got) != 1 || len(sw.FDB()) != 1 {
			t.Errorf("%d frames, %v", len(got), sw.FDB())
		}
	})
}

// TestLoopManyPorts checks that the probes of many ports are spread over the interval,
// also when all come up at once.
func TestLoopManyPorts(t *testing.T) {
	inBubble(t, vswitch.Config{DefaultPort: vswitch.PortConfig{LoopProtection: vswitch.LoopProtectionOn, Queue: 1024}}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		const ports = 1000
		conns := make([]*vde.Conn, ports)
		for i := range conns {
			c, err := sw.Attach()
			if err != nil {
				t.Fatal(err)
			}
			conns[i] = c
			defer c.Close()
		}
		probes := func() (n uint64) {
			for _, p := range sw.Stats().Ports {
				n += p.Out.Probes
			}
			return n
		}
		before := probes()
		for i := range 50 {
			elapse(100 * time.Millisecond)
			now := probes()
			if n := now - before; n > 220 {
				t.Errorf("%d probes in 100 ms", n)
			}
			if before = now; i == 19 && now < ports {
				t.Errorf("%d probes in 2 seconds", now)
			}
		}
		if before < 4*ports || before > 7*ports {
			t.Errorf("%d probes in 5 seconds", before)
		}
	})
}

// TestLoopBothSides has two switches with an uplink to each other, each of which finds
// the loop for itself and may block another cable. In the end one path is left.
func TestLoopBothSides(t *testing.T) {
	inBubble(t, vswitch.Config{}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		other := vswitch.New(vswitch.Config{})
		defer other.Close()
		join(newFar(t, sw, 1, true), newFar(t, other, 2, false))
		join(newFar(t, other, 1, true), newFar(t, sw, 2, false))
		elapse(10 * time.Minute)
		for range 60 {
			elapse(10 * time.Second)
			if n := len(blocked(sw)) + len(blocked(other)); n != 1 {
				t.Fatalf("blocked are %v and %v", blocked(sw), blocked(other))
			}
		}
		here, there := attach(t, sw, 3), attach(t, other, 3)
		for _, way := range [][2]*vde.Conn{{here, there}, {there, here}} {
			write(t, way[0], testFrame(frame.Broadcast(), macA, 60, 1))
		}
		synctest.Wait()
		for _, at := range []struct {
			sw *vswitch.Switch
			c  *vde.Conn
		}{{sw, here}, {other, there}} {
			// Each switch floods the probes of the other one.
			if n := len(slices.DeleteFunc(received(t, at.sw, at.c), isProbe)); n != 1 {
				t.Errorf("%d frames", n)
			}
		}
	})
}
