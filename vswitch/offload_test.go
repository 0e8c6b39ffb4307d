// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// payload returns n bytes that differ from each other's.
func payload(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// plain returns frames with offload headers that say nothing.
func plain(frames ...[]byte) (all []packet) {
	for _, f := range frames {
		all = append(all, packet{data: f})
	}
	return all
}

func equal(a, b []packet) bool {
	return slices.EqualFunc(a, b, func(a, b packet) bool { return a.header == b.header && bytes.Equal(a.data, b.data) })
}

// lengths says what is in frames.
func lengths(frames []packet) (all []int) {
	for _, h := range frames {
		all = append(all, len(h.data))
	}
	return all
}

// counts returns the counters of port n after checking that all add up.
func counts(t testing.TB, sw *vswitch.Switch, n int) vswitch.PortStats {
	t.Helper()
	s := sw.Stats()
	checkAccounts(t, s)
	for _, p := range s.Ports {
		if p.Port == n {
			return p
		}
	}
	t.Fatal("no such port", n)
	return vswitch.PortStats{}
}

// Who gets which form: with and without a tag, undone and ordinary, behind a
// header and not. Nobody's form changes another's, except that all get ordinary
// frames if one does.
func TestOffloadForms(t *testing.T) {
	const (
		src, untagged, trunk, other = 1, 2, 3, 4
		max                         = 1514 + 4
	)
	for _, v6 := range []bool{false, true} {
		super := segment(frame.Broadcast(), macA, v6, 7, payload(5000), 1400)
		sum := segment(frame.Broadcast(), macA, v6, 7, payload(999), 1400)
		done := packet{frame.VNetHeader{Flags: frame.VNetDataValid}, ordinary(sum)[0]}
		tiny := packet{data: testFrame(frame.Broadcast(), macA, 20, 1)}
		for _, test := range []struct {
			name   string
			send   packet
			agreed []int // besides src
			whole  bool
		}{
			{"super", super, []int{untagged, trunk}, true},
			{"super", super, []int{untagged}, false},
			{"super", super, []int{trunk}, false},
			{"super", super, nil, false},
			{"checksum", sum, []int{untagged, trunk}, true},
			{"checksum", sum, []int{untagged}, false},
			{"checksum", sum, []int{trunk}, false},
			{"done", done, []int{untagged}, true},
			{"done", done, []int{trunk}, true},
			{"tiny", tiny, []int{untagged}, true},
			{"tiny", tiny, []int{trunk}, true},
		} {
			for _, tag := range []bool{false, true} {
				for _, hub := range []bool{false, true} {
					sw := vswitch.New(vswitch.Config{MaxFrameSize: max, Hub: hub, Ports: map[int]vswitch.PortConfig{
						src: {VLAN: 5, Tagged: nil}, untagged: {VLAN: 5}, trunk: {Tagged: []uint16{5}}, other: {},
					}})
					conns := map[int]*vde.Conn{}
					agreed := map[int]*packetPort{}
					for n := src; n <= other; n++ {
						conns[n] = attach(t, sw, n)
					}
					for _, n := range append(test.agreed, src) {
						agreed[n] = packetsOn(t, sw, conns[n])
					}
					if hub {
						conns[other].Close() // it has not agreed, and would get everything
					}
					in, bare, with := test.send, test.send, withTag(test.send, 5)
					if tag {
						in = with
					}
					agreed[src].send(in)
					for n, form := range map[int]packet{untagged: bare, trunk: with} {
						if hub {
							form = in
						}
						want := plain(ordinary(form)...)
						if test.whole && agreed[n] != nil {
							want = []packet{form}
						}
						var got []packet
						if agreed[n] != nil {
							got = agreed[n].received()
						} else {
							got = plain(received(t, sw, conns[n])...)
						}
						if !equal(got, want) {
							t.Errorf("%s, v6 %v, tag %v, hub %v, agreed %v: port %d got\n%d %+v, want\n%d %+v",
								test.name, v6, tag, hub, test.agreed, n, lengths(got), got, lengths(want), want)
						}
						for _, h := range got {
							if len(h.data) > 60 {
								if _, _, err := payloadOf(h); err != nil && h.header.Flags != frame.VNetDataValid {
									t.Error(err)
								}
							}
						}
					}
					split := uint64(0)
					if !test.whole && test.send.header.GSOType != 0 {
						split = 1
					}
					in1 := counts(t, sw, src).In
					if in1.GSOFrames != split || in1.Segments != 4*split || in1.Frames-in1.Segments+in1.GSOFrames != 1 || in1.Flooded != in1.Frames {
						t.Errorf("%s, agreed %v: %+v", test.name, test.agreed, in1)
					}
					for _, c := range conns {
						c.Close()
					}
					sw.Close()
					if n := vswitch.Live(sw); n != 0 {
						t.Fatalf("%s: %d buffers live", test.name, n)
					}
				}
			}
		}
	}
}

// A frame keeps its form on the way to one port, gathered or not, is copied by
// read methods and handed over in its buffer to the others.
func TestOffloadUnicast(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, Ports: map[int]vswitch.PortConfig{
		2: withStatic(macB, vswitch.PortConfig{}), 3: withStatic(macC, vswitch.PortConfig{}),
	}})
	defer sw.Close()
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	a, b := packetsOn(t, sw, attach(t, sw, 1)), packetsOn(t, sw, attach(t, sw, 2))
	for _, size := range []int{0, 1, 200, 1400, 1401, 9000, 9300, 60000, frame.MaxGSO - 54} {
		h := segment(macB, macA, false, 1, payload(size), 1400)
		a.send(h)
		if got := b.next(); !equal([]packet{got}, []packet{h}) {
			t.Errorf("%d bytes: %+v", size, got.header)
		}
		all := h.data
		for _, pieces := range []net.Buffers{{all}, {all[:3], all[3:40], all[40:]}, {nil, all[:34], all[34:]}} {
			if n, _, err := a.l.Send(link.Tx{Pieces: []net.Buffers{pieces}, Headers: []frame.VNetHeader{h.header}}); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if got := b.next(); !equal([]packet{got}, []packet{h}) {
				t.Errorf("%d bytes in %d pieces: %+v", size, len(pieces), got.header)
			}
		}
	}
	// What is completed or cut on the way is the sender's, and stays as it was.
	ordinaryC := attach(t, sw, 3)
	for _, h := range []packet{segment(macC, macA, false, 1, payload(100), 1400), segment(macC, macA, true, 1, payload(2000), 1400)} {
		lent := packet{h.header, slices.Clone(h.data)}
		a.send(lent)
		if !bytes.Equal(lent.data, h.data) {
			t.Errorf("the bytes of a frame were changed\n%x\n%x", lent.data, h.data)
		}
		if got := received(t, sw, ordinaryC); !slices.EqualFunc(got, ordinary(h), bytes.Equal) {
			t.Errorf("%d frames", len(got))
		}
	}
	// Several in a batch, and what a frame's bytes count as.
	before := counts(t, sw, 2).Out
	small, big := segment(macB, macA, true, 1, payload(100), 1400), segment(macB, macA, true, 1, payload(3000), 1400)
	a.send(small, big, small)
	if got := b.received(); !equal(got, []packet{small, big, small}) {
		t.Errorf("%+v", got)
	}
	out := counts(t, sw, 2).Out
	if out.Frames-before.Frames != 3 || out.Bytes-before.Bytes != uint64(2*len(small.data)+len(big.data)) {
		t.Errorf("%+v after %+v", out, before)
	}
}

// A frame that is too long for an offload header once it has its tag is cut.
func TestOffloadLongest(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, Ports: map[int]vswitch.PortConfig{
		2: withStatic(macB, vswitch.PortConfig{}), 3: withStatic(macC, vswitch.PortConfig{VLAN: vswitch.NoVLAN, Tagged: []uint16{0}}),
	}})
	defer sw.Close()
	a, b, trunk := packetsOn(t, sw, attach(t, sw, 1)), packetsOn(t, sw, attach(t, sw, 2)), packetsOn(t, sw, attach(t, sw, 3))
	for _, size := range []int{frame.MaxGSO - 54 - 4, frame.MaxGSO - 54 - 3, frame.MaxGSO - 54} {
		h := segment(macB, macA, false, 1, payload(size), 1400)
		a.send(h)
		if got := b.received(); !equal(got, []packet{h}) {
			t.Errorf("%d bytes: %d", size, lengths(got))
		}
		h = segment(macC, macA, false, 1, payload(size), 1400)
		want := []packet{withTag(h, 0)}
		if len(want[0].data) > frame.MaxGSO {
			want = plain(ordinary(want[0])...)
		}
		a.send(h)
		if got := trunk.received(); !equal(got, want) {
			t.Errorf("%d bytes, tagged: %d", size, lengths(got))
		}
	}
}

// A mirror or a tap that has not agreed gets ordinary frames, and so does
// everybody then, and one that has gets what there is; so it is for what comes
// from a port and what goes to it, forwarded or not.
func TestOffloadMirrors(t *testing.T) {
	super := segment(macB, macA, false, 7, payload(5000), 1400)
	foreign := withTag(super, 9) // of a VLAN that the port is not in: dropped, and mirrored
	for _, test := range []struct {
		name   string
		src    int // 1 sends, 2 receives
		agreed bool
		tap    bool
		send   packet
		whole  bool
	}{
		{"from", 1, true, false, super, true},
		{"from", 1, false, false, super, false},
		{"to", 2, true, false, super, true},
		{"to", 2, false, false, super, false},
		{"tap from", 1, true, true, super, true},
		{"tap from", 1, false, true, super, false},
		{"tap to", 2, true, true, super, true},
		{"tap to", 2, false, true, super, false},
		{"dropped", 1, true, false, foreign, true},
		{"dropped", 1, false, false, foreign, false},
		{"dropped", 1, false, true, foreign, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, Ports: map[int]vswitch.PortConfig{2: withStatic(macB, vswitch.PortConfig{})}})
			defer sw.Close()
			testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
			a, b := packetsOn(t, sw, attach(t, sw, 1)), packetsOn(t, sw, attach(t, sw, 2))
			var m *vde.Conn
			if test.tap {
				var err error
				if m, err = sw.Monitor(test.src); err != nil {
					t.Fatal(err)
				}
				defer m.Close()
			} else {
				m = attach(t, sw, 3)
				if err := sw.Mirror(test.src, 3); err != nil {
					t.Fatal(err)
				}
			}
			want := []packet{test.send}
			if !test.whole {
				want = plain(ordinary(test.send)...)
			}
			var seen []packet
			if test.agreed {
				p := packetsOn(t, sw, m)
				a.send(test.send)
				seen = p.received()
			} else {
				a.send(test.send)
				seen = plain(received(t, sw, m)...)
			}
			if !equal(seen, want) {
				t.Errorf("the mirror got\n%d %+v, want\n%d", lengths(seen), seen, lengths(want))
			}
			if test.send.header == foreign.header {
				want = nil
			}
			if got := b.received(); !equal(got, want) {
				t.Errorf("the port got\n%d %+v, want\n%d", lengths(got), got, lengths(want))
			}
			in := counts(t, sw, 1).In
			if in.Frames-in.Segments+in.GSOFrames != 1 || (in.GSOFrames == 0) != test.whole || test.send.header == foreign.header && in.Dropped.VLAN != in.Frames {
				t.Errorf("%+v", in)
			}
		})
	}
}

// inject forwards frames as if a client with shared memory had sent them.
func inject(sw *vswitch.Switch, n int, frames ...packet) {
	var all [][]byte
	headers := []frame.VNetHeader{}
	for _, h := range frames {
		all, headers = append(all, h.data), append(headers, h.header)
	}
	vswitch.Inject(sw, n, all, headers)
}

// A frame that is not what its header says goes nowhere, not to mirrors either.
func TestOffloadBroken(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514})
	defer sw.Close()
	attach(t, sw, 1)
	b := packetsOn(t, sw, attach(t, sw, 2))
	if err := sw.Mirror(1, 2); err != nil {
		t.Fatal(err)
	}
	good := segment(frame.Broadcast(), macA, false, 1, payload(4000), 1400)
	change := func(f func(*packet)) packet {
		h := packet{good.header, slices.Clone(good.data)}
		f(&h)
		return h
	}
	for _, test := range []struct {
		name string
		send packet
		want vswitch.InDropped
	}{
		{"empty", packet{}, vswitch.InDropped{Empty: 1}},
		{"empty with header", packet{header: good.header}, vswitch.InDropped{Empty: 1}},
		{"runt", packet{data: make([]byte, 13)}, vswitch.InDropped{Runt: 1}},
		{"runt with header", packet{good.header, make([]byte, 13)}, vswitch.InDropped{Runt: 1}},
		{"ordinary giant", packet{data: make([]byte, 1515)}, vswitch.InDropped{Giant: 1}},
		{"unknown flag", change(func(h *packet) { h.header.Flags |= 4 }), vswitch.InDropped{Offload: 1}},
		{"unknown kind", change(func(h *packet) { h.header.GSOType = 3 }), vswitch.InDropped{Offload: 1}},
		{"other version", change(func(h *packet) { h.header.GSOType = frame.GSOTCPv6 }), vswitch.InDropped{Offload: 1}},
		{"no segment size", change(func(h *packet) { h.header.GSOSize = 0 }), vswitch.InDropped{Offload: 1}},
		{"header length", change(func(h *packet) { h.header.HdrLen-- }), vswitch.InDropped{Offload: 1}},
		{"checksum elsewhere", change(func(h *packet) { h.header.CsumStart = 65535 }), vswitch.InDropped{Offload: 1}},
		{"no checksum", change(func(h *packet) { h.header.Flags = 0 }), vswitch.InDropped{Offload: 1}},
		{"cut off", change(func(h *packet) { h.data = h.data[:40] }), vswitch.InDropped{Offload: 1}},
		{"too short for IP", change(func(h *packet) { h.data = h.data[:14] }), vswitch.InDropped{Offload: 1}},
		{"segments too long", change(func(h *packet) { h.header.GSOSize = 1514 - 54 + 1 }), vswitch.InDropped{Giant: 1}},
		{"longer than any", packet{good.header, append(slices.Clone(good.data), make([]byte, 65536)...)}, vswitch.InDropped{Giant: 1}},
	} {
		before := counts(t, sw, 1).In
		for range 2 {
			inject(sw, 1, test.send)
		}
		in := counts(t, sw, 1).In
		want := before.Dropped
		for range 2 {
			want.Empty += test.want.Empty
			want.Runt += test.want.Runt
			want.Giant += test.want.Giant
			want.Offload += test.want.Offload
		}
		if in.Dropped != want || in.Frames != before.Frames+2 {
			t.Errorf("%s: %+v, want %+v", test.name, in.Dropped, want)
		}
	}
	if got := b.received(); len(got) != 0 {
		t.Errorf("got %+v", got)
	}
	// What does not matter is not passed on.
	sum := segment(frame.Broadcast(), macA, false, 1, payload(400), 1400)
	odd := sum
	odd.header.HdrLen, odd.header.GSOSize = 1, 2
	inject(sw, 1, odd, packet{frame.VNetHeader{HdrLen: 5, GSOSize: 6, CsumStart: 7, CsumOffset: 8}, ordinary(sum)[0]})
	done := packet{data: ordinary(sum)[0]}
	if got := b.received(); !equal(got, []packet{sum, done, sum, done}) { // in the VLAN, and mirrored
		t.Errorf("%+v", got)
	}
}

// A frame that becomes more than a batch is forwarded in several, in order and
// among others.
func TestOffloadLarge(t *testing.T) {
	pc := vswitch.PortConfig{Queue: 1 << 14}
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514, Ports: map[int]vswitch.PortConfig{
		2: withStatic(macB, pc), 3: withStatic(macC, pc),
	}})
	defer sw.Close()
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	a, b, c := packetsOn(t, sw, attach(t, sw, 1)), attach(t, sw, 2), packetsOn(t, sw, attach(t, sw, 3))
	var send, toC []packet
	var toB [][]byte
	frames, split := uint64(0), uint64(0)
	for i := range 100 {
		size := []int{60000, 100, 6400, 6401, 6399, 1}[i%6]
		h := segment(macB, macA, i%4 == 0, uint32(i), payload(size), 100)
		toB = append(toB, ordinary(h)...)
		send = append(send, h)
		if h.header.GSOType != 0 {
			split++
		}
		if i%3 == 0 {
			h := segment(macC, macA, i%4 == 0, uint32(i), payload(size), 1400)
			toC = append(toC, h)
			send = append(send, h)
		}
		if len(send) > 60 || i == 99 {
			a.send(send...)
			frames += uint64(len(send))
			send = nil
			if got := received(t, sw, b); !slices.EqualFunc(got, toB, bytes.Equal) {
				t.Fatalf("B got %d frames, want %d", len(got), len(toB))
			}
			if got := c.received(); !equal(got, toC) {
				t.Fatalf("C got %d frames, want %d", len(got), len(toC))
			}
			toB, toC = nil, nil
		}
	}
	in := counts(t, sw, 1).In
	if in.Frames-in.Segments+in.GSOFrames != frames || in.GSOFrames != split {
		t.Errorf("%+v", in)
	}
}

// A sender that does not wait, or not any longer, is told of whole frames: one
// that has been begun counts as taken, and what does not fit of it as dropped.
func TestOffloadExact(t *testing.T) {
	const queue = 8
	h := segment(macB, macA, false, 0, payload(10*1400), 1400) // 10 segments
	for _, test := range []struct {
		name string
		wait time.Duration // of the port
		send func(t *testing.T, a *packetPort) (int, error)
		err  error
		drop vswitch.OutDropped
	}{
		{"try", 0, func(t *testing.T, a *packetPort) (int, error) { return a.trySend(false, h, h) }, link.ErrFull, vswitch.OutDropped{Full: 2}},
		{"deadline", vswitch.Forever, func(t *testing.T, a *packetPort) (int, error) {
			if err := a.l.SetWriteDeadline(time.Now().Add(short)); err != nil {
				t.Fatal(err)
			}
			return a.trySend(true, h, h)
		}, os.ErrDeadlineExceeded, vswitch.OutDropped{Timeout: 2}},
		{"close", vswitch.Forever, func(t *testing.T, a *packetPort) (int, error) {
			time.AfterFunc(short, func() { a.c.Close() })
			return a.trySend(true, h, h)
		}, net.ErrClosed, vswitch.OutDropped{Timeout: 2}},
		{"policy", time.Millisecond, func(t *testing.T, a *packetPort) (int, error) { return a.trySend(true, h, h) }, nil, vswitch.OutDropped{Timeout: 12}},
	} {
		t.Run(test.name, func(t *testing.T) {
			sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514, Ports: map[int]vswitch.PortConfig{
				2: withStatic(macB, vswitch.PortConfig{Queue: queue, Wait: test.wait}),
			}})
			defer sw.Close()
			testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
			a, b := packetsOn(t, sw, attach(t, sw, 1)), attach(t, sw, 2)
			n, err := test.send(t, a)
			taken := 1
			if test.err == nil {
				taken = 2
			}
			if n != taken || !errors.Is(err, test.err) {
				t.Errorf("%d frames taken, %v", n, err)
			}
			p := counts(t, sw, 1).In
			if p.GSOFrames != uint64(taken) || p.Frames != uint64(10*taken) || p.Segments != p.Frames {
				t.Errorf("%+v", p)
			}
			if out := counts(t, sw, 2).Out; out.Dropped != test.drop || out.Queued != queue {
				t.Errorf("%+v", out)
			}
			if got := received(t, sw, b); !slices.EqualFunc(got, ordinary(h)[:queue], bytes.Equal) {
				t.Errorf("%d frames", len(got))
			}
		})
	}
}

// Under HeadDrop, and where there are several endpoints, frames are cut like
// anywhere else.
func TestOffloadPolicies(t *testing.T) {
	h := segment(macB, macA, false, 0, payload(40*1400), 1400)
	all := ordinary(h)
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514, Ports: map[int]vswitch.PortConfig{
		2: withStatic(macB, vswitch.PortConfig{Queue: 16, Policy: vswitch.HeadDrop}),
	}})
	defer sw.Close()
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	a, b := packetsOn(t, sw, attach(t, sw, 1)), attach(t, sw, 2)
	a.send(h, h)
	if got := received(t, sw, b); !slices.EqualFunc(got, all[24:], bytes.Equal) {
		t.Errorf("%d frames", len(got))
	}
	two := packetsOn(t, sw, attach(t, sw, 2)) // beside b, which has not agreed
	a.send(h)
	if got, got2 := received(t, sw, b), two.received(); !slices.EqualFunc(got, all[24:], bytes.Equal) || !equal(got2, plain(all[24:]...)) {
		t.Errorf("%d and %d frames", len(got), len(got2))
	}
	b.Close()
	a.send(h, h)
	if got := two.received(); !equal(got, []packet{h, h}) {
		t.Errorf("%d frames", len(got))
	}
	for range 20 {
		a.send(h)
	}
	if got := two.received(); len(got) != 16 {
		t.Errorf("%d frames", len(got))
	}
	if in := counts(t, sw, 1).In; in.GSOFrames != 3 || in.Segments != 120 || in.Frames != 120+22 {
		t.Errorf("%+v", in)
	}
}

// A frame that is cut counts against the limit as what it became.
func TestOffloadStorm(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514, Ports: map[int]vswitch.PortConfig{1: {StormLimit: 1}}})
	defer sw.Close()
	a, b := packetsOn(t, sw, attach(t, sw, 1)), attach(t, sw, 2)
	h := segment(macB, macA, false, 0, payload(40*1400), 1400)
	a.send(h)
	a.send(h)
	a.send(h)
	if got := received(t, sw, b); len(got) != 80 { // 64 were free
		t.Errorf("%d frames", len(got))
	}
	if in := counts(t, sw, 1).In; in.Dropped.Storm != 1 || in.Frames != 81 {
		t.Errorf("%+v", in)
	}
}

// What was queued before a port agreed has headers too.
func TestEnableOffload(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{2: {Queue: 4}}})
	defer sw.Close()
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	a, b, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
	var all [][]byte
	for i := range 4 {
		all = append(all, testFrame(frame.Broadcast(), macA, 100*i+14, byte(i)))
		write(t, a, all[i])
	}
	packetsOn(t, sw, b)
	p := packetsOn(t, sw, b) // again changes nothing
	if got := p.received(); !equal(got, plain(all...)) {
		t.Errorf("%+v", got)
	}
	if got := received(t, sw, c); !slices.EqualFunc(got, all, bytes.Equal) {
		t.Errorf("others got %x", got)
	}
	// From then on it sends and receives with headers.
	write(t, a, all[1])
	if got := p.received(); !equal(got, plain(all[1])) {
		t.Errorf("%+v", got)
	}
	p.send(plain(all[2])...)
	if got := received(t, sw, a); len(got) != 1 || !bytes.Equal(got[0], all[2]) {
		t.Errorf("%x", got)
	}
	if s := counts(t, sw, 2); s.Out.Bytes != 14+114+214+314+114 || s.In.Bytes != 214 {
		t.Errorf("%+v", s)
	}
}

// Somebody who is attached after it was decided that a frame may stay undone
// gets it neither undone nor at all.
func TestOffloadLateComer(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514, Ports: map[int]vswitch.PortConfig{
		2: withStatic(macB, vswitch.PortConfig{Queue: 1, Wait: vswitch.Forever}), 5: withStatic(macC, vswitch.PortConfig{}),
	}})
	defer sw.Close()
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	a, b := packetsOn(t, sw, attach(t, sw, 1)), packetsOn(t, sw, attach(t, sw, 2))
	toC := segment(macC, macA, false, 0, payload(5000), 1400)
	to, all := segment(macB, macA, false, 0, payload(5000), 1400), segment(frame.Broadcast(), macA, false, 0, payload(5000), 1400)
	last := packet{data: testFrame(frame.Broadcast(), macA, 60, 1)}
	sent := make(chan error, 1)
	go func() {
		_, err := a.trySend(true, to, to, toC, all, last)
		sent <- err
	}()
	until(t, "the sender waits", func() bool { return vswitch.Waiting(sw, b.c) == 1 })
	late, mirror, c := attach(t, sw, 3), attach(t, sw, 4), attach(t, sw, 5)
	if err := errors.Join(sw.Mirror(1, 4), sw.Mirror(2, 4)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []packet{to, to} {
		if got := b.next(); !equal([]packet{got}, []packet{want}) {
			t.Errorf("%+v", got)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	// The last is for everybody, and mirrored as it goes to B.
	for conn, n := range map[*vde.Conn]int{late: 1, c: 1, mirror: 2} {
		got := received(t, sw, conn)
		if len(got) != n || !bytes.Equal(got[0], last.data) || !bytes.Equal(got[n-1], last.data) {
			t.Errorf("%d bytes, want %d frames", lengths(plain(got...)), n)
		}
	}
	if in := counts(t, sw, 1).In; in.Frames != 5 || in.GSOFrames != 0 {
		t.Errorf("%+v", in)
	}
}
