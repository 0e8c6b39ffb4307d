// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A model is a switch that forwards as section 14 of the protocol says, slowly
// and in as few words as possible.
type model struct {
	ports map[int]vswitch.PortConfig
	hub   bool
	max   int
	table map[vswitch.Station]int
	out   map[int][][]byte
}

func (m *model) in(port int, v uint16) bool {
	pc := m.ports[port]
	return v != vswitch.NoVLAN && (pc.VLAN == v || slices.Contains(pc.Tagged, v))
}

func (m *model) frame(from int, f []byte) {
	if len(f) < 14 || len(f) > m.max {
		return
	}
	if m.hub {
		for to := range m.ports {
			if to != from && to != 0 {
				m.out[to] = append(m.out[to], f)
			}
		}
		return
	}
	v, tci, bare := m.ports[from].VLAN, uint16(0), f
	isTagged := f[12] == 0x81 && f[13] == 0
	if isTagged {
		if len(f) < 18 {
			return
		}
		tci = binary.BigEndian.Uint16(f[14:])
		v = tci & 0xfff
		bare = append(slices.Clone(f[:12]), f[16:]...)
	} else {
		tci = v
	}
	if !m.in(from, v) {
		return
	}
	dst, src := frame.MAC(f[:6]), frame.MAC(f[6:12])
	if !src.IsGroup() {
		m.table[vswitch.Station{MAC: src, VLAN: v}] = from
	}
	only, known := m.table[vswitch.Station{MAC: dst, VLAN: v}]
	for to, pc := range m.ports {
		switch {
		case to == from, !m.in(to, v), known && !dst.IsGroup() && to != only:
		case pc.VLAN == v:
			m.out[to] = append(m.out[to], bare)
		default:
			m.out[to] = append(m.out[to], tagged(bare, tci))
		}
	}
}

// script turns fuzz input into batches of frames: one byte says from which port,
// one how many, then for each frame one for its length and its bytes. Addresses
// are brought down to few, so that stations meet.
func script(data []byte, do func(port int, frames [][]byte)) {
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
	for batches := 0; len(data) > 0 && batches < 50; batches++ {
		port := one() % len(modelPorts)
		var frames [][]byte
		for range 1 + one()%8 {
			f := slices.Clone(next(one()))
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
			frames = append(frames, f)
		}
		do(port, frames)
	}
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
// frames, byte for byte and in the same order.
func FuzzForward(f *testing.F) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b []byte
		for range 6 {
			b = append(b, byte(r.Uint32()), byte(r.Uint32()))
			for range 1 + int(b[len(b)-1])%8 {
				fr := randomFrame(r)
				fr = fr[:min(len(fr), 255)]
				b = append(b, byte(len(fr)))
				b = append(b, fr...)
			}
		}
		f.Add(b, seed%2 == 1, seed%4 > 1)
	}
	f.Fuzz(func(t *testing.T, data []byte, together, hub bool) {
		const maxFrame = 2000
		ports := make(map[int]vswitch.PortConfig)
		for n, pc := range modelPorts {
			pc.Queue = 1024 // more than a script has frames
			ports[n] = pc
		}
		sw := vswitch.New(vswitch.Config{Ports: ports, Hub: hub, MaxFrame: maxFrame})
		defer sw.Close()
		m := &model{ports: ports, hub: hub, max: maxFrame, table: make(map[vswitch.Station]int), out: make(map[int][][]byte)}
		conns := make(map[int]*vde.Conn)
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
		}
		script(data, func(port int, frames [][]byte) {
			for _, f := range frames {
				// A Conn refuses what is no frame; a socket client may send it.
				if together || len(f) >= frame.HeaderLen {
					m.frame(port, f)
				}
			}
			if together {
				vswitch.Inject(sw, port, frames)
				return
			}
			frames = slices.DeleteFunc(frames, func(f []byte) bool { return len(f) < frame.HeaderLen })
			if n, err := conns[port].WriteBatch(frames); n != len(frames) || err != nil {
				t.Fatal(n, err)
			}
		})
		for n, c := range conns {
			got := received(t, sw, c)
			// What a Conn does not take for a frame it discards.
			want := slices.DeleteFunc(m.out[n], func(f []byte) bool { _, err := frame.Parse(f); return err != nil })
			if !slices.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("port %d got %d frames\n%x\nwant %d\n%x", n, len(got), got, len(want), want)
			}
		}
		if !hub {
			table := sw.Table()
			if len(table) != len(m.table) {
				t.Errorf("%d stations, want %d", len(table), len(m.table))
			}
			for _, e := range table {
				if m.table[e.Station] != e.Port {
					t.Errorf("%v is behind port %d, want %d", e.Station, e.Port, m.table[e.Station])
				}
			}
		}
		checkAccounts(t, sw.Stats())
		for _, c := range conns {
			c.Close()
		}
		if n := vswitch.Live(sw); n != 0 {
			t.Errorf("%d buffers live", n)
		}
	})
}
