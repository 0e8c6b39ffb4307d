// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// attach attaches a station to port n until the test ends.
func attach(tb testing.TB, sw *vswitch.Switch, n int) *vde.Conn {
	tb.Helper()
	c, err := sw.Attach(vde.WithPort(n))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// received returns what is queued at c, a port of sw: in-process, a frame has
// arrived when its sender's write returns. What is queued and no frame is
// skipped by c, which then waits for more; hence the deadline.
func received(tb testing.TB, sw *vswitch.Switch, c *vde.Conn) (frames [][]byte) {
	tb.Helper()
	b := make([]byte, 10000)
	for vswitch.Queued(sw, c) > 0 {
		if err := c.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			tb.Error(err)
		}
		n, err := c.Read(b)
		switch {
		case err == nil:
			frames = append(frames, slices.Clone(b[:n]))
		case !errors.Is(err, os.ErrDeadlineExceeded):
			tb.Error(err)
			return frames
		}
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		tb.Error(err)
	}
	return frames
}

func write(tb testing.TB, c *vde.Conn, f []byte) {
	tb.Helper()
	if _, err := c.Write(f); err != nil {
		tb.Fatal(err)
	}
}

// tagged returns f with a tag in front of its type.
func tagged(f []byte, tci uint16) []byte {
	t := append(slices.Clone(f[:12]), 0x81, 0, 0, 0)
	binary.BigEndian.PutUint16(t[14:], tci)
	return append(t, f[12:]...)
}

// docs/spec/vde-protocol.md, section 14, VLANs: what arrives is accepted, put in
// a VLAN and leaves as the table there says.
func TestVLANs(t *testing.T) {
	ports := map[int]vswitch.PortConfig{
		1: {},                                                 // access, VLAN 0
		2: {VLAN: 5},                                          // access, VLAN 5
		3: {Tagged: []uint16{5}},                              // VLAN 0, and 5 tagged
		4: {VLAN: vswitch.NoVLAN},                             // nothing
		5: {VLAN: 4094, Tagged: []uint16{1}},                  // highest identifier
		6: {VLAN: vswitch.NoVLAN, Tagged: vswitch.AllVLANs()}, // trunk
		7: {VLAN: vswitch.NoVLAN, Tagged: []uint16{0, 5, 9}},  // VLAN 0 tagged
	}
	plain := testFrame(frame.Broadcast(), macA, 60, 0x55)
	bpdu := testFrame(frame.MAC{0x01, 0x80, 0xc2}, macA, 60, 0x55)
	with := func(tci uint16) []byte { return tagged(plain, tci) }
	type out = map[int][]byte
	for _, test := range []struct {
		name string
		from int
		send []byte
		want out
		hub  bool
	}{
		{"untagged from VLAN 0", 1, plain, out{3: plain, 7: with(0)}, false},
		{"untagged from VLAN 5", 2, plain, out{3: with(5), 6: with(5), 7: with(5)}, false},
		{"untagged from a hybrid port", 3, plain, out{1: plain, 7: with(0)}, false},
		{"tag 5, priority 3, DEI", 3, with(0x7005), out{2: plain, 6: with(0x7005), 7: with(0x7005)}, false},
		{"tag 5 on a port of VLAN 0", 1, with(5), nil, false},
		{"tag of the untagged VLAN", 2, with(5), out{3: with(5), 6: with(5), 7: with(5)}, false},
		{"no VLAN", 4, plain, nil, false},
		{"no VLAN, tag 0", 4, with(0), nil, false},
		{"tag 0 is VLAN 0", 3, with(0), out{1: plain, 7: with(0)}, false},
		{"tag 0 on a port of VLAN 5", 2, with(0), nil, false},
		{"tag of another VLAN", 3, with(9), nil, false},
		{"trunk, 4094", 6, with(4094), out{5: plain}, false},
		{"trunk, 9", 6, with(9), out{7: with(9)}, false},
		{"trunk, 4095", 6, with(4095), nil, false},
		{"trunk, untagged", 6, plain, nil, false},
		{"access, 4094", 5, plain, out{6: with(4094)}, false},
		{"long", 2, testFrame(frame.Broadcast(), macA, 9234, 1), out{
			3: tagged(testFrame(frame.Broadcast(), macA, 9234, 1), 5), 6: tagged(testFrame(frame.Broadcast(), macA, 9234, 1), 5),
			7: tagged(testFrame(frame.Broadcast(), macA, 9234, 1), 5)}, false},
		{"BPDU", 1, bpdu, out{3: bpdu, 7: tagged(bpdu, 0)}, false},
		{"hub", 1, with(9), out{2: with(9), 3: with(9), 4: with(9), 5: with(9), 6: with(9), 7: with(9)}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			sw := vswitch.New(vswitch.Config{Ports: ports, Hub: test.hub})
			defer sw.Close()
			conns := make(map[int]*vde.Conn)
			for n := range ports {
				c, err := sw.Attach(vde.WithPort(n), vde.WithMaxFrameSize(9300))
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				conns[n] = c
			}
			zero := attach(t, sw, vswitch.Management)
			write(t, conns[test.from], test.send)
			for n, c := range conns {
				got := bytes.Join(received(t, sw, c), nil)
				if !bytes.Equal(got, test.want[n]) {
					t.Errorf("port %d sends %d bytes %x: port %d got\n%d bytes %.40x, want\n%d bytes %.40x",
						test.from, len(test.send), test.send[:18], n, len(got), got, len(test.want[n]), test.want[n])
				}
			}
			if got := received(t, sw, zero); test.hub && len(got) > 0 {
				t.Errorf("port 0 of a hub got %x", got)
			}
			checkAccounts(t, sw.Stats())
		})
	}
}

// Every identifier forwards within itself and keeps its stations apart.
func TestAllVLANs(t *testing.T) {
	trunk := vswitch.PortConfig{VLAN: vswitch.NoVLAN, Tagged: vswitch.AllVLANs()}
	sw := vswitch.New(vswitch.Config{DefaultPort: trunk})
	defer sw.Close()
	a, b, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
	for v := uint16(1); v <= 4094; v++ {
		write(t, a, tagged(testFrame(frame.Broadcast(), macA, 60, 1), v)) // A is on port 1 in each
	}
	if n := len(sw.FDB()); n != 4094 {
		t.Errorf("%d stations, want 4094", n)
	}
	for _, conn := range []*vde.Conn{b, c} {
		// The queue holds 512.
		if got := received(t, sw, conn); len(got) != 512 {
			t.Errorf("%d frames", len(got))
		}
	}
	for v := uint16(1); v <= 4094; v++ {
		f := tagged(testFrame(macA, macB, 60, 1), v)
		write(t, b, f)
		buf := make([]byte, 100)
		if n, err := a.Read(buf); err != nil || !bytes.Equal(buf[:n], f) {
			t.Fatalf("VLAN %d: %x, %v", v, buf[:n], err)
		}
	}
	if got := received(t, sw, c); len(got) != 0 {
		t.Errorf("%d frames for known stations were flooded", len(got))
	}
	checkAccounts(t, sw.Stats())
}

func TestAgeing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{})
		defer sw.Close()
		a, b, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
		hello := testFrame(frame.Broadcast(), macA, 60, 1)
		to := testFrame(macA, macB, 60, 2)
		flooded := func() bool {
			write(t, b, to)
			received(t, sw, a)
			return len(received(t, sw, c)) > 0
		}
		write(t, a, hello)
		received(t, sw, b)
		received(t, sw, c)
		time.Sleep(50 * time.Second)
		if flooded() {
			t.Error("flooded after 50 s")
		}
		write(t, a, hello) // seen again
		received(t, sw, c)
		time.Sleep(99 * time.Second)
		if flooded() {
			t.Error("flooded 99 s after it was seen again")
		}
		if table := sw.FDB(); len(table) != 2 || table[0].MAC != macA || table[0].Age < 99*time.Second || table[0].Age > 100*time.Second {
			t.Errorf("%+v", table)
		}
		time.Sleep(2 * time.Second)
		if !flooded() {
			t.Error("not flooded 101 s after it was seen")
		}
		time.Sleep(10 * time.Second)
		if s := sw.Stats().FDB; s.Aged != 1 || s.Entries != 1 {
			t.Errorf("%+v", s) // B is there still
		}
		time.Sleep(200 * time.Second)
		if s := sw.Stats().FDB; s.Aged != 2 || s.Entries != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestTable(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFDBEntries: 4})
	defer sw.Close()
	a, b := attach(t, sw, 1), attach(t, sw, 2)
	mac := func(i byte) frame.MAC { return frame.MAC{2, 0, 0, 0, 1, i} }
	for i := range byte(6) {
		write(t, a, testFrame(frame.Broadcast(), mac(i), 60, i))
	}
	write(t, a, testFrame(frame.Broadcast(), frame.MAC{3}, 60, 0)) // a multicast source
	write(t, a, testFrame(mac(1), mac(0), 60, 0))                  // local
	if s := sw.Stats(); s.FDB.Full != 2 || s.FDB.Learned != 4 || s.FDB.Entries != 4 || s.Ports[0].In.Dropped.Local != 1 {
		t.Errorf("%+v", s)
	}
	write(t, b, testFrame(frame.Broadcast(), mac(2), 60, 0)) // moves, though the table is full
	if s := sw.Stats().FDB; s.Moved != 1 {
		t.Errorf("%+v", s)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if table := sw.FDB(); len(table) != 1 || table[0].MAC != mac(2) || table[0].Port != 2 {
		t.Errorf("after port 1 was closed: %+v", table)
	}
	checkAccounts(t, sw.Stats())
}

func TestSecurity(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
		1: {MACLimit: 2},
		2: {MACLimit: -1, Static: []vswitch.StaticEntry{{MAC: macB}}},
	}})
	defer sw.Close()
	a, b, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
	hello := func(conn *vde.Conn, last byte) bool {
		t.Helper()
		f := testFrame(frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, last}, 60, last)
		write(t, conn, f)
		got := 0
		for _, other := range []*vde.Conn{a, b, c} {
			got += len(received(t, sw, other))
		}
		return got == 2
	}
	for i, test := range []struct {
		conn *vde.Conn
		last byte
		want bool
	}{
		{a, 1, true}, {a, 2, true}, {a, 3, false}, {a, 1, true}, // two stations and no more
		{b, 0x0b, true}, {b, 1, false}, // the fixed one and nobody else
		{c, 0x0b, false}, {c, 3, true}, {a, 3, false}, // nobody else is it; a third on port 1 is one too many
		{c, 1, true}, {a, 3, true}, // one has moved away
	} {
		if got := hello(test.conn, test.last); got != test.want {
			t.Errorf("%d: forwarded %v, want %v", i, got, test.want)
		}
	}
	if err := sw.SetPort(1, vswitch.PortConfig{MACLimit: 1}); err != nil {
		t.Fatal(err)
	}
	if n := sw.Ports()[0].FDBEntries; n != 1 {
		t.Errorf("%d stations behind port 1", n)
	}
	if s := sw.Stats(); s.FDB.StaticMoves != 1 || s.Ports[0].In.Dropped.Security != 2 || s.Ports[1].In.Dropped.Security != 1 {
		t.Errorf("%+v", s)
	}
	checkAccounts(t, sw.Stats())
}

func TestStormControl(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{1: {StormLimit: 1000}, 2: withStatic(macB, vswitch.PortConfig{})}})
		defer sw.Close()
		a, b := attach(t, sw, 1), attach(t, sw, 2)
		flood := func(n int) int {
			for range n {
				write(t, a, testFrame(frame.Broadcast(), macA, 60, 0))
				write(t, a, testFrame(macB, macA, 60, 0)) // not flooded, not limited
			}
			return len(received(t, sw, b)) - n
		}
		time.Sleep(time.Second)
		for i, test := range []struct {
			pause time.Duration
			want  int
		}{{0, 100}, {0, 0}, {50 * time.Millisecond, 50}, {time.Hour, 100}} {
			time.Sleep(test.pause)
			if got := flood(200); got != test.want {
				t.Errorf("%d: %d frames of a flood passed, want %d", i, got, test.want)
			}
		}
		checkAccounts(t, sw.Stats())
	})
}

func TestMirror(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{2: {VLAN: 5}, 3: {Tagged: []uint16{5}}, 9: {VLAN: vswitch.NoVLAN}}})
	defer sw.Close()
	b, c, m := attach(t, sw, 2), attach(t, sw, 3), attach(t, sw, 9)
	tap, err := sw.Monitor(2)
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	if err := errors.Join(sw.Mirror(2, 9), sw.Mirror(2, 9)); err != nil { // twice is once
		t.Fatal(err)
	}
	sent := testFrame(frame.Broadcast(), macB, 60, 1)
	write(t, b, sent) // from the port
	f := testFrame(macB, macC, 60, 2)
	write(t, c, tagged(f, 5))    // to the port, alone
	write(t, c, tagged(f, 9))    // not to the port
	write(t, b, tagged(sent, 3)) // dropped for its VLAN
	want := [][]byte{sent, f, tagged(sent, 3)}
	for name, conn := range map[string]*vde.Conn{"tap": tap, "port": m} {
		if got := received(t, sw, conn); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s got\n%x, want\n%x", name, got, want)
		}
	}
	if got := received(t, sw, b); !slices.EqualFunc(got, [][]byte{f}, bytes.Equal) {
		t.Errorf("the port itself got %x", got)
	}
	if _, err := tap.Write(sent); err == nil {
		t.Error("a tap sends")
	}
	checkAccounts(t, sw.Stats())
	if err := sw.Unmirror(2, 9); err != nil {
		t.Fatal(err)
	}
	tap.Close()
	write(t, b, sent)
	if got := received(t, sw, m); len(got) != 0 {
		t.Errorf("after Unmirror: %x", got)
	}
	checkAccounts(t, sw.Stats())
}

// checkAccounts checks what Stats promises.
func checkAccounts(t testing.TB, s vswitch.Stats) {
	t.Helper()
	copies, offered := uint64(0), s.Monitors.Offered
	for _, p := range s.Ports {
		if p.In.Frames != p.In.Forwarded+p.In.Dropped.Sum() {
			t.Errorf("port %d: in: %+v", p.Port, p.In)
		}
		if p.Out.Offered != p.Out.Frames+p.Out.Dropped.Sum()+p.Out.Queued || p.Out.Queued > 1<<40 {
			t.Errorf("port %d: out: %+v", p.Port, p.Out)
		}
		copies += p.In.Copies
		offered += p.Out.Offered
	}
	if copies != offered {
		t.Errorf("%d copies made, %d offered", copies, offered)
	}
}

// Every frame is accounted for, whatever the policies, at any moment and exactly
// at the end.
func TestAccounting(t *testing.T) {
	for _, policy := range []vswitch.Policy{vswitch.Backpressure, vswitch.TailDrop, vswitch.HeadDrop} {
		t.Run(policy.String(), func(t *testing.T) {
			seed := rand.Uint64()
			t.Logf("seed %d", seed)
			pc := vswitch.PortConfig{Policy: policy, Queue: 32, Wait: 100 * time.Microsecond, Tagged: []uint16{1, 2}}
			sw := vswitch.New(vswitch.Config{DefaultPort: pc, Ports: map[int]vswitch.PortConfig{
				3: {VLAN: 1, Policy: policy, Queue: 8, StormLimit: 1000}, 4: {VLAN: 2, Policy: policy, MACLimit: 2},
			}, MaxFrameSize: 2000})
			testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
			defer sw.Close()
			const stations = 6
			var conns []*vde.Conn
			for i := range stations {
				conns = append(conns, attach(t, sw, i+1))
			}
			tap, err := sw.Monitor(2)
			if err != nil {
				t.Fatal(err)
			}
			if err := sw.Mirror(1, 5); err != nil {
				t.Fatal(err)
			}
			var writers, readers sync.WaitGroup
			for i, c := range append(slices.Clone(conns), tap) {
				if i == 5 {
					continue // never reads
				}
				readers.Go(func() {
					if i%2 == 0 {
						for f := range c.Frames() {
							f.Release()
						}
						return
					}
					bufs := make([][]byte, 7)
					for {
						for k := range bufs {
							bufs[k] = make([]byte, 3000)
						}
						if _, err := c.ReadBatch(bufs); err != nil {
							return
						}
					}
				})
			}
			sent := make([]uint64, stations)
			for i, c := range conns {
				writers.Go(func() {
					r := rand.New(rand.NewPCG(seed, uint64(i)))
					for range 300 {
						batch := make([][]byte, 1+r.IntN(100))
						for k := range batch {
							batch[k] = randomFrame(r)
						}
						var n int
						var err error
						if r.IntN(3) == 0 {
							n, err = c.TryWriteBatch(batch)
						} else {
							n, err = c.WriteBatch(batch)
						}
						if err != nil && !errors.Is(err, vde.ErrFull) {
							t.Error(err)
						}
						sent[i] += uint64(n)
					}
				})
			}
			done := make(chan struct{})
			var watcher sync.WaitGroup
			watcher.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						checkAccounts(t, sw.Stats())
					}
				}
			})
			writers.Wait()
			close(done)
			watcher.Wait()
			until(t, "queues read", func() bool {
				for _, p := range sw.Stats().Ports {
					if p.Out.Queued != 0 && p.Port != 6 {
						return false
					}
				}
				return sw.Stats().Monitors.Queued == 0
			})
			s := sw.Stats()
			checkAccounts(t, s)
			for i, p := range s.Ports {
				if p.In.Frames != sent[i] {
					t.Errorf("port %d: %d frames came, %d were sent", p.Port, p.In.Frames, sent[i])
				}
				if n := p.Out.Queued; p.Port == 6 && n != 32 {
					t.Errorf("port 6, which nobody reads, has %d queued", n)
				}
			}
			for i, c := range append(slices.Clone(conns), tap) {
				c.Close()
				if i == 5 {
					continue
				}
				out := s.Monitors
				if i < stations {
					out = s.Ports[i].Out
				}
				st := c.Stats()
				if got := st.RxFrames + st.RxDiscarded + st.RxRunts + st.RxTruncated; got != out.Frames {
					t.Errorf("connection %d got %d frames, the switch counts %d", i+1, got, out.Frames)
				}
			}
			readers.Wait()
			if s := sw.Stats(); s.Ports[5].Out.Dropped.Closed != 32 {
				t.Errorf("port 6: %+v", s.Ports[5].Out)
			}
			checkAccounts(t, sw.Stats())
		})
	}
}

// randomFrame returns a frame among few stations, of any kind.
func randomFrame(r *rand.Rand) []byte {
	size := 14 + r.IntN(100)
	if r.IntN(10) == 0 {
		size = 14 + r.IntN(2100)
	}
	mac := func() frame.MAC {
		switch r.IntN(8) {
		case 0:
			return frame.Broadcast()
		case 1:
			return frame.MAC{1, 0, 0x5e, 0, 0, byte(r.IntN(3))}
		}
		return frame.MAC{2, 0, 0, 0, 0, byte(r.IntN(8))}
	}
	f := testFrame(mac(), mac(), size, byte(r.Uint32()))
	if r.IntN(3) == 0 {
		f = tagged(f, uint16(r.IntN(4)))[:size]
	}
	return f
}

// A port that nobody reads delays who sends to it by no more than its time, five times,
// and nobody else at all.
func TestStoppedPeer(t *testing.T) {
	for _, policy := range []vswitch.Policy{vswitch.Backpressure, vswitch.TailDrop, vswitch.HeadDrop} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const wait = 5 * time.Millisecond
				sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Policy: policy, Queue: 64, Wait: wait}})
				defer sw.Close()
				a, stopped, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
				write(t, stopped, testFrame(frame.Broadcast(), macB, 60, 0))
				write(t, c, testFrame(frame.Broadcast(), macC, 60, 0))
				received(t, sw, a)
				received(t, sw, stopped)
				batch := func(n int, dst frame.MAC) (frames [][]byte) {
					for i := range n {
						frames = append(frames, testFrame(dst, macA, 60, byte(i)))
					}
					return frames
				}
				send := func(frames [][]byte) time.Duration {
					t.Helper()
					start := time.Now()
					if n, err := a.WriteBatch(frames); n != len(frames) || err != nil {
						t.Fatal(n, err)
					}
					return time.Since(start)
				}
				if d := send(batch(64, macB)); d != 0 {
					t.Errorf("the first batch took %v", d)
				}
				first := time.Duration(0)
				if policy == vswitch.Backpressure {
					first = wait
				}
				if d := send(batch(10, macB)); d != first {
					t.Errorf("the batch too many took %v, want %v", d, first)
				}
				for i := range 10 {
					want := time.Duration(0)
					if i < 4 {
						want = first
					}
					if d := send(batch(64, macB)); d != want {
						t.Errorf("later one %d took %v, want %v", i, d, want)
					}
				}
				if d := send(batch(20, frame.Broadcast())); d != 0 {
					t.Errorf("a flood took %v", d)
				}
				if d := send(batch(20, macC)); d != 0 || len(received(t, sw, c)) != 41 {
					t.Errorf("others are slowed: %v", d)
				}
				out := sw.Stats().Ports[1].Out
				want := map[vswitch.Policy]vswitch.OutDropped{
					vswitch.Backpressure: {Timeout: 10 + 4*64, Stalled: 6 * 64, Full: 20},
					vswitch.TailDrop:     {Full: 670},
					vswitch.HeadDrop:     {HeadDrop: 670},
				}[policy]
				if out.Dropped != want || out.Queued != 64 {
					t.Errorf("%+v, want dropped %+v", out, want)
				}
				// What is left is the first or the last 64.
				got := received(t, sw, stopped)
				for i, f := range got {
					w := byte(i)
					if policy == vswitch.HeadDrop {
						w = byte(i + 20)
						if i >= 44 {
							w = byte(i - 44)
						}
					}
					if f[14] != w {
						t.Fatalf("frame %d is number %d, want %d", i, f[14], w)
					}
				}
				// It reads again: senders wait again, with success.
				if policy == vswitch.Backpressure {
					send(batch(64, macB))
					read := make(chan struct{})
					time.AfterFunc(2*time.Millisecond, func() {
						defer close(read)
						received(t, sw, stopped)
					})
					if d := send(batch(30, macB)); d != 2*time.Millisecond {
						t.Errorf("waited %v for room that came after 2 ms", d)
					}
					<-read
				}
				checkAccounts(t, sw.Stats())
			})
		})
	}
}

// A batch longer than the queue leaves its end there.
func TestHeadDropInOneBatch(t *testing.T) {
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Policy: vswitch.HeadDrop, Queue: 8}})
	defer sw.Close()
	a, b := attach(t, sw, 1), attach(t, sw, 2)
	var batch [][]byte
	for i := range 50 {
		batch = append(batch, testFrame(frame.Broadcast(), macA, 60, byte(i)))
	}
	if n, err := a.WriteBatch(batch); n != 50 || err != nil {
		t.Fatal(n, err)
	}
	if got := received(t, sw, b); !slices.EqualFunc(got, batch[42:], bytes.Equal) {
		t.Errorf("got %d frames, first %d", len(got), got[0][14])
	}
	if out := sw.Stats().Ports[1].Out; out.Dropped.HeadDrop != 42 || out.Offered != 50 {
		t.Errorf("%+v", out)
	}
}

func TestTryWriteBatchStopsAtAFullPort(t *testing.T) {
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Queue: 8}})
	defer sw.Close()
	a, b, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
	write(t, b, testFrame(frame.Broadcast(), macB, 60, 0))
	write(t, c, testFrame(macB, macC, 60, 0))
	var batch [][]byte
	for i := range 12 {
		dst := macB
		if i%3 == 0 {
			dst = macC
		}
		batch = append(batch, testFrame(dst, macA, 60, byte(i)))
	}
	n, err := a.TryWriteBatch(batch) // b has one already
	if !errors.Is(err, vde.ErrFull) || n != 11 {
		t.Errorf("%d, %v", n, err)
	}
	if st := a.Stats(); st.TxFrames != 11 || st.TxFull != 1 {
		t.Errorf("%+v", st)
	}
	if got := sw.Stats().Ports[0].In; got.Frames != 11 || got.Copies != 11 {
		t.Errorf("%+v", got)
	}
}

// References are shared between the receivers of a flood, and nobody's copy is
// anybody else's business.
func TestFloodedReferences(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	defer sw.Close()
	conns := attachMany(t, sw, 4)
	var chans []<-chan vde.Frame
	for _, c := range conns[1:] {
		chans = append(chans, c.Frames())
	}
	f := testFrame(frame.Broadcast(), macA, 700, 9)
	write(t, conns[0], f)
	clear(f) // the writer's bytes were lent
	want := testFrame(frame.Broadcast(), macA, 700, 9)
	var got []vde.Frame
	for _, ch := range chans {
		got = append(got, <-ch)
	}
	for i, g := range got {
		if !bytes.Equal(g.Bytes(), want) {
			t.Errorf("receiver %d got other bytes", i)
		}
		g.Release()
	}
}

func TestConfigErrors(t *testing.T) {
	for name, cfg := range map[string]vswitch.Config{
		"ports":       {NumPorts: -1},
		"frame":       {MaxFrameSize: 70000},
		"table":       {MaxFDBEntries: -1},
		"vlan":        {DefaultPort: vswitch.PortConfig{VLAN: 4096}},
		"tagged":      {DefaultPort: vswitch.PortConfig{Tagged: []uint16{4095}}},
		"policy":      {DefaultPort: vswitch.PortConfig{Policy: 3}},
		"wait":        {DefaultPort: vswitch.PortConfig{Wait: -2}},
		"queue":       {DefaultPort: vswitch.PortConfig{Queue: -1}},
		"storm":       {DefaultPort: vswitch.PortConfig{StormLimit: -1}},
		"station":     {Ports: map[int]vswitch.PortConfig{1: {Static: []vswitch.StaticEntry{{MAC: frame.Broadcast()}}}}},
		"everywhere":  {DefaultPort: vswitch.PortConfig{Static: []vswitch.StaticEntry{{MAC: macA}}}},
		"port 5000":   {Ports: map[int]vswitch.PortConfig{5000: {}}},
		"mode":        {Mode: 0o1000},
		"group ctl":   {PortGroups: map[string]vswitch.PortGroup{"ctl": {First: 1, Last: 1}}},
		"group 7":     {PortGroups: map[string]vswitch.PortGroup{"7": {First: 1, Last: 1}}},
		"group range": {PortGroups: map[string]vswitch.PortGroup{"lan": {}}},
		"overlap":     {PortGroups: map[string]vswitch.PortGroup{"a": {First: 1, Last: 5}, "b": {First: 5, Last: 6}}},
	} {
		sw := vswitch.New(cfg)
		if _, err := sw.Attach(); err == nil {
			t.Errorf("%s: no error", name)
		}
		if _, err := sw.Listen(t.TempDir()); err == nil {
			t.Errorf("%s: no error from Listen", name)
		}
		if err := sw.SetPort(1, vswitch.PortConfig{}); err == nil {
			t.Errorf("%s: no error from SetPort", name)
		}
		sw.Stats()
		sw.Ports()
		sw.FDB()
		sw.Close()
	}
}

func TestStatsMarshal(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	a := attach(t, sw, 1)
	write(t, a, testFrame(frame.Broadcast(), macA, 60, 0))
	b, err := json.Marshal(sw.Stats())
	if err != nil {
		t.Fatal(err)
	}
	var s vswitch.Stats
	if err := json.Unmarshal(b, &s); err != nil || s.Ports[0] != sw.Stats().Ports[0] {
		t.Errorf("%s: %v", b, err)
	}
	if b, err = json.Marshal(sw.Ports()); err != nil {
		t.Fatal(err)
	}
	var ports []vswitch.PortInfo
	if err := json.Unmarshal(b, &ports); err != nil || ports[0].Config.Policy != vswitch.Backpressure {
		t.Errorf("%s: %v", b, err)
	}
}

func TestDisconnectAndPortOf(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	a, b := attach(t, sw, 4), attach(t, sw, 4)
	if n, ok := sw.PortOf(b); n != 4 || !ok {
		t.Errorf("PortOf: %d, %v", n, ok)
	}
	ids := sw.Ports()[0].Endpoints
	if len(ids) != 2 {
		t.Fatalf("%+v", ids)
	}
	if err := sw.Disconnect(4, ids[0].ID); err != nil {
		t.Fatal(err)
	}
	<-a.Context().Done()
	if a.Err() != vde.ErrHangup || b.Err() != nil {
		t.Errorf("%v, %v", a.Err(), b.Err())
	}
	if err := sw.Disconnect(4, ids[0].ID); !errors.Is(err, vswitch.ErrNoPort) {
		t.Errorf("a second time: %v", err)
	}
	if _, ok := sw.PortOf(a); ok {
		t.Error("PortOf knows an endpoint that was pulled")
	}
}
