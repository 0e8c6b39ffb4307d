// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"errors"
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
		size := []int{25000, 100, 6400, 6401, 6399, 1}[i%6]
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

// Somebody who is attached after it was decided that a frame may stay unfinished
// gets it neither unfinished nor at all.
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
