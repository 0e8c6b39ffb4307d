// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
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
		peer, buf := attachSocket(t, sw, n, true), make([]byte, 1<<16)
		return end{func(h packet) error { return writeFile(peer, h.bytes()) }, func() packet {
			return parsePacket(t, readFile(t, peer, buf))
		}, true}
	}},
	{"socket", func(t *testing.T, sw *vswitch.Switch, n int) end {
		peer, buf := attachSocket(t, sw, n, false), make([]byte, 1<<16)
		return end{func(h packet) error { return writeFile(peer, h.data) }, func() packet {
			return packet{data: readFile(t, peer, buf)}
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
	buf := make([]byte, 1<<16)
	e := end{send, func() packet {
		if err := peer.SetReadDeadline(time.Now().Add(long)); err != nil {
			t.Fatal(err)
		}
		var h packet
		var err error
		if takesPartial {
			h, err = recvPacket(peer, buf)
		} else {
			sizes := []int{0}
			_, err = peer.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes})
			h.data = slices.Clone(buf[:sizes[0]])
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

// readFile reads a datagram into buf and returns a copy of it.
func readFile(t *testing.T, f *os.File, buf []byte) []byte {
	t.Helper()
	if err := f.SetReadDeadline(time.Now().Add(long)); err != nil {
		t.Fatal(err)
	}
	n, err := f.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Clone(buf[:n])
}

// Whatever kinds of ports a stream goes from and to, with a tag or without, its
// bytes arrive, and each frame is right: superframes where both ends have agreed
// to them, ordinary frames elsewhere.
func TestOffloadBetweenPorts(t *testing.T) {
	data := payload(300_000)
	if testing.Short() {
		data = data[:130_000]
	}
	for _, from := range endKinds {
		for _, to := range endKinds {
			for _, v6 := range []bool{false, true} {
				for _, trunk := range []bool{false, true} {
					if testing.Short() && trunk != v6 {
						continue
					}
					t.Run(fmt.Sprintf("%s to %s/v6=%v/trunk=%v", from.name, to.name, v6, trunk), func(t *testing.T) {
						s := &tcpStream{t: t, v6: v6, tagged: trunk, data: data}
						s.run(from.make, to.make)
					})
				}
			}
		}
	}
}

// streamMSS is how many bytes an ordinary frame of a tcpStream carries.
const streamMSS = 1440

// A tcpStream is a stream of TCP segments from station A behind src to station B
// behind dst.
type tcpStream struct {
	t        *testing.T
	src, dst end
	v6       bool
	tagged   bool // when it arrives
	data     []byte

	// What was sent.
	sent, segments, gso uint64 // frames, the ordinary frames they are, and GSO frames of them
	// What was received.
	frames, partial uint64 // frames, and those of them with partial checksums
}

// send sends the stream in segments of random lengths.
func (s *tcpStream) send() {
	r := rand.New(rand.NewPCG(1, 2))
	for done := 0; done < len(s.data); s.sent++ {
		size := min(len(s.data)-done, 1+r.IntN([]int{60000, 5000, streamMSS}[r.IntN(3)]))
		if !s.src.agreed {
			size = min(size, streamMSS)
		}
		h := segment(macB, macA, s.v6, uint32(done), s.data[done:done+size], streamMSS)
		if h.header.GSOType != 0 {
			s.gso++
		}
		s.segments += uint64((size + streamMSS - 1) / streamMSS)
		if !s.src.agreed {
			h = packet{data: ordinary(h)[0]}
		}
		if err := s.src.send(h); err != nil {
			s.t.Error(err)
			return
		}
		done += size
	}
}

// receive receives the stream and checks each of its frames.
func (s *tcpStream) receive() {
	s.t.Helper()
	got := 0
	for got < len(s.data) && !s.t.Failed() {
		h := s.dst.next()
		seq, p, err := payloadOf(h)
		if err != nil || int(seq) != got || got+len(p) > len(s.data) {
			s.t.Fatalf("after %d bytes in %d frames: %d bytes from %d on, %v", got, s.frames, len(p), seq, err)
		}
		if h.header.Flags&frame.VNetNeedsChecksum != 0 {
			s.partial++
		}
		if h.header.GSOType == 0 && len(p) > streamMSS || s.tagged != (h.data[12] == 0x81) {
			s.t.Fatalf("%d bytes % x", len(p), h.data[:18])
		}
		if !bytes.Equal(p, s.data[got:got+len(p)]) {
			s.t.Fatalf("other bytes arrived from %d on", got)
		}
		got += len(p)
		s.frames++
	}
}

// checkForm checks that the frames arrived as they were sent if both ends take
// partial frames, and as ordinary ones otherwise.
func (s *tcpStream) checkForm(in vswitch.InStats) {
	s.t.Helper()
	want, split := s.segments, s.gso
	whole := s.src.agreed && s.dst.agreed
	if whole {
		want = s.sent
	}
	if whole || !s.src.agreed {
		split = 0
	}
	if s.frames != want || in.GSOFrames != split || in.Frames-in.Segments+in.GSOFrames != s.sent {
		s.t.Errorf("%d frames, want %d, of %d sent and %d split; %+v", s.frames, want, s.sent, split, in)
	}
	if (s.partial > 0) != whole {
		s.t.Errorf("%d frames have partial checksums", s.partial)
	}
}

// run sends the stream through a new switch, from one kind of port to another.
func (s *tcpStream) run(from, to func(*testing.T, *vswitch.Switch, int) end) {
	t := s.t
	pc := vswitch.PortConfig{Wait: vswitch.Forever}
	tag := uint64(0) // bytes that a frame has more when it arrives
	if s.tagged {
		pc.VLAN, pc.Tagged = vswitch.NoVLAN, []uint16{0}
		tag = 4
	}
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, Ports: map[int]vswitch.PortConfig{
		1: {Wait: vswitch.Forever}, 2: withStatic(macB, pc),
	}})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	s.src, s.dst = from(t, sw, 1), to(t, sw, 2)
	before := counts(t, sw, 2).Out
	var sender sync.WaitGroup
	sender.Go(s.send)
	s.receive()
	sender.Wait()
	var in vswitch.InStats
	until(t, "all counted", func() bool { in = counts(t, sw, 1).In; return in.Frames == s.frames })
	s.checkForm(in)
	if out := counts(t, sw, 2).Out; out.Frames-before.Frames != s.frames || out.Bytes-before.Bytes != in.Bytes+tag*s.frames {
		t.Errorf("%+v, %+v", in, out)
	}
}

// Under HeadDrop the endpoint of another process has a queue of its own, in which
// frames have headers if its peer may take unfinished ones.
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
	bad.header.CsumOffset--
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
