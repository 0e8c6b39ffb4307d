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
	"github.com/go-vde/sdk/vde"
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
	o := &h.header
	switch {
	case o.GSOType == 0 && len(h.data) > m.max || len(h.data) > frame.MaxGSO || gso.Check(*o, h.data) != nil:
		return false
	case o.GSOType == 0:
		o.HdrLen, o.GSOSize = 0, 0
	case min(len(h.data), int(o.HdrLen)+int(o.GSOSize)) > m.max:
		return false
	}
	if o.Flags&frame.VNetNeedsChecksum == 0 {
		o.CsumStart, o.CsumOffset = 0, 0
	}
	return true
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
		v = binary.BigEndian.Uint16(f[14:]) & 0xfff
	}
	if !m.in(from, v) {
		return nil
	}
	dst, src := frame.MAC(f[:6]), frame.MAC(f[6:12])
	if !src.IsGroup() {
		m.table[vswitch.StaticEntry{MAC: src, VLAN: v}] = from
	}
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
// segment with an offload header instead; see scriptSegment.
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

// FuzzForward compares the switch with the model: every port gets the same
// frames, byte for byte and in the same order. together has them sent as socket
// clients do; agreed says by port who has agreed to offloading.
func FuzzForward(f *testing.F) {
	for seed := range uint64(16) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b []byte
		for range 6 {
			b = append(b, byte(r.Uint32()), byte(r.Uint32()))
			for range 1 + int(b[len(b)-1])%8 {
				if seed >= 8 && r.IntN(3) == 0 {
					b = append(b, 255)
					for range 12 {
						b = append(b, byte(r.Uint32()))
					}
					continue
				}
				fr := randomFrame(r)
				fr = fr[:min(len(fr), 254)]
				b = append(b, byte(len(fr)))
				b = append(b, fr...)
			}
		}
		f.Add(b, seed%2 == 1, seed%4 > 1, byte(r.Uint32())*byte(seed/8))
	}
	f.Fuzz(func(t *testing.T, data []byte, together, hub bool, agreed byte) {
		const maxFrame = 2000
		ports := make(map[int]vswitch.PortConfig)
		for n, pc := range modelPorts {
			pc.Queue = 8192 // more than a script has frames
			ports[n] = pc
		}
		sw := vswitch.New(vswitch.Config{Ports: ports, Hub: hub, MaxFrameSize: maxFrame})
		defer sw.Close()
		m := &model{
			ports: ports, agreed: make(map[int]bool), hub: hub, max: maxFrame,
			table: make(map[vswitch.StaticEntry]int), out: make(map[int][]packet),
		}
		conns, headers := make(map[int]*vde.Conn), make(map[int]*packetPort)
		for n := range ports {
			ask := n
			if n == 0 {
				ask = vswitch.Management
			}
			c, err := sw.Attach(vde.WithPort(ask))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			conns[n] = c
			if agreed>>n&1 != 0 {
				m.agreed[n] = true
				headers[n] = packetsOn(t, sw, c)
			}
		}
		sent := make(map[int]uint64)
		script(data, func(port int, frames []packet) {
			if !m.agreed[port] {
				for i, h := range frames {
					if h.header != (frame.VNetHeader{}) {
						frames[i] = packet{data: h.data[:min(len(h.data), 1999)]} // whatever it is
					}
				}
				// A Conn refuses what is no frame; a socket client may send it.
				if !together {
					frames = slices.DeleteFunc(frames, func(h packet) bool { return len(h.data) < frame.HeaderLen || len(h.data) > frame.DefaultMaxSize })
				}
			}
			if m.agreed[port] && !together {
				frames = slices.DeleteFunc(frames, func(h packet) bool { return gso.Check(h.header, h.data) != nil })
			}
			var all [][]byte
			for _, h := range frames {
				m.frame(port, h)
				all = append(all, h.data)
			}
			sent[port] += uint64(len(all))
			switch {
			case together && m.agreed[port]:
				inject(sw, port, frames...)
			case together:
				vswitch.Inject(sw, port, all, nil)
			case m.agreed[port]:
				headers[port].send(frames...)
			default:
				if n, err := conns[port].WriteBatch(all); n != len(all) || err != nil {
					t.Fatal(n, err)
				}
			}
		})
		for n, c := range conns {
			want := m.out[n]
			var got []packet
			if m.agreed[n] {
				got = headers[n].received()
			} else {
				got = plain(received(t, sw, c)...)
				// What a Conn does not take for a frame it discards. It has no headers.
				want = slices.DeleteFunc(want, func(h packet) bool { _, err := frame.Parse(h.data); return err != nil })
				for i := range want {
					want[i].header = frame.VNetHeader{}
				}
			}
			if !equal(got, want) {
				t.Errorf("port %d got %d frames\n%x\nwant %d\n%x", n, len(got), got, len(want), want)
			}
		}
		if !hub {
			table := sw.FDB()
			if len(table) != len(m.table) {
				t.Errorf("%d stations, want %d", len(table), len(m.table))
			}
			for _, e := range table {
				if m.table[vswitch.StaticEntry{MAC: e.MAC, VLAN: e.VLAN}] != e.Port {
					t.Errorf("%v is behind port %d, want %d", e.MAC, e.Port, m.table[vswitch.StaticEntry{MAC: e.MAC, VLAN: e.VLAN}])
				}
			}
		}
		for n := range conns {
			if in := counts(t, sw, n).In; in.Frames-in.Segments+in.GSOFrames != sent[n] {
				t.Errorf("port %d sent %d frames: %+v", n, sent[n], in)
			}
		}
		for _, c := range conns {
			c.Close()
		}
		if n := vswitch.Live(sw); n != 0 {
			t.Errorf("%d buffers live", n)
		}
	})
}
