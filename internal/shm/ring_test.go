// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// ringPair returns both sides of a ring in ordinary memory, of 4 KiB so that it
// wraps often, and the region it lies in.
func ringPair() (p *producer, c *consumer, region []byte) {
	const size = 4096
	region = make([]byte, controlLen+size)
	r := newRing(region, upAt, controlLen, size)
	return &producer{ring: r}, &consumer{ring: r}, region
}

// putPieces puts a frame of n bytes in pieces into the ring.
func putPieces(p *producer, n int, h frame.VNetHeader, pieces ...[]byte) {
	t := link.Tx{Pieces: []net.Buffers{pieces}, Headers: []frame.VNetHeader{h}}
	if t.Size(0) != n {
		panic("size")
	}
	p.put(&t, 0, n)
}

func TestSlotLayout(t *testing.T) {
	p, c, _ := ringPair()
	h := frame.VNetHeader{Flags: 1, GSOType: 4, HdrLen: 0x0203, GSOSize: 0x0405, CsumStart: 0x0607, CsumOffset: 0x0809}
	putPieces(p, 5, h, []byte("ab"), nil, []byte("cde"))
	if ok, err := p.publish(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	want := []byte{5, 0, 0, 0, 1, 4, 3, 2, 5, 4, 7, 6, 9, 8, 0, 0, 'a', 'b', 'c', 'd', 'e'}
	if w0, _ := packSlot(1, frame.VNetHeader{}); w0 != 1 { // a big-endian machine
		want = []byte{0, 0, 0, 5, 1, 4, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 'a', 'b', 'c', 'd', 'e'}
	}
	if !bytes.Equal(p.data[:len(want)], want) {
		t.Errorf("slot % x\nwant % x", p.data[:len(want)], want)
	}
	if tail := c.tail.Load(); tail != 32 {
		t.Errorf("tail %d, want 32", tail)
	}
	if ok, err := c.ready(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	n, got, err := c.next()
	if n != 5 || got != h || err != nil {
		t.Errorf("frame of %d bytes, %+v, %v", n, got, err)
	}
	b := make([]byte, 8)
	c.take(b, n)
	if string(b) != "abcde\x00\x00\x00" {
		t.Errorf("took %q", b)
	}
	c.release()
	if head := c.head.Load(); head != 32 {
		t.Errorf("head %d, want 32", head)
	}
}

// A ringModel is a ring with a plain queue beside it that does the same.
type ringModel struct {
	p      *producer
	c      *consumer
	put    []sentFrame // not published
	queue  []sentFrame // published and not taken
	closed bool
}

type sentFrame struct {
	data   []byte
	header frame.VNetHeader
}

func (m *ringModel) publish(t *testing.T) {
	ok, err := m.p.publish()
	if err != nil || ok == (m.closed && len(m.put) > 0) && len(m.put) > 0 {
		t.Fatalf("published %d: %v, %v; closed: %v", len(m.put), ok, err, m.closed)
	}
	if ok && !m.closed {
		m.queue = append(m.queue, m.put...)
	}
	m.put = nil
}

func (m *ringModel) take(t *testing.T) {
	ok, err := m.c.ready()
	if ok != (len(m.queue) > 0) || err != nil {
		t.Fatalf("ready %v with %d frames published: %v", ok, len(m.queue), err)
	}
	if !ok {
		return
	}
	want := m.queue[0]
	n, h, err := m.c.next()
	if err != nil || n != len(want.data) || h != want.header {
		t.Fatalf("a frame of %d bytes, %+v, %v", n, h, err)
	}
	got := make([]byte, n+1)
	m.c.take(got, n)
	if !bytes.Equal(got[:n], want.data) || got[n] != 0 {
		t.Fatalf("got % x, want % x", got, want.data)
	}
	m.queue = m.queue[1:]
}

func (m *ringModel) close(t *testing.T) {
	if n := m.c.close(); n != len(m.queue) {
		t.Fatalf("closed with %d frames unread, not %d", n, len(m.queue))
	}
	m.queue, m.closed = nil, true
}

// add puts frame i, of n bytes, into the ring if there is room.
func (m *ringModel) add(t *testing.T, i, n int) {
	ok, err := m.p.room(n)
	if err != nil {
		t.Fatal(err)
	}
	used := m.p.pos - m.p.ring.head.Load()
	if want := used+slotLen(n) <= m.p.size(); ok != want {
		t.Fatalf("room for %d bytes with %d of %d used: %v", n, used, m.p.size(), ok)
	}
	if !ok || n > m.p.maxLen() {
		return
	}
	s := sentFrame{bytes.Repeat([]byte{byte(i + 1)}, n), frame.VNetHeader{Flags: byte(n / 8), GSOSize: uint16(i)}}
	putPieces(m.p, n, s.header, s.data[:n/3], s.data[n/3:])
	m.put = append(m.put, s)
}

// FuzzRing compares the ring with a plain queue. Each byte of ops is an action:
// put a frame, publish, take one, give back, or close.
func FuzzRing(f *testing.F) {
	f.Add([]byte{0x10, 1, 2, 3})
	f.Add([]byte{0xff, 0xfe, 0xfd, 1, 2, 2, 2, 3, 0xff, 0xff, 1, 2, 3})
	f.Add(bytes.Repeat([]byte{0x77, 1, 2, 3}, 100))
	f.Add([]byte{0x20, 0x30, 1, 2, 4, 0x20, 1, 2, 2, 2})
	f.Fuzz(func(t *testing.T, ops []byte) {
		p, c, _ := ringPair()
		m := ringModel{p: p, c: c}
		for i, op := range ops {
			switch {
			case op == 1:
				m.publish(t)
			case op == 2:
				m.take(t)
			case op == 3:
				c.release()
			case op == 4 && !m.closed:
				m.close(t)
			default:
				m.add(t, i, int(op)*8) // up to 2040, the longest is 2032
			}
		}
	})
}

// consumeScribbled takes what a producer that breaks the rules seems to have
// published.
func consumeScribbled(t *testing.T, c *consumer, most int) error {
	defer c.release()
	for range most {
		ok, err := c.ready()
		if !ok || err != nil {
			return err
		}
		n, _, err := c.next()
		if err != nil {
			return err
		}
		if n > len(c.data)-slotHeader || slotLen(n) > c.end-c.pos || c.end-c.from > c.size() {
			t.Fatalf("accepted a frame of %d bytes with %d published", n, c.end-c.pos)
		}
		c.take(make([]byte, n), n)
	}
	return nil
}

// produceScribbled sends to a consumer that breaks the rules.
func produceScribbled(t *testing.T, p *producer) (broken error) {
	for _, n := range []int{14, 1000} {
		ok, err := p.room(n)
		if err != nil {
			return err
		}
		if ok {
			putPieces(p, n, frame.VNetHeader{}, make([]byte, n))
		}
		if p.pos-p.head > p.size() {
			t.Fatalf("%d bytes in a ring of %d", p.pos-p.head, p.size())
		}
		if _, err := p.publish(); err != nil {
			broken = err
		}
	}
	return broken
}

// FuzzScribble has a peer that writes anything into the control words and over
// the slots. Whatever it does, each call ends, copies nothing from outside the
// ring, and returns [link.ErrViolation] for what cannot be.
func FuzzScribble(f *testing.F) {
	// place, value (8 bytes each), then the next
	seed := func(words ...uint64) (b []byte) {
		for _, w := range words {
			b = binary.LittleEndian.AppendUint64(b, w)
		}
		return b
	}
	f.Add(seed(upAt+tailAt, 32))
	f.Add(seed(upAt+tailAt, 1<<63|64))
	f.Add(seed(upAt+tailAt, 1<<40))
	f.Add(seed(upAt+headAt, 4096))
	f.Add(seed(controlLen, 1<<32-1, upAt+tailAt, 48))
	f.Add(seed(controlLen, 4090, upAt+tailAt, 4096))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, c, region := ringPair()
		broken := error(nil)
		for left := 64; len(data) >= 16 && left > 0 && broken == nil; left, data = left-1, data[16:] {
			at, v := binary.LittleEndian.Uint64(data), binary.LittleEndian.Uint64(data[8:])
			word64(region, int(at%uint64(len(region)-7))&^7).Store(v)
			broken = consumeScribbled(t, c, 2*len(region)/slotHeader)
			if c.pos-c.from > c.size() {
				t.Fatalf("took %d bytes out of a ring of %d", c.pos-c.from, c.size())
			}
			if err := produceScribbled(t, p); err != nil {
				broken = err
			}
		}
		if broken != nil && !errors.Is(broken, link.ErrViolation) {
			t.Errorf("broken: %v", broken)
		}
		if n := c.close(); n > len(region)/slotHeader {
			t.Errorf("%d frames unread", n)
		}
	})
}

func TestParseOffer(t *testing.T) {
	valid := func() []byte {
		b := make([]byte, offerLen)
		newOffer(FeatureRings|FeatureHeaders|1<<40, MinRing).put(b)
		return b
	}
	if o, err := parseOffer(valid()); err != nil || o.features != allFeatures || o.ring != MinRing {
		t.Errorf("parsed %+v, %v", o, err)
	}
	first := valid()
	binary.NativeEndian.PutUint32(first[8:], versionEventfds)
	if o, err := parseOffer(first); err != nil || o.features != FeatureHeaders || o.ring != MinRing {
		t.Errorf("parsed %+v, %v, of the first version", o, err)
	}
	for name, change := range map[string]func([]byte){
		"magic":         func(b []byte) { b[7] = '!' },
		"version":       func(b []byte) { b[8], b[11] = 3, 3 },
		"no ring":       func(b []byte) { copy(b[12:16], make([]byte, 4)) },
		"no power of 2": func(b []byte) { b[13]++ },
		"too large":     func(b []byte) { copy(b[12:16], []byte{1, 1, 1, 1}) },
		"no feature":    func(b []byte) { copy(b[16:24], make([]byte, 8)) },
	} {
		b := valid()
		change(b)
		if o, err := parseOffer(b); !errors.Is(err, errOffer) {
			t.Errorf("%s: parsed %+v, %v", name, o, err)
		}
	}
	if _, err := parseOffer(valid()[:offerLen-1]); !errors.Is(err, errOffer) {
		t.Errorf("a cut offer: %v", err)
	}
}

func TestRingFor(t *testing.T) {
	for _, test := range []struct{ frame, ring int }{
		{14, DefaultRing}, {9234, DefaultRing}, {DefaultRing / 8, DefaultRing}, {DefaultRing/8 + 1, 2 * DefaultRing}, {MaxFrame, MaxRing},
	} {
		if got := ringFor(test.frame); got != test.ring {
			t.Errorf("rings for frames of %d bytes: %d, want %d", test.frame, got, test.ring)
		}
	}
}
