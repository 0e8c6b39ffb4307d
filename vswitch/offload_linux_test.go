// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// An end is one of the kinds of ports that frames may come from and go to.
type end struct {
	send   func(h packet) error
	next   func() packet // waits for the next frame
	agreed bool
}

// endKinds make ends of port n.
var endKinds = []struct {
	name string
	make func(t *testing.T, sw *vswitch.Switch, n int) end
}{
	{"in-process agreed", func(t *testing.T, sw *vswitch.Switch, n int) end {
		p := packetsOn(t, sw, attach(t, sw, n))
		return end{func(h packet) error { _, err := p.trySend(true, h); return err }, p.next, true}
	}},
	{"in-process", func(t *testing.T, sw *vswitch.Switch, n int) end {
		c := attach(t, sw, n)
		buf := make([]byte, 1<<16)
		return end{func(h packet) error { _, err := c.Write(h.data); return err }, func() packet {
			if err := c.SetReadDeadline(time.Now().Add(long)); err != nil {
				t.Fatal(err)
			}
			n, err := c.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			return packet{data: slices.Clone(buf[:n])}
		}, false}
	}},
	{"socket agreed", func(t *testing.T, sw *vswitch.Switch, n int) end {
		peer := attachSocket(t, sw, n, true)
		return end{func(h packet) error { return writeFile(peer, h.bytes()) }, func() packet {
			return parsePacket(t, readFile(t, peer))
		}, true}
	}},
	{"socket", func(t *testing.T, sw *vswitch.Switch, n int) end {
		peer := attachSocket(t, sw, n, false)
		return end{func(h packet) error { return writeFile(peer, h.data) }, func() packet {
			return packet{data: readFile(t, peer)}
		}, false}
	}},
	{"rings agreed", func(t *testing.T, sw *vswitch.Switch, n int) end {
		return attachRings(t, sw, n, true)
	}},
	{"rings", func(t *testing.T, sw *vswitch.Switch, n int) end {
		return attachRings(t, sw, n, false)
	}},
}

// attachRings attaches a client with shared memory to port n until the test ends.
func attachRings(t *testing.T, sw *vswitch.Switch, n int, takesPartial bool) end {
	t.Helper()
	peer, detach, err := vswitch.AttachRings(sw, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(detach)
	if takesPartial {
		peer.TakeOffload()
	}
	send := func(h packet) error {
		_, _, err := peer.Send(link.Tx{Frames: [][]byte{h.data}, Headers: []frame.VNetHeader{h.header}})
		return err
	}
	e := end{send, func() packet {
		if err := peer.SetReadDeadline(time.Now().Add(long)); err != nil {
			t.Fatal(err)
		}
		var h packet
		var err error
		if takesPartial {
			h, err = recvPacket(peer)
		} else {
			b, sizes := make([]byte, 1<<16), []int{0}
			_, err = peer.Recv(link.Rx{Bufs: [][]byte{b}, Sizes: sizes})
			h.data = b[:sizes[0]]
		}
		if err != nil {
			t.Fatal(err)
		}
		return h
	}, takesPartial}
	// The switch learns what the peer takes when it sends something.
	c := attach(t, sw, 10+n)
	write(t, c, testFrame(frame.Broadcast(), macC, 60, 1))
	e.next()
	c.Close()
	return e
}

// attachSocket attaches a client with a socket to port n until the test ends.
func attachSocket(t *testing.T, sw *vswitch.Switch, n int, agreed bool) *os.File {
	t.Helper()
	peer, detach, err := vswitch.AttachSocket(sw, n, agreed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(detach)
	return peer
}

func writeFile(f *os.File, b []byte) error {
	if err := f.SetWriteDeadline(time.Now().Add(long)); err != nil {
		return err
	}
	_, err := f.Write(b)
	return err
}

func readFile(t *testing.T, f *os.File) []byte {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<16)
	n, err := f.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// Whatever kinds of ports a stream goes from and to, with a tag or without, its
// bytes arrive, and each frame is right: superframes where both ends have agreed
// to them, ordinary frames elsewhere.
func TestOffloadEnds(t *testing.T) {
	for _, from := range endKinds {
		for _, to := range endKinds {
			for _, v6 := range []bool{false, true} {
				for _, trunk := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s to %s/v6=%v/trunk=%v", from.name, to.name, v6, trunk), func(t *testing.T) {
						testOffloadEnds(t, from.make, to.make, v6, trunk)
					})
				}
			}
		}
	}
}

func testOffloadEnds(t *testing.T, from, to func(*testing.T, *vswitch.Switch, int) end, v6, trunk bool) {
	const (
		total = 300_000
		mss   = 1440
	)
	pc := vswitch.PortConfig{Wait: vswitch.Forever}
	if trunk {
		pc.VLAN, pc.Tagged = vswitch.NoVLAN, []uint16{0}
	}
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, Ports: map[int]vswitch.PortConfig{
		1: {Wait: vswitch.Forever}, 2: withStatic(macB, pc),
	}})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	src, dst := from(t, sw, 1), to(t, sw, 2)
	before := counts(t, sw, 2).Out
	data := payload(total)
	r := rand.New(rand.NewPCG(1, 2))
	var sent, ordinaries, cut uint64
	var sender sync.WaitGroup
	sender.Go(func() {
		for done := 0; done < total; sent++ {
			size := min(total-done, 1+r.IntN([]int{60000, 5000, mss}[r.IntN(3)]))
			if !src.agreed {
				size = min(size, mss)
			}
			h := segment(macB, macA, v6, uint32(done), data[done:done+size], mss)
			if h.header.GSOType != 0 {
				cut++
			}
			n := len(ordinary(h))
			ordinaries += uint64(n)
			if !src.agreed {
				h = packet{data: ordinary(h)[0]}
			}
			if err := src.send(h); err != nil {
				t.Error(err)
				return
			}
			done += size
		}
	})
	sum, got, undone, frames := sha256.New(), 0, 0, uint64(0)
	for got < total && !t.Failed() {
		h := dst.next()
		seq, p, err := payloadOf(h)
		if err != nil || int(seq) != got {
			t.Fatalf("after %d bytes in %d frames: %d bytes from %d on, %v", got, frames, len(p), seq, err)
		}
		if h.header.Flags&frame.VNetNeedsChecksum != 0 {
			undone++
		}
		if h.header.GSOType == 0 && len(p) > mss || trunk != (h.data[12] == 0x81) {
			t.Fatalf("%d bytes % x", len(p), h.data[:18])
		}
		sum.Write(p)
		got += len(p)
		frames++
	}
	if want := sha256.Sum256(data); !bytes.Equal(sum.Sum(nil), want[:]) {
		t.Error("other bytes arrived")
	}
	sender.Wait()
	var in vswitch.InStats
	until(t, "all counted", func() bool { in = counts(t, sw, 1).In; return in.Frames == frames })
	want := ordinaries
	if src.agreed && dst.agreed {
		want, cut = sent, 0
	} else if !src.agreed {
		cut = 0
	}
	if frames != want || in.GSOFrames != cut || in.Frames-in.Segments+in.GSOFrames != sent {
		t.Errorf("%d frames, want %d, of %d sent and %d cut; %+v", frames, want, sent, cut, in)
	}
	if (undone > 0) != (src.agreed && dst.agreed) {
		t.Errorf("%d frames are undone", undone)
	}
	if out := counts(t, sw, 2).Out; out.Frames-before.Frames != frames || out.Bytes-before.Bytes != in.Bytes+map[bool]uint64{true: 4 * frames}[trunk] {
		t.Errorf("%+v, %+v", in, out)
	}
}

// Under HeadDrop the endpoint of another process has a queue of its own, in which
// frames have headers if its peer may take undone ones.
func TestOffloadSendQueue(t *testing.T) {
	for _, kind := range endKinds[2:] {
		t.Run(kind.name, func(t *testing.T) {
			sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514, WriteBuffer: 32 << 10, Ports: map[int]vswitch.PortConfig{
				2: withStatic(macB, vswitch.PortConfig{Queue: 4096, Policy: vswitch.HeadDrop}),
			}})
			defer sw.Close()
			testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
			a := packetsOn(t, sw, attach(t, sw, 1))
			peer := kind.make(t, sw, 2)
			before := counts(t, sw, 2).Out
			var want []packet
			frames, bytes := uint64(0), uint64(0)
			for i := range 80 {
				h := segment(macB, macA, false, uint32(i), payload(1000*(i%20)+1), 1400)
				a.send(h)
				if !peer.agreed {
					want = append(want, plain(ordinary(h)...)...)
				} else {
					want = append(want, h)
				}
			}
			if out := counts(t, sw, 2).Out; out.Queued == 0 {
				t.Errorf("nothing waits in the switch: %+v", out)
			}
			for i, w := range want {
				if got := peer.next(); !equal([]packet{got}, []packet{w}) {
					t.Fatalf("frame %d of %d: %d bytes, %+v", i, len(want), len(got.data), got.header)
				}
				frames++
				bytes += uint64(len(w.data))
			}
			until(t, "all counted", func() bool { return counts(t, sw, 2).Out.Queued == 0 })
			if out := counts(t, sw, 2).Out; out.Frames-before.Frames != frames || out.Bytes-before.Bytes != bytes {
				t.Errorf("%d frames, %d bytes, %+v", frames, bytes, out)
			}
		})
	}
}

// A short frame does not wait in the 64 KiB that it was read into.
func TestOffloadSocketMemory(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514, Ports: map[int]vswitch.PortConfig{2: withStatic(macB, vswitch.PortConfig{})}})
	defer sw.Close()
	peer := attachSocket(t, sw, 1, true)
	b := attach(t, sw, 2)
	for range 100 {
		if err := writeFile(peer, packet{data: testFrame(macB, macA, 1000, 1)}.bytes()); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all queued", func() bool { return vswitch.Queued(sw, b) == 100 && vswitch.LiveLargest(sw) <= 1 })
}

// A datagram that is not what its header says counts as a runt: the socket gives
// it a length that no frame has.
func TestOffloadSocketBroken(t *testing.T) {
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1514})
	defer sw.Close()
	peer := attachSocket(t, sw, 1, true)
	attach(t, sw, 2)
	bad := segment(frame.Broadcast(), macA, false, 1, payload(4000), 1400)
	bad.header.HdrLen++
	for _, b := range [][]byte{
		bad.bytes(), make([]byte, 5), make([]byte, 15), make([]byte, frame.VNetHeaderLen+1515), make([]byte, 1<<17),
	} {
		if err := writeFile(peer, b); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all counted", func() bool { return counts(t, sw, 1).In.Frames == 5 })
	if in := counts(t, sw, 1).In; in.Dropped != (vswitch.InDropped{Runt: 3, Giant: 2}) {
		t.Errorf("%+v", in)
	}
}
