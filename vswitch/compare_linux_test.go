// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A step of the comparison: port from sends f.
type step struct {
	from int
	f    []byte
}

// A twin is this switch and a vde_switch, driven with the same frames. It waits
// for nothing but counters: a frame has been dealt with when the switch has
// counted it, and what it made of it is then in the queues of the ports.
type twin struct {
	t     *testing.T
	sw    *vswitch.Switch
	stock *testpeers.Switch
	dirs  [2]string
	conns [2]map[int]*vde.Conn
	sent  map[int]uint64
}

// Which is which in a twin.
const (
	ours = iota
	theirs
)

func newTwin(t *testing.T, cfg vswitch.Config, commands ...string) *twin {
	t.Helper()
	w := &twin{t: t, sent: make(map[int]uint64)}
	w.sw, w.dirs[ours] = start(t, cfg) // first, because it looks for leaks last
	w.stock = testpeers.StartSwitch(t, testpeers.SwitchConfig{Hub: cfg.Hub})
	w.dirs[theirs] = w.stock.Dir()
	for i := range w.conns {
		w.conns[i] = make(map[int]*vde.Conn)
	}
	w.console(commands...)
	return w
}

// console tells vde_switch something.
func (w *twin) console(commands ...string) {
	w.t.Helper()
	for _, c := range commands {
		if _, err := w.stock.Console(c); err != nil {
			w.t.Fatalf("%s: %v", c, err)
		}
	}
}

// plug attaches a client to each of the ports of both.
func (w *twin) plug(ports ...int) {
	w.t.Helper()
	for _, port := range ports {
		for i, dir := range w.dirs {
			w.conns[i][port] = open(w.t, fmt.Sprintf("%s[%d]", dir, port), vde.WithSharedMemory(vde.SharedMemoryNever)) // see waitingFor
		}
	}
}

// pull takes the client of port out of both.
func (w *twin) pull(port int) {
	w.t.Helper()
	for i := range w.conns {
		w.conns[i][port].Close()
		delete(w.conns[i], port)
	}
	left := len(w.conns[ours])
	until(w.t, "detached", func() bool { return len(active(w.sw)) == left })
	if err := w.stock.WaitActive(w.t.Context(), left); err != nil {
		w.t.Fatal(err)
	}
}

// send has the client of port send f in both, and returns what then comes out of
// the ports of each.
func (w *twin) send(port int, f []byte) (out [2]map[int][][]byte) {
	w.t.Helper()
	for i := range w.conns {
		write(w.t, w.conns[i][port], f)
	}
	w.sent[port]++
	n := w.sent[port]
	until(w.t, "frame counted here", func() bool {
		return slices.ContainsFunc(w.sw.Stats().Ports, func(p vswitch.PortStats) bool { return p.Port == port && p.In.Frames == n })
	})
	until(w.t, "frame counted by vde_switch", func() bool {
		ports, err := w.stock.Ports()
		if err != nil {
			w.t.Fatal(err)
		}
		return slices.ContainsFunc(ports, func(p testpeers.SwitchPort) bool { return p.Number == port && p.InPackets == n })
	})
	for i := range w.conns {
		out[i] = make(map[int][][]byte)
		for port, c := range w.conns[i] {
			if frames := waitingFor(w.t, c); len(frames) > 0 {
				out[i][port] = frames
			}
		}
	}
	return out
}

// same sends like send, compares, and returns how many frames came out here.
func (w *twin) same(port int, f []byte) (frames int) {
	w.t.Helper()
	out := w.send(port, f)
	for p := range w.conns[ours] {
		frames += len(out[ours][p])
		if !slices.EqualFunc(out[ours][p], out[theirs][p], bytes.Equal) {
			w.t.Errorf("port %d sends %.20x (%d bytes): port %d gets\n%.40x here,\n%.40x from vde_switch",
				port, f, len(f), p, out[ours][p], out[theirs][p])
		}
	}
	return frames
}

// differ sends like send, and expects f to come out of exactly these ports here
// and of those there.
func (w *twin) differ(port int, f []byte, here, there []int) {
	w.t.Helper()
	out := w.send(port, f)
	for i, want := range [][]int{here, there} {
		var got []int
		for p, frames := range out[i] {
			got = append(got, p)
			if len(frames) != 1 || !bytes.Equal(frames[0], f) {
				w.t.Errorf("%s: port %d gets %.40x", w.dirs[i], p, frames)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, want) {
			w.t.Errorf("%s: what port %d sends comes out of ports %v, want %v", []string{"here", "vde_switch"}[i], port, got, want)
		}
	}
}

// waitingFor takes what is queued for c in the kernel.
func waitingFor(tb testing.TB, c *vde.Conn) (frames [][]byte) {
	tb.Helper()
	raw, err := c.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			b := make([]byte, 10000)
			for {
				n, _, err := unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
				switch err {
				case nil:
					frames = append(frames, slices.Clone(b[:n]))
				case unix.EINTR:
				case unix.EAGAIN:
					return
				default:
					tb.Error(err)
					return
				}
			}
		})
	}
	if err != nil {
		tb.Fatal(err)
	}
	return frames
}

// A twinTest is a switch, and the frames that a twin of it and of vde_switch gets.
type twinTest struct {
	name     string
	joined   []int // the ports that have clients, 1 to 4 if nil
	hub      bool
	ports    map[int]vswitch.PortConfig
	commands []string // that tell vde_switch the same as ports
	steps    []step
}

// twinTests are those of one kind of switch each.
func twinTests() []twinTest {
	bc := testFrame(frame.Broadcast(), macA, 100, 1)
	from := func(port int, dst, src frame.MAC) step { return step{port, testFrame(dst, src, 100, byte(port))} }
	return []twinTest{
		{"learning", nil, false, nil, nil, []step{
			from(1, macB, macA), // unknown: flooded
			from(2, macA, macB), // known
			from(1, macB, macA),
			from(3, macA, macC),
			from(1, macA, macA),                  // to itself
			from(2, frame.MAC{1, 0, 0x5e}, macB), // multicast
			{1, testFrame(frame.Broadcast(), macA, 14, 1)},
			{1, testFrame(frame.Broadcast(), macA, 1518, 1)},
		}},
		{"hub", nil, true, nil, nil, []step{from(1, macB, macA), from(2, macA, macB), {3, tagged(bc, 9)}, {4, bc}}},
		{"VLANs", nil, false, twinVLANPorts, twinVLANCommands, append(twinTags(),
			step{1, testFrame(frame.MAC{0x01, 0x80, 0xc2}, macA, 60, 1)},
			from(2, macB, macC), step{4, tagged(testFrame(macC, macB, 100, 4), 5)}, from(2, macB, macC))},
		{"hub with VLANs", nil, true, twinVLANPorts, twinVLANCommands, twinTags()[:8]},
		// Of a switch, port 0 is a port as any other; of a hub, it only sends.
		{"port 0", []int{0, 1, 2}, false, nil, nil, []step{
			from(0, macB, macA),              // unknown: flooded
			from(1, macA, macB),              // known to be behind port 0
			from(0, macB, macA),              // and from there
			from(2, macA, macC),              // for nobody else
			from(2, frame.Broadcast(), macC), // a flood gets there
			from(0, macA, macA),
			{0, tagged(bc, 0)},
			{0, tagged(bc, 5)},
		}},
		{"hub with port 0", []int{0, 1, 2}, true, nil, nil, []step{{0, bc}, {1, bc}, {2, tagged(bc, 9)}, from(1, macA, macB), {0, tagged(bc, 9)}}},
	}
}

// twinVLANPorts are ports in VLANs, twinVLANCommands tell vde_switch the same.
var (
	twinVLANPorts = map[int]vswitch.PortConfig{
		1: {}, 2: {VLAN: 5}, 3: {Tagged: []uint16{5}}, 4: {VLAN: vswitch.NoVLAN, Tagged: []uint16{5, 7}},
	}
	twinVLANCommands = []string{
		"vlan/create 5", "vlan/create 7", "port/create 1", "port/create 2", "port/create 3", "port/create 4",
		"port/setvlan 2 5", "vlan/addport 5 3", "port/setvlan 4 4095", "vlan/addport 5 4", "vlan/addport 7 4",
	}
)

// twinTags has each port send a frame without a tag and with tags of all kinds.
func twinTags() (steps []step) {
	f := testFrame(frame.Broadcast(), macA, 100, 1)
	for port := 1; port <= 4; port++ {
		steps = append(steps, step{port, f})
		for _, tci := range []uint16{0, 5, 0x6005, 0x1005, 7, 9, 4095} {
			if id := tci & 0xfff; port == 2 && (id == 0 || id == 5) {
				continue // an access port: docs/spec/vde-protocol.md, section 14
			}
			steps = append(steps, step{port, tagged(f, tci)})
		}
	}
	return steps
}

// TestLikeVDESwitch drives this switch and vde_switch with the same frames and
// compares what comes out of each port.
func TestLikeVDESwitch(t *testing.T) {
	for _, test := range twinTests() {
		t.Run(test.name, func(t *testing.T) {
			w := newTwin(t, vswitch.Config{Hub: test.hub, Ports: test.ports}, test.commands...)
			if test.joined == nil {
				test.joined = []int{1, 2, 3, 4}
			}
			w.plug(test.joined...)
			frames := 0
			for _, s := range test.steps {
				frames += w.same(s.from, s.f)
			}
			if 2*frames < len(test.steps) {
				t.Errorf("only %d frames came out", frames)
			}
			checkAccounts(t, w.sw.Stats())
		})
	}
}

// A station that moves is found at its new port at once here. vde_switch makes
// it wait until it has not been seen at the old one for hash/setminper seconds
// (docs/spec/vde-protocol.md, section 14),
// which delays whoever moves a virtual machine from one port to
// another; after that both agree.
func TestMoveLikeVDESwitch(t *testing.T) {
	w := newTwin(t, vswitch.Config{}, "hash/setminper 1000")
	w.plug(1, 2, 3, 4)
	hello, to := testFrame(frame.Broadcast(), macA, 60, 1), testFrame(macA, macB, 60, 2)
	w.same(1, hello)
	w.same(3, to) // known to be behind port 1
	w.same(2, hello)
	w.differ(3, to, []int{2}, []int{1})
	w.differ(1, to, []int{2}, nil) // there it is for a station behind the port it comes from
	w.console("hash/setminper 0")
	until(t, "moved in vde_switch", func() bool {
		w.same(2, hello)
		return w.portOf(theirs, macA) == 2
	})
	w.same(3, to)
	w.same(2, to)
	w.same(4, testFrame(frame.Broadcast(), macA, 60, 3)) // moved again, and in a frame for others
	if p := w.portOf(ours, macA); p != 4 {
		t.Errorf("behind port %d, want 4", p)
	}
	// B was seen on port 3 and then on port 1.
	if p := w.portOf(ours, macB); p != 2 {
		t.Errorf("B is behind port %d, want 2", p)
	}
	if s := w.sw.Stats(); s.FDB.Moved != 5 {
		t.Errorf("%+v", s.FDB)
	}
	checkAccounts(t, w.sw.Stats())
}

// portOf returns the port behind which mac is known to be in VLAN 0, or -1.
func (w *twin) portOf(which int, mac frame.MAC) int {
	w.t.Helper()
	if which == ours {
		for _, e := range w.sw.FDB() {
			if e.MAC == mac && e.VLAN == 0 {
				return e.Port
			}
		}
		return -1
	}
	table, err := w.stock.FDB()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range table {
		if frame.MAC(e.MAC) == mac && e.VLAN == 0 {
			return e.Port
		}
	}
	return -1
}

// Who has been silent for the age is forgotten by both, whatever is sent to him,
// and found again when he speaks. vde_switch counts in seconds and looks at its
// table now and then; this one's age to the nanosecond is in TestAgeing.
func TestAgeingLikeVDESwitch(t *testing.T) {
	w := newTwin(t, vswitch.Config{AgeingTime: time.Second})
	w.plug(1, 2, 3)
	hello, to := testFrame(frame.Broadcast(), macA, 60, 1), testFrame(macA, macB, 60, 2)
	w.same(1, hello)
	until(t, "A known long enough to look", func() bool {
		out := w.send(2, to)
		if w.portOf(ours, macA) < 0 {
			w.same(1, hello) // only if A is known afterwards has it been before
			return false
		}
		if len(out[ours]) != 1 || len(out[ours][1]) != 1 || len(out[theirs]) != 1 || len(out[theirs][1]) != 1 {
			t.Errorf("for a known station: %v", out)
		}
		return true
	})
	w.console("hash/setexpire 1", "hash/setgcint 1")
	for _, which := range []int{ours, theirs} {
		until(t, "A forgotten", func() bool {
			w.send(2, to) // does not keep A
			return w.portOf(which, macA) < 0
		})
	}
	w.differ(2, to, []int{1, 3}, []int{1, 3})
	w.console("hash/setexpire 1000")
	if err := w.sw.SetPort(1, withStatic(macA, vswitch.PortConfig{})); err != nil { // so that it does not age again
		t.Fatal(err)
	}
	w.same(1, hello)
	w.differ(2, to, []int{1}, []int{1})
	if w.sw.Stats().FDB.Aged == 0 {
		t.Errorf("%+v", w.sw.Stats().FDB)
	}
	checkAccounts(t, w.sw.Stats())
}

// vde_switch forgets a VLAN's stations whenever one of its ports becomes active or
// inactive (docs/spec/vde-protocol.md, section 14).
// Here only those behind a port that becomes inactive are
// forgotten: that a client joins is no reason to show everybody's frames to
// everybody.
func TestFlushUnlikeVDESwitch(t *testing.T) {
	w := newTwin(t, vswitch.Config{})
	w.plug(1, 2, 3)
	hello, to := testFrame(frame.Broadcast(), macA, 60, 1), testFrame(macA, macB, 60, 2)
	w.same(1, hello)
	w.same(2, to)
	w.plug(4)
	w.differ(2, to, []int{1}, []int{1, 3, 4})
	w.same(1, hello)
	w.same(2, to)
	w.pull(4)
	w.differ(2, to, []int{1}, []int{1, 3})
	w.same(1, hello)
	w.same(2, to)
	w.pull(1)
	if a, b := w.portOf(ours, macA), w.portOf(ours, macB); a != -1 || b != 2 {
		t.Errorf("A, whose port is inactive, is behind port %d, and B behind %d", a, b)
	}
	if b := w.portOf(theirs, macB); b != -1 {
		t.Errorf("vde_switch knows B behind port %d", b)
	}
	w.same(2, to)
	checkAccounts(t, w.sw.Stats())
}

// Port 0 is given to who asks for it and to nobody else.
func TestPortZeroLikeVDESwitch(t *testing.T) {
	w := newTwin(t, vswitch.Config{})
	w.plug(0)
	for _, dir := range w.dirs {
		open(t, dir)
		open(t, dir)
	}
	for name, list := range map[string]func() []int{
		"here": func() []int { return active(w.sw) },
		"vde_switch": func() (list []int) {
			ports, err := w.stock.Ports()
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range ports {
				if p.Active {
					list = append(list, p.Number)
				}
			}
			return list
		},
	} {
		if got := list(); !slices.Equal(got, []int{0, 1, 2}) {
			t.Errorf("%s: ports %v are active, want 0, 1 and 2", name, got)
		}
	}
}
