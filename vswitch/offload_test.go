// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"net"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

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

// A frame that is too long for a virtio-net header once it has its tag is cut.
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
