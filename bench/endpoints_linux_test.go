// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/bench/internal/peer"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// long bounds what takes no time unless something is broken.
const long = 30 * time.Second

// conn is a vde.Conn, used in one of its modes.
type conn struct {
	c        *vde.Conn
	mode     string // "one", "batch", "frames" or "buffers"
	bufs     [][]byte
	windows  [][]byte
	pieces   []net.Buffers
	lent     vde.Frame
	received [1][]byte
}

func newConn(c *vde.Conn, mode string, size int) *conn {
	s := &conn{c: c, mode: mode, windows: make([][]byte, batch), pieces: make([]net.Buffers, batch)}
	for range batch {
		s.bufs = append(s.bufs, make([]byte, size))
	}
	return s
}

func (s *conn) Send(frames [][]byte) (int, error) {
	switch s.mode {
	case "one":
		for i, f := range frames {
			if _, err := s.c.Write(f); err != nil {
				return i, err
			}
		}
		return len(frames), nil
	case "buffers":
		for i, f := range frames {
			s.pieces[i] = append(s.pieces[i][:0], f[:frame.HeaderLen], f[frame.HeaderLen:])
		}
		return s.c.WriteBuffers(s.pieces[:len(frames)])
	}
	return s.c.WriteBatch(frames)
}

func (s *conn) Recv() ([][]byte, error) {
	switch s.mode {
	case "one":
		n, err := s.c.Read(s.bufs[0])
		s.received[0] = s.bufs[0][:n]
		return s.received[:], err
	case "frames":
		if s.lent.Buffer != nil {
			s.lent.Release()
		}
		f, ok := <-s.c.Frames()
		s.lent = f
		if !ok {
			return nil, s.c.Err()
		}
		s.received[0] = f.Bytes()
		return s.received[:], nil
	}
	copy(s.windows, s.bufs)
	n, err := s.c.ReadBatch(s.windows)
	return s.windows[:n], err
}

func (s *conn) Calls() uint64 { return s.c.Stats().RxCalls }

func (s *conn) Close() error {
	err := s.c.Close()
	if s.mode == "frames" {
		if s.lent.Buffer != nil {
			s.lent.Release()
			s.lent.Buffer = nil
		}
		for f := range s.c.Frames() {
			f.Release()
		}
	}
	return err
}

// open joins a network with room for frames of up to size bytes.
func open(t testing.TB, network string, size int, opts ...vde.Option) *vde.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	c, err := vde.Open(ctx, network, append(roomFor(size), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// roomFor returns the options that frames of up to size bytes need.
func roomFor(size int) []vde.Option {
	if size <= frame.DefaultMaxSize {
		return nil
	}
	return []vde.Option{vde.WithMaxFrameSize(size)}
}

// direct returns two connections that are joined without a switch.
func direct(t testing.TB, size int, opts ...vde.Option) (a, b *vde.Conn) {
	t.Helper()
	sw := testutil.FakePointToPoint(t)
	other := make(chan *vde.Conn, 1)
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	opts = append(roomFor(size), opts...)
	go func() {
		c, err := vde.Open(ctx, sw.Dir(), opts...)
		if err != nil {
			t.Error(err)
		}
		other <- c
	}()
	a, err := vde.Open(ctx, sw.Dir(), opts...)
	b = <-other
	if err != nil || b == nil {
		t.Fatal("no connection: ", err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// channel is one end of a Go channel of pooled buffers: a copy in, no copy out,
// as a program would do it that has the frame in a buffer of its own.
type channel struct {
	in, out  chan *pool.Buffer
	pool     *pool.Pool
	done     chan struct{}
	lent     *pool.Buffer
	received [1][]byte
}

func channelPair(size int) (a, b *channel) {
	one, two := make(chan *pool.Buffer, 1024), make(chan *pool.Buffer, 1024)
	p, done := pool.New(size, 0), make(chan struct{})
	return &channel{in: one, out: two, pool: p, done: done}, &channel{in: two, out: one, pool: p, done: done}
}

func (c *channel) Send(frames [][]byte) (int, error) {
	for i, f := range frames {
		buf := c.pool.Get()
		buf.SetLen(copy(buf.Bytes(), f))
		select {
		case c.out <- buf:
		case <-c.done:
			buf.Release()
			return i, io.ErrClosedPipe
		}
	}
	return len(frames), nil
}

func (c *channel) Recv() ([][]byte, error) {
	if c.lent != nil {
		c.lent.Release()
	}
	select {
	case c.lent = <-c.in:
		c.received[0] = c.lent.Bytes()
		return c.received[:], nil
	case <-c.done:
		c.lent = nil
		return nil, io.ErrClosedPipe
	}
}

func (c *channel) Calls() uint64 { return 0 }

func (c *channel) Close() error {
	select {
	case <-c.done:
	default:
		close(c.done)
	}
	return nil
}

// packets is a net.Conn or file of which each call moves one frame.
type packets struct {
	io.ReadWriteCloser
	buf      []byte
	received [1][]byte
	calls    uint64
}

func newPackets(c io.ReadWriteCloser, size int) *packets {
	return &packets{ReadWriteCloser: c, buf: make([]byte, size)}
}

func (p *packets) Send(frames [][]byte) (int, error) {
	for i, f := range frames {
		if _, err := p.Write(f); err != nil {
			return i, err
		}
	}
	return len(frames), nil
}

func (p *packets) Recv() ([][]byte, error) {
	for {
		p.calls++
		n, err := p.Read(p.buf)
		if err != nil {
			return nil, err
		}
		if n >= peer.MinSize {
			p.received[0] = p.buf[:n]
			return p.received[:], nil
		}
	}
}

func (p *packets) Calls() uint64 { return p.calls }

// stream is a byte stream with the length in front of each frame, in four bytes
// as QEMU's socket netdev has it. A batch is one write, and reads are buffered.
type stream struct {
	net.Conn
	in       *bufio.Reader
	out      []byte
	buf      []byte
	received [1][]byte
}

func newStream(c net.Conn, size int) *stream {
	return &stream{Conn: c, in: bufio.NewReaderSize(c, 256<<10), buf: make([]byte, size)}
}

func (s *stream) Send(frames [][]byte) (int, error) {
	s.out = s.out[:0]
	for _, f := range frames {
		s.out = binary.BigEndian.AppendUint32(s.out, uint32(len(f)))
		s.out = append(s.out, f...)
	}
	if _, err := s.Write(s.out); err != nil {
		return 0, err
	}
	return len(frames), nil
}

func (s *stream) Recv() ([][]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(s.in, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if int(n) > len(s.buf) {
		return nil, os.ErrInvalid
	}
	if _, err := io.ReadFull(s.in, s.buf[:n]); err != nil {
		return nil, err
	}
	s.received[0] = s.buf[:n]
	return s.received[:], nil
}

func (s *stream) Calls() uint64 { return 0 }

// copying is the lane that only copies: what moving the bytes costs.
type copying struct{ l *peer.Load }

func (c copying) move(n int) (f figure, err error) {
	slots := make([][]byte, batch)
	for i := range slots {
		slots[i] = make([]byte, c.l.Max())
	}
	c.l.Rewind()
	start := peer.Now()
	for f.Frames < uint64(n) {
		for i, src := range c.l.Next(n - int(f.Frames)) {
			f.Bytes += uint64(copy(slots[i], src))
			f.Frames++
		}
	}
	f.End = peer.Now()
	f.elapsed = time.Duration(f.End - start)
	return f, nil
}
