// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/vswitch"
)

// A model is a switch that forwards as described in docs/spec/vde-protocol.md,
// section 14, slowly and in as few words as possible.
type model struct {
	ports  map[int]vswitch.PortConfig
	agreed map[int]bool // to offloading
	hub    bool
	max    int
	table  map[vswitch.StaticEntry]int
	out    map[int][]packet
}

func (m *model) in(port int, v uint16) bool {
	pc := m.ports[port]
	return v != vswitch.NoVLAN && (pc.VLAN == v || slices.Contains(pc.Tagged, v))
}

func (m *model) frame(from int, h packet) {
	if len(h.data) < 14 || !m.sound(&h) {
		return
	}
	forms := m.forward(from, h)
	all := []packet{h}
	for to := range forms {
		if !m.agreed[to] {
			all = nil
			for _, f := range ordinary(h) {
				all = append(all, packet{data: f})
			}
			if h.header.Flags&frame.VNetNeedsChecksum == 0 {
				all = []packet{h}
			}
			break
		}
	}
	for to, form := range forms {
		for _, f := range all {
			m.out[to] = append(m.out[to], form(f))
		}
	}
}

// sound reports whether h is a frame, and forgets what means nothing.
func (m *model) sound(h *packet) bool {
	o, err := gso.Accept(h.header, h.data, len(h.data))
	h.header = o
	switch {
	case err != nil || len(h.data) > frame.MaxGSO:
		return false
	case o.GSOType == frame.GSONone:
		return len(h.data) <= m.max
	}
	return min(len(h.data), int(o.HdrLen)+int(o.GSOSize)) <= m.max
}

// forward learns from h and returns the ports that it goes to, and in which form.
func (m *model) forward(from int, h packet) map[int]func(packet) packet {
	forms := make(map[int]func(packet) packet)
	same := func(h packet) packet { return h }
	f := h.data
	if m.hub {
		for to := range m.ports {
			if to != from && to != 0 {
				forms[to] = same
			}
		}
		return forms
	}
	v, isTagged := m.ports[from].VLAN, f[12] == 0x81 && f[13] == 0
	if isTagged {
		if len(f) < 18 {
			return nil
		}
		id := binary.BigEndian.Uint16(f[14:]) & 0xfff
		switch access := len(m.ports[from].Tagged) == 0; {
		case id == 0 && !slices.Contains(m.ports[from].Tagged, 0):
			if len(f) >= 22 && f[16] == 0x81 && f[17] == 0 {
				return nil // once removed, the next tag would count
			}
			same = func(h packet) packet { return withVLAN(h, v) }
		case id == v && access:
			return nil
		default:
			v = id
		}
	}
	dst, src := frame.MAC(f[:6]), frame.MAC(f[6:12])
	if !m.in(from, v) || src.IsGroup() {
		return nil
	}
	m.table[vswitch.StaticEntry{MAC: src, VLAN: v}] = from
	only, known := m.table[vswitch.StaticEntry{MAC: dst, VLAN: v}]
	for to, pc := range m.ports {
		switch {
		case to == from, !m.in(to, v), known && !dst.IsGroup() && to != only:
		case pc.VLAN == v && isTagged:
			forms[to] = withoutTag
		case pc.VLAN != v && !isTagged:
			forms[to] = func(h packet) packet { return withTag(h, v) }
		default:
			forms[to] = same
		}
	}
	return forms
}

// script turns fuzz input into batches of frames: one byte says from which port,
// one how many, then for each frame one for its length and its bytes. Addresses
// are brought down to few, so that stations meet. Of a length of 255 it is a TCP
// segment with a virtio-net header instead; see scriptSegment.
func script(data []byte, do func(port int, frames []packet)) {
	next := func(n int) (b []byte) {
		n = min(n, len(data))
		b, data = data[:n], data[n:]
		return b
	}
	one := func() int {
		if b := next(1); len(b) == 1 {
			return int(b[0])
		}
		return 0
	}
	few := 4000 // segments
	for batches := 0; len(data) > 0 && batches < 50; batches++ {
		port := one() % len(modelPorts)
		var frames []packet
		for range 1 + one()%8 {
			size := one()
			if size == 255 {
				frames = append(frames, scriptSegment(one, &few))
				continue
			}
			f := slices.Clone(next(size))
			for i := range min(len(f), 12) {
				switch i % 6 {
				case 0:
					f[i] &= 3
				case 5:
					f[i] &= 7
				default:
					f[i] = 0
				}
			}
			if len(f) > 100 && f[20]&1 == 1 {
				f = append(f, make([]byte, 10*int(f[21]))...)
			}
			frames = append(frames, packet{data: f})
		}
		do(port, frames)
	}
}

// scriptSegment makes a segment of bytes from one, which says of it to whom and
// from whom, which version of IP and tag it has, how long it is, how long its
// parts are to be, and what is wrong with its header. few is how many parts
// there may still be.
func scriptSegment(one func() int, few *int) packet {
	dst, src, kind := frame.MAC{byte(one() & 3), 0, 0, 0, 0, byte(one() & 7)}, frame.MAC{2, 0, 0, 0, 0, byte(one() & 7)}, one()
	size, mss := one()<<8|one(), 1+(one()<<8|one())%2100
	size = min(size, frame.MaxGSO-100)
	if size/mss > *few {
		size = mss
	}
	*few -= size / mss
	h := segment(dst, src, kind&1 != 0, uint32(size), make([]byte, size), mss)
	if kind&2 != 0 {
		h = withTag(h, uint16(one())<<12|uint16(one()%8))
	}
	if kind&4 != 0 {
		h.header.Flags |= frame.VNetDataValid
	}
	if kind&0x70 == 0x10 {
		b := h.bytes()
		b[one()%frame.VNetHeaderLen] ^= byte(one())
		h.header, _ = frame.ParseVNetHeader(b)
	}
	return h
}

// withVLAN returns h with v in its tag.
func withVLAN(h packet, v uint16) packet {
	h.data = slices.Clone(h.data)
	binary.BigEndian.PutUint16(h.data[14:], binary.BigEndian.Uint16(h.data[14:])&0xf000|v)
	return h
}

// withoutTag returns h without its tag.
func withoutTag(h packet) packet {
	h.data = append(slices.Clone(h.data[:12]), h.data[16:]...)
	if h.header.Flags&frame.VNetNeedsChecksum != 0 {
		h.header.CsumStart -= 4
	}
	if h.header.GSOType != frame.GSONone {
		h.header.HdrLen -= 4
	}
	return h
}

var modelPorts = map[int]vswitch.PortConfig{
	0: {},
	1: {},
	2: {VLAN: 5},
	3: {Tagged: []uint16{5, 1}},
	4: {VLAN: vswitch.NoVLAN, Tagged: []uint16{0, 1, 4094}},
	5: {VLAN: 4094, Tagged: []uint16{5}},
}

// A modelled is a switch and the model of it, which get the same frames.
type modelled struct {
	t        *testing.T
	sw       *vswitch.Switch
	model    *model
	together bool // frames are sent as socket clients do
	ports    map[int]anyPort
	sent     map[int]uint64
}

// newModelled returns a switch in which bit n of partial says whether port n takes
// partial frames.
func newModelled(t *testing.T, together, hub bool, partial byte) *modelled {
	const maxFrame = 2000
	configs := make(map[int]vswitch.PortConfig)
	for n, pc := range modelPorts {
		pc.Queue = 8192 // more than a script has frames
		configs[n] = pc
	}
	m := &modelled{
		t:        t,
		sw:       vswitch.New(vswitch.Config{Ports: configs, Hub: hub, MaxFrameSize: maxFrame}),
		together: together,
		model: &model{
			ports: configs, agreed: make(map[int]bool), hub: hub, max: maxFrame,
			table: make(map[vswitch.StaticEntry]int), out: make(map[int][]packet),
		},
		ports: make(map[int]anyPort),
		sent:  make(map[int]uint64),
	}
	for n := range configs {
		ask := n
		if n == 0 {
			ask = vswitch.Management
		}
		takes := partial>>n&1 != 0
		m.ports[n] = attachAny(t, m.sw, ask, takes)
		m.model.agreed[n] = takes
	}
	return m
}

// send has a port send frames, those of them that it can send.
func (m *modelled) send(port int, frames []packet) {
	p := m.ports[port]
	frames = m.sendable(p, frames)
	var all [][]byte
	for _, h := range frames {
		m.model.frame(port, h)
		all = append(all, h.data)
	}
	m.sent[port] += uint64(len(all))
	switch {
	case m.together && p.partial:
		inject(m.sw, port, frames...)
	case m.together:
		vswitch.Inject(m.sw, port, all, nil)
	case p.partial:
		p.send(frames...)
	default:
		if n, err := p.c.WriteBatch(all); n != len(all) || err != nil {
			m.t.Fatal(n, err)
		}
	}
}

// sendable returns the frames that p can send. A Conn refuses what is no frame, or not
// what its header says; a client with a socket or shared memory may send it.
func (m *modelled) sendable(p anyPort, frames []packet) []packet {
	if !p.partial {
		for i, h := range frames {
			if h.header != (frame.VNetHeader{}) {
				frames[i] = packet{data: h.data[:min(len(h.data), 1999)]} // whatever it is
			}
		}
	}
	if m.together {
		return frames
	}
	return slices.DeleteFunc(frames, func(h packet) bool {
		if p.partial {
			return gso.Check(h.header, h.data) != nil
		}
		return len(h.data) < frame.HeaderLen || len(h.data) > frame.DefaultMaxSize
	})
}

// checkReceived checks that every port got the frames of the model.
func (m *modelled) checkReceived() {
	m.t.Helper()
	for n, p := range m.ports {
		want := m.model.out[n]
		if !p.partial {
			// What a Conn does not take for a frame it discards. It has no headers.
			want = slices.DeleteFunc(want, func(h packet) bool { _, err := frame.Parse(h.data); return err != nil })
			for i := range want {
				want[i].header = frame.VNetHeader{}
			}
		}
		if got := p.received(); !equal(got, want) {
			m.t.Errorf("port %d got %d frames\n%x\nwant %d\n%x", n, len(got), got, len(want), want)
		}
	}
}

// checkFDB checks that the switch knows the stations that the model knows.
func (m *modelled) checkFDB() {
	m.t.Helper()
	fdb := m.sw.FDB()
	if len(fdb) != len(m.model.table) {
		m.t.Errorf("%d stations, want %d", len(fdb), len(m.model.table))
	}
	for _, e := range fdb {
		if want := m.model.table[vswitch.StaticEntry{MAC: e.MAC, VLAN: e.VLAN}]; want != e.Port {
			m.t.Errorf("%v is behind port %d, want %d", e.MAC, e.Port, want)
		}
	}
}

// checkCounts checks that all frames were counted, and no buffer is left when all
// connections are closed.
func (m *modelled) checkCounts() {
	m.t.Helper()
	for n, p := range m.ports {
		if in := counts(m.t, m.sw, n).In; in.Frames-in.Segments+in.GSOFrames != m.sent[n] {
			m.t.Errorf("port %d sent %d frames: %+v", n, m.sent[n], in)
		}
		p.c.Close()
	}
	if n := vswitch.Live(m.sw); n != 0 {
		m.t.Errorf("%d buffers live", n)
	}
}

// randomScript returns a script of random frames, with segments or without.
func randomScript(r *rand.Rand, segments bool) (script []byte) {
	for range 6 {
		script = append(script, byte(r.Uint32()), byte(r.Uint32()))
		for range 1 + int(script[len(script)-1])%8 {
			if segments && r.IntN(3) == 0 {
				script = append(script, 255)
				for range 12 {
					script = append(script, byte(r.Uint32()))
				}
				continue
			}
			f := randomFrame(r)
			f = f[:min(len(f), 254)]
			script = append(script, byte(len(f)))
			script = append(script, f...)
		}
	}
	return script
}

// FuzzForward compares the switch with the model: every port gets the same
// frames, byte for byte and in the same order. together has them sent as socket
// clients do; partial says by port who takes partial frames.
func FuzzForward(f *testing.F) {
	for seed := range uint64(16) {
		r := rand.New(rand.NewPCG(seed, 1))
		f.Add(randomScript(r, seed >= 8), seed%2 == 1, seed%4 > 1, byte(r.Uint32())*byte(seed/8))
	}
	f.Fuzz(func(t *testing.T, data []byte, together, hub bool, partial byte) {
		m := newModelled(t, together, hub, partial)
		defer m.sw.Close()
		script(data, m.send)
		m.checkReceived()
		if !hub {
			m.checkFDB()
		}
		m.checkCounts()
	})
}
