// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// newImpairedPackets returns a switch with the ports 1 and 2, which take partial frames,
// if the second one does. Port 1 has the impairments c.
func newImpairedPackets(t *testing.T, c impair.Config, partial bool) (*vswitch.Switch, *packetPort, anyPort) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, Ports: map[int]vswitch.PortConfig{
		1: {Impair: c}, 2: withStatic(macB, vswitch.PortConfig{}),
	}})
	t.Cleanup(func() { sw.Close() })
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	return sw, packetsOn(t, sw, attach(t, sw, 1)), attachAny(t, sw, 2, partial)
}

// TestImpairOffloadIn: a GSO frame is delayed and duplicated as one, and then segmented if
// its receiver wants that. Both copies are whole.
func TestImpairOffloadIn(t *testing.T) {
	big, small := segment(macB, macA, false, 7, payload(5000), 1400), segment(macB, macA, true, 7, payload(100), 1400)
	for _, partial := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			sw, a, b := newImpairedPackets(t, impair.Config{In: impair.Impairment{Delay: time.Second, Duplicate: 1}}, partial)
			a.send(big, small)
			if got := b.received(); len(got) != 0 {
				t.Errorf("%d frames at once", len(got))
			}
			time.Sleep(time.Second)
			synctest.Wait()
			want := []packet{big, big, small, small}
			frames := uint64(4)
			if !partial {
				o := plain(ordinary(big)...)
				want = slices.Concat(o, o, plain(ordinary(small)...), plain(ordinary(small)...))
				frames = uint64(len(want))
			}
			if got := b.received(); !equal(got, want) {
				t.Errorf("partial %v: got %d, want %d", partial, lengths(got), lengths(want))
			}
			s := counts(t, sw, 1).In
			if s.Frames != frames || s.Frames-s.Segments+s.GSOFrames-s.Duplicated != 2 {
				t.Errorf("partial %v: %+v", partial, s)
			}
		})
	}
}

// TestImpairOffloadOut: a GSO frame is segmented for an impaired port, whatever that
// takes, and each segment is lost by itself.
func TestImpairOffloadOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw, a, b := newImpairedPackets(t, impair.Config{}, true)
		setImpair(t, sw, 2, impair.Config{Out: impair.Impairment{Loss: 0.3}})
		h := segment(macB, macA, false, 7, payload(60000), 1400)
		a.send(h)
		synctest.Wait()
		all, got := ordinary(h), b.received()
		for _, f := range got {
			if f.header != (frame.VNetHeader{}) || !slices.ContainsFunc(all, func(o []byte) bool { return bytes.Equal(o, f.data) }) {
				t.Errorf("%+v of %d bytes", f.header, len(f.data))
			}
		}
		s := counts(t, sw, 2).Out
		if len(got) == 0 || len(got) == len(all) || s.Dropped.Impaired != uint64(len(all)-len(got)) {
			t.Errorf("%d segments of %d, %+v", len(got), len(all), s)
		}
		setImpair(t, sw, 2, impair.Config{})
		synctest.Wait()
		a.send(h)
		if got := b.received(); !equal(got, []packet{h}) {
			t.Errorf("without impairment: %d", lengths(got))
		}
	})
}

// TestImpairOffloadQueue: a GSO frame takes as many places of the queue as it is times as
// long as the longest frame.
func TestImpairOffloadQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw, a, b := newImpairedPackets(t, impair.Config{In: impair.Impairment{Delay: time.Second, Queue: 100}}, true)
		h := segment(macB, macA, false, 7, payload(40*1518-54), 1400)
		a.send(h, h, h, h)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := b.received(); len(got) != 3 {
			t.Errorf("%d frames", len(got))
		}
		if s := counts(t, sw, 1).In; s.Dropped.Full != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestImpairOffloadBad: what its header does not describe is dropped before it is
// delayed.
func TestImpairOffloadBad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw, a, b := newImpairedPackets(t, impair.Config{In: impair.Impairment{Delay: time.Second}}, true)
		h := segment(macB, macA, false, 7, payload(5000), 1400)
		bad := h
		bad.header.CsumOffset++
		a.send(bad, h, packet{data: make([]byte, 1600)}, packet{data: make([]byte, 10)}, packet{})
		if s := counts(t, sw, 1).In; s.Frames != 4 || s.Dropped.Offload != 1 || s.Dropped.Giant != 1 || s.Dropped.Runt != 1 || s.Dropped.Empty != 1 {
			t.Errorf("%+v", s)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if got := b.received(); !equal(got, []packet{h}) {
			t.Errorf("%d", lengths(got))
		}
	})
}
