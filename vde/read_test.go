// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/vde"
)

// tagged returns the first n bytes of a frame with a VLAN tag.
func tagged(n int) []byte {
	f := conntest.Frame(60, 0)
	binary.BigEndian.PutUint16(f[12:], uint16(frame.EtherTypeVLAN))
	return f[:n]
}

// A datagram is one thing that a switch may send, and the counter it ends in.
type datagram struct {
	bytes []byte
	count func(s *vde.Stats) *uint64
}

func rxFrames(s *vde.Stats) *uint64    { return &s.RxFrames }
func rxRunts(s *vde.Stats) *uint64     { return &s.RxRunts }
func rxTruncated(s *vde.Stats) *uint64 { return &s.RxTruncated }
func rxEmpty(s *vde.Stats) *uint64     { return &s.RxEmpty }

// mixture is for a connection with a maximum frame size of 1000.
func mixture() []datagram {
	return []datagram{
		{conntest.Frame(60, 1), rxFrames},
		{nil, rxEmpty},
		{[]byte{1}, rxRunts},
		{conntest.Frame(60, 0)[:13], rxRunts},
		{conntest.Frame(60, 2)[:14], rxFrames},
		{tagged(14), rxRunts},
		{tagged(17), rxRunts},
		{tagged(18), rxFrames},
		{conntest.Frame(1000, 3), rxFrames},
		{conntest.Frame(1001, 4), rxTruncated},
		{nil, rxEmpty},
		{conntest.Frame(9234, 5), rxTruncated},
		{conntest.Frame(100_000, 6), rxTruncated},
		{conntest.Frame(61, 7), rxFrames},
	}
}

// Each datagram ends in one counter, whichever way it is read, and only frames
// are delivered.
func TestReceiveAccounting(t *testing.T) {
	for name, read := range map[string]func(t *testing.T, c *vde.Conn, n int) [][]byte{
		"Read":      receiveByRead,
		"ReadBatch": receiveByReadBatch,
		"Frames":    receiveByFrames,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testReceiveAccounting(t, name, read)
		})
	}
}

// receiveByRead receives n frames with Read.
func receiveByRead(t *testing.T, c *vde.Conn, n int) (got [][]byte) {
	for range n {
		buf := make([]byte, 5000)
		k, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:k])
	}
	return got
}

// receiveByReadBatch receives n frames with ReadBatch.
func receiveByReadBatch(t *testing.T, c *vde.Conn, n int) (got [][]byte) {
	for len(got) < n {
		bufs := make([][]byte, 5)
		for i := range bufs {
			bufs[i] = make([]byte, 1000)
		}
		k, err := c.ReadBatch(bufs)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, bufs[:k]...)
	}
	return got
}

// receiveByFrames receives n frames with Frames.
func receiveByFrames(t *testing.T, c *vde.Conn, n int) (got [][]byte) {
	for range n {
		f := conntest.Await(t, "a frame", c.Frames())
		got = append(got, slices.Clone(f.Bytes()))
		f.Release()
	}
	return got
}

func testReceiveAccounting(t *testing.T, name string, read func(t *testing.T, c *vde.Conn, n int) [][]byte) {
	c, client := conntest.Join(t, vde.WithMaxFrameSize(1000))
	if err := client.SetWriteBuffer(1 << 20); err != nil {
		t.Fatal(err)
	}
	var want vde.Stats
	var frames [][]byte
	for range 20 {
		var total, delivered int
		for _, d := range mixture() {
			if err := client.Send(d.bytes); err != nil {
				t.Fatal(err)
			}
			total++
			counter := d.count(&want)
			*counter++
			if counter == &want.RxFrames {
				want.RxBytes += uint64(len(d.bytes))
				frames = append(frames, d.bytes)
				delivered++
			}
		}
		for i, got := range read(t, c, delivered) {
			if want := frames[len(frames)-delivered+i]; !slices.Equal(got, want) {
				t.Fatalf("frame of %d bytes, want %d", len(got), len(want))
			}
		}
	}
	// Some are left unread.
	const left = 7
	if name == "Frames" {
		client.Hangup() // a frame that is read would be delivered
		for range c.Frames() {
			t.Error("a frame out of nowhere")
		}
	} else {
		for range left {
			conntest.Send(t, client, 0)
		}
		want.RxDiscarded = left
	}
	c.Close()
	got := c.Stats()
	if got.RxCalls == 0 {
		t.Error("no calls counted")
	}
	want.RxCalls = got.RxCalls
	if got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// A buffer that is too short for a frame.
func TestReadShortBuffer(t *testing.T) {
	c, client := conntest.Join(t)
	conntest.Send(t, client, 1, 2, 3)
	for n, read := range []func(p []byte) (int, error){
		c.Read,
		func(p []byte) (int, error) { n, _, err := c.ReadFrom(p); return n, err },
	} {
		p := make([]byte, 20)
		if k, err := read(p); k != len(p) || !errors.Is(err, io.ErrShortBuffer) || conntest.Seq(p) != n+1 {
			t.Errorf("read %d bytes of frame %d, %v", k, conntest.Seq(p), err)
		}
		if s := c.Stats(); s.RxTruncated != uint64(n+1) || s.RxFrames != 0 {
			t.Errorf("counted %+v", s)
		}
	}
	if n, err := c.Read(nil); n != 0 || !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("Read(nil) returned %d, %v", n, err)
	}
	if n, err := c.ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("ReadBatch(nil) returned %d, %v", n, err)
	}
	// Not even a short buffer is an excuse for what is no frame, or too long.
	if err := errors.Join(client.Send([]byte("runt")), client.Send(conntest.Frame(20_000, 4))); err != nil {
		t.Fatal(err)
	}
	conntest.Send(t, client, 5)
	conntest.Expect(t, c, 5)
	if s := c.Stats(); s.RxTruncated != 4 || s.RxRunts != 1 || s.RxFrames != 1 {
		t.Errorf("counted %+v", s)
	}
}

// ReadBatch loses no element of its argument, whatever it discards.
func TestReadBatchKeepsElements(t *testing.T) {
	c, client := conntest.Join(t)
	if err := client.Send([]byte("runt")); err != nil {
		t.Fatal(err)
	}
	conntest.Send(t, client, 1)
	if err := errors.Join(client.Send(conntest.Frame(200, 0)), client.Send(nil)); err != nil {
		t.Fatal(err)
	}
	conntest.Send(t, client, 2, 3)
	bufs, first := make([][]byte, 8), make(map[*byte]bool)
	for i := range bufs {
		bufs[i] = make([]byte, 100)
		first[&bufs[i][0]] = true
	}
	n, err := c.ReadBatch(bufs)
	if n != 3 || err != nil || conntest.Seq(bufs[0]) != 1 || conntest.Seq(bufs[1]) != 2 || conntest.Seq(bufs[2]) != 3 {
		t.Fatalf("read %d, %v: frames %d %d %d", n, err, conntest.Seq(bufs[0]), conntest.Seq(bufs[1]), conntest.Seq(bufs[2]))
	}
	for i, b := range bufs {
		if want := 100; i >= n && len(b) != want || i < n && len(b) != 60 {
			t.Errorf("element %d has length %d", i, len(b))
		}
		delete(first, &b[0])
	}
	if len(first) > 0 {
		t.Errorf("%d elements lost", len(first))
	}
}
