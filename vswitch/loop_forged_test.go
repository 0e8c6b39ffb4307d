// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"encoding/hex"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// TestProbeBytes checks the form of probes that docs/loops.md describes.
func TestProbeBytes(t *testing.T) {
	inBubble(t, vswitch.Config{Ports: map[int]vswitch.PortConfig{0x102: {VLAN: 0x304, Tagged: []uint16{0x506}}}}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		x := newFar(t, sw, 0x102, true)
		synctest.Wait()
		got := x.take()
		if len(got) < 2 || len(got[0]) != 62 || len(got[1]) != 66 {
			t.Fatalf("%x", got)
		}
		f := got[0]
		for _, part := range []struct {
			from int
			want string // hexadecimal
		}{
			{0, "cf0000000000"},
			{12, "9000" + "0000" + "0100" + "0000"}, // Reply, which nobody answers
			{20, "56444501"},
			{32, "00000102" + "0304" + "0000000000000001"},
		} {
			if want, _ := hex.DecodeString(part.want); !bytes.HasPrefix(f[part.from:], want) {
				t.Errorf("at %d: %x, want %s", part.from, f[part.from:part.from+len(want)], part.want)
			}
		}
		if src := frame.MAC(f[6:]); src.IsGroup() || src[0]&2 == 0 || !bytes.Equal(src[1:], f[25:30]) {
			t.Errorf("from %v, of the switch %x", src, f[24:32])
		}
		if tag := got[1]; !bytes.Equal(tag[12:16], []byte{0x81, 0, 5, 6}) || !bytes.Equal(tag[40:42], []byte{5, 6}) {
			t.Errorf("%x", tag)
		}
	})
}

// TestLoopForged has a station send what it can make of the probes that it has seen. Only
// a recent one, unchanged, has an effect, and that on the port of the station alone.
func TestLoopForged(t *testing.T) {
	inBubble(t, vswitch.Config{}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		x, stranger, other := newFar(t, sw, 2, true), attach(t, sw, 1), attach(t, sw, 3)
		synctest.Wait()
		probes := x.take()
		p := probes[len(probes)-1]
		ordinary := 0
		send := func(f []byte) {
			write(t, stranger, f)
			ordinary++
			if got := received(t, sw, other); len(got) != 1 || !bytes.Equal(got[0], f) {
				t.Fatalf("%x arrived as %x", f, got)
			}
		}
		for i := frame.HeaderLen - 2; i < len(p); i++ {
			for bit := range 8 {
				f := slices.Clone(p)
				f[i] ^= 1 << bit
				send(f)
			}
			send(p[:max(i, frame.HeaderLen)])
		}
		far := vswitch.New(vswitch.Config{})
		defer far.Close()
		y := newFar(t, far, 2, true)
		synctest.Wait()
		for _, f := range y.take() {
			send(f) // of another switch
		}
		wantBlocked(t, "forged", sw)

		elapse(5 * time.Second)
		write(t, stranger, p) // too old
		wantBlocked(t, "repeated late", sw)

		probes = x.take()
		for range 1000 {
			write(t, stranger, probes[len(probes)-1])
		}
		elapse(100 * time.Millisecond)
		wantBlocked(t, "repeated", sw, 1)
		if got := received(t, sw, other); len(got) != 0 {
			t.Errorf("%d arrived", len(got))
		}
		in := counts(t, sw, 1).In
		if in.Dropped.Probe != 1001 || in.Forwarded != uint64(ordinary) || in.Dropped.Sum() != 1001 {
			t.Errorf("%+v, %d ordinary", in, ordinary)
		}
		// Behind the uplink it is the uplink's own fault.
		f := testFrame(frame.Broadcast(), macB, 60, 1)
		x.send(f)
		synctest.Wait()
		if got := received(t, sw, other); len(got) != 1 {
			t.Errorf("%d frames of the uplink arrived", len(got))
		}
		x.to(x.send)
		elapse(2 * time.Second)
		wantBlocked(t, "repeated behind the uplink", sw, 1, 2)
	})
}

// TestLoopSmallFrames checks that a switch whose frames are shorter than a probe lives.
func TestLoopSmallFrames(t *testing.T) {
	inBubble(t, vswitch.Config{MaxFrameSize: 18, DefaultPort: vswitch.PortConfig{LoopProtection: vswitch.LoopProtectionOn}}, func(t *testing.T, sw *vswitch.Switch, _ *records) {
		x, c := newFar(t, sw, 1, true), attach(t, sw, 2)
		x.to(x.send)
		elapse(3 * time.Second)
		if in := counts(t, sw, 1).In; in.Dropped.Giant == 0 || len(received(t, sw, c)) == 0 {
			t.Errorf("%+v", in)
		}
	})
}
