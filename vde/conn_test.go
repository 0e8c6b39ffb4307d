// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// tagged returns the first n bytes of a frame with a VLAN tag.
func tagged(n int) []byte {
	f := testFrame(60, 0)
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
		{testFrame(60, 1), rxFrames},
		{nil, rxEmpty},
		{[]byte{1}, rxRunts},
		{testFrame(60, 0)[:13], rxRunts},
		{testFrame(60, 2)[:14], rxFrames},
		{tagged(14), rxRunts},
		{tagged(17), rxRunts},
		{tagged(18), rxFrames},
		{testFrame(1000, 3), rxFrames},
		{testFrame(1001, 4), rxTruncated},
		{nil, rxEmpty},
		{testFrame(9234, 5), rxTruncated},
		{testFrame(100_000, 6), rxTruncated},
		{testFrame(61, 7), rxFrames},
	}
}

// Each datagram ends in one counter, whichever way it is read, and only frames
// are delivered.
func TestReceiveAccounting(t *testing.T) {
	readers := map[string]func(t *testing.T, c *vde.Conn, n int) [][]byte{
		"Read": func(t *testing.T, c *vde.Conn, n int) (got [][]byte) {
			for range n {
				buf := make([]byte, 5000)
				k, err := c.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, buf[:k])
			}
			return got
		},
		"ReadBatch": func(t *testing.T, c *vde.Conn, n int) (got [][]byte) {
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
		},
		"Frames": func(t *testing.T, c *vde.Conn, n int) (got [][]byte) {
			for range n {
				f := awaitDone(t, "a frame", c.Frames())
				got = append(got, slices.Clone(f.Bytes()))
				f.Release()
			}
			return got
		},
	}
	for name, read := range readers {
		t.Run(name, func(t *testing.T) {
			c, client := join(t, vde.WithMaxFrameSize(1000))
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
					send(t, client, 0)
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
		})
	}
}

// A buffer that is too short for a frame.
func TestReadShortBuffer(t *testing.T) {
	c, client := join(t)
	send(t, client, 1, 2, 3)
	for n, read := range []func(p []byte) (int, error){
		c.Read,
		func(p []byte) (int, error) { n, _, err := c.ReadFrom(p); return n, err },
	} {
		p := make([]byte, 20)
		if k, err := read(p); k != len(p) || !errors.Is(err, io.ErrShortBuffer) || seqOf(p) != n+1 {
			t.Errorf("read %d bytes of frame %d, %v", k, seqOf(p), err)
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
	if err := errors.Join(client.Send([]byte("runt")), client.Send(testFrame(20_000, 4))); err != nil {
		t.Fatal(err)
	}
	send(t, client, 5)
	expect(t, c, 5)
	if s := c.Stats(); s.RxTruncated != 4 || s.RxRunts != 1 || s.RxFrames != 1 {
		t.Errorf("counted %+v", s)
	}
}

// ReadBatch loses no element of its argument, whatever it discards.
func TestReadBatchKeepsElements(t *testing.T) {
	c, client := join(t)
	if err := client.Send([]byte("runt")); err != nil {
		t.Fatal(err)
	}
	send(t, client, 1)
	if err := errors.Join(client.Send(testFrame(200, 0)), client.Send(nil)); err != nil {
		t.Fatal(err)
	}
	send(t, client, 2, 3)
	bufs, first := make([][]byte, 8), make(map[*byte]bool)
	for i := range bufs {
		bufs[i] = make([]byte, 100)
		first[&bufs[i][0]] = true
	}
	n, err := c.ReadBatch(bufs)
	if n != 3 || err != nil || seqOf(bufs[0]) != 1 || seqOf(bufs[1]) != 2 || seqOf(bufs[2]) != 3 {
		t.Fatalf("read %d, %v: frames %d %d %d", n, err, seqOf(bufs[0]), seqOf(bufs[1]), seqOf(bufs[2]))
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

func TestWriteFrameSize(t *testing.T) {
	c, client := join(t, vde.WithMaxFrameSize(100))
	good := testFrame(60, 1)
	writers := map[string]func(p []byte) (int, error){
		"Write":         c.Write,
		"WriteTo":       func(p []byte) (int, error) { return c.WriteTo(p, vde.Addr{MAC: frame.MAC{2, 0, 0, 0, 0, 2}}) },
		"WriteBatch":    func(p []byte) (int, error) { return c.WriteBatch([][]byte{p, good}) },
		"TryWriteBatch": func(p []byte) (int, error) { return c.TryWriteBatch([][]byte{p, good}) },
		"WriteBuffers": func(p []byte) (int, error) {
			return c.WriteBuffers([]net.Buffers{{p[:len(p)/2], p[len(p)/2:]}, {good}})
		},
	}
	invalid := uint64(0)
	for name, write := range writers {
		for _, size := range []int{0, 1, 13, 101, 9234} {
			p := make([]byte, size)
			copy(p, good)
			n, err := write(p)
			invalid++
			if s := c.Stats(); n != 0 || !errors.Is(err, vde.ErrFrameSize) || s.TxInvalid != invalid || s.TxFrames != 0 {
				t.Errorf("%s of %d bytes: %d, %v, counted %+v", name, size, n, err, s)
			}
		}
	}
	if n, err := c.WriteTo(good, vde.Addr{}); n != 0 || err == nil || c.Stats().TxInvalid != invalid+1 {
		t.Errorf("WriteTo with another destination: %d, %v, counted %+v", n, err, c.Stats())
	}
	for _, size := range []int{14, 100} {
		if _, err := c.Write(testFrame(100, 2)[:size]); err != nil {
			t.Fatal(err)
		}
		if f, err := client.Recv(watchdog(t)); err != nil || len(f) != size {
			t.Errorf("the switch received %d bytes, %v; want %d", len(f), err, size)
		}
	}
}

// A frame that the configuration allows and the socket does not take.
func TestWriteTooLongForTheSocket(t *testing.T) {
	c, client := join(t, vde.WithMaxFrameSize(1<<20), vde.WithWriteBuffer(10_000))
	n, err := c.Write(testFrame(500_000, 1))
	if n != 0 || !errors.Is(err, vde.ErrFrameSize) || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("%d, %v", n, err)
	}
	// So is one in more pieces than the kernel gathers.
	if n, err := c.WriteBuffers([]net.Buffers{{testFrame(60, 1)}, append(net.Buffers{testFrame(60, 2)}, make([][]byte, 1024)...)}); n != 1 || !errors.Is(err, vde.ErrFrameSize) {
		t.Errorf("%d, %v", n, err)
	}
	if s := c.Stats(); s.TxInvalid != 2 || s.TxFrames != 1 || s.TxBytes != 60 || s.TxCalls != 1 {
		t.Errorf("counted %+v", s)
	}
	if _, err := client.Recv(watchdog(t)); err != nil {
		t.Error(err)
	}
	works(t, c, client)
}

// The switch's data socket is gone, and its control socket is not.
func TestWriteRefused(t *testing.T) {
	testutil.NoLeaks(t)
	c, client := join(t)
	client.CloseData()
	for i, want := range []error{syscall.ECONNREFUSED, syscall.ENOTCONN, syscall.ENOTCONN} {
		n, err := c.WriteBatch([][]byte{testFrame(60, 1), testFrame(60, 2)})
		if n != 0 || !errors.Is(err, want) || errors.Is(err, vde.ErrHangup) {
			t.Errorf("write %d: %d, %v; want %v", i, n, err, want)
		}
		if s := c.Stats(); s.TxRefused != uint64(i+1) || s.TxFrames != 0 {
			t.Errorf("counted %+v", s)
		}
	}
	if err := c.Err(); err != nil {
		t.Errorf("the connection has ended: %v", err)
	}
	client.Hangup()
	awaitDone(t, "Context", c.Context().Done())
	if _, err := c.Write(testFrame(60, 1)); !errors.Is(err, vde.ErrHangup) {
		t.Errorf("write after the hangup: %v", err)
	}
}

// Both are gone; whoever notices first, the writer hears the right reason.
func TestWriteAfterTheSwitchDied(t *testing.T) {
	for range 20 {
		c, client := join(t)
		client.Close()
		if _, err := c.Write(testFrame(60, 1)); !errors.Is(err, vde.ErrHangup) {
			t.Errorf("write: %v", err)
		}
		if _, err := c.TryWriteBatch([][]byte{testFrame(60, 1)}); !errors.Is(err, vde.ErrHangup) {
			t.Errorf("try: %v", err)
		}
		if _, err := c.Read(make([]byte, 100)); !errors.Is(err, vde.ErrHangup) {
			t.Errorf("read: %v", err)
		}
		awaitDone(t, "Context", c.Context().Done())
	}
}

// fill makes the switch's queue full.
func fill(t testing.TB, c *vde.Conn) (frames int) {
	t.Helper()
	for {
		n, err := c.TryWriteBatch([][]byte{testFrame(60, 0)})
		frames += n
		if errors.Is(err, vde.ErrFull) {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What ends a write that waits for room.
func TestWaitingWriter(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(c *vde.Conn, client *testutil.FakeClient)
		want error
	}{
		{"data socket gone", func(c *vde.Conn, client *testutil.FakeClient) { client.CloseData() }, syscall.ECONNREFUSED},
		{"hangup", func(c *vde.Conn, client *testutil.FakeClient) { client.Hangup() }, vde.ErrHangup},
		{"half-close", func(c *vde.Conn, client *testutil.FakeClient) { client.HalfClose() }, vde.ErrHangup},
		{"Close", func(c *vde.Conn, client *testutil.FakeClient) { c.Close() }, net.ErrClosed},
		{"deadline", func(c *vde.Conn, client *testutil.FakeClient) { c.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		// The kernel says that there is room when three quarters of it are free.
		{"room", func(c *vde.Conn, client *testutil.FakeClient) {
			for range c.Stats().TxFrames {
				client.Recv(context.Background())
			}
		}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			c, client := join(t)
			sent := fill(t, c)
			done := make(chan error, 1)
			go func() {
				_, err := c.Write(testFrame(60, 1))
				done <- err
			}()
			tt.end(c, client)
			err := awaitDone(t, "Write", done)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if err == nil {
				sent++
			}
			if s := c.Stats(); s.TxFrames != uint64(sent) || s.TxFull != 1 {
				t.Errorf("sent %d, counted %+v", sent, s)
			}
		})
	}
}

// A failingLink fails to send, after having sent a little.
type failingLink struct {
	link.Link // the methods that nobody calls
	err       error
	gone      bool
}

func (l *failingLink) Send(frames [][]byte, wait bool) (n, calls int, err error) {
	if len(frames) > 1 {
		return 1, 1, l.err
	}
	return 0, 0, l.err
}

func (l *failingLink) SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error) {
	return l.Send(make([][]byte, len(frames)), wait)
}

func (l *failingLink) Gone() bool                     { return l.gone }
func (l *failingLink) Hangup()                        {}
func (l *failingLink) Close() (unread int, err error) { return 3, nil }

// attach makes a Conn of a link.
func attach(t testing.TB, l link.Link, opts ...vde.Option) (c *vde.Conn, end func(error)) {
	t.Helper()
	a, err := link.Attach("a link", opts, func(link.Settings) (link.Link, error) { return l, nil })
	if err != nil {
		t.Fatal(err)
	}
	return a.Conn.(*vde.Conn), a.End
}

// What a kernel may say, and the counter it ends in.
func TestWriteErrors(t *testing.T) {
	for _, tt := range []struct {
		err   error
		gone  bool
		want  []error
		count func(s *vde.Stats) *uint64
	}{
		{err: syscall.ENOBUFS, want: []error{syscall.ENOBUFS}, count: func(s *vde.Stats) *uint64 { return &s.TxNoBuffer }},
		{err: syscall.ENOMEM, want: []error{syscall.ENOMEM}, count: func(s *vde.Stats) *uint64 { return &s.TxNoBuffer }},
		{err: syscall.EMSGSIZE, want: []error{syscall.EMSGSIZE, vde.ErrFrameSize}, count: func(s *vde.Stats) *uint64 { return &s.TxInvalid }},
		{err: syscall.ECONNREFUSED, want: []error{syscall.ECONNREFUSED}, count: func(s *vde.Stats) *uint64 { return &s.TxRefused }},
		{err: syscall.ENOTCONN, want: []error{syscall.ENOTCONN}, count: func(s *vde.Stats) *uint64 { return &s.TxRefused }},
		{err: syscall.EPIPE, want: []error{syscall.EPIPE}, count: func(s *vde.Stats) *uint64 { return &s.TxRefused }},
		{err: syscall.ECONNRESET, gone: true, want: []error{syscall.ECONNRESET, vde.ErrHangup}, count: func(s *vde.Stats) *uint64 { return &s.TxRefused }},
		{err: syscall.EACCES, want: []error{syscall.EACCES}},
		{err: link.ErrFull, want: []error{vde.ErrFull}},
		{err: errors.New("whatever")},
	} {
		t.Run(tt.err.Error(), func(t *testing.T) {
			err := tt.err
			if errno, ok := err.(syscall.Errno); ok {
				err = os.NewSyscallError("sendmmsg", errno)
			}
			c, _ := attach(t, &failingLink{err: err, gone: tt.gone})
			f := testFrame(60, 1)
			var want vde.Stats
			for name, write := range map[string]func() (int, error){
				"Write":         func() (int, error) { n, err := c.Write(f); return n + 1, err },
				"WriteBatch":    func() (int, error) { return c.WriteBatch([][]byte{f, f, f}) },
				"TryWriteBatch": func() (int, error) { return c.TryWriteBatch([][]byte{f, f, f}) },
				"WriteBuffers":  func() (int, error) { return c.WriteBuffers([]net.Buffers{{f}, {f}, {f}}) },
			} {
				n, err := write()
				if op, ok := err.(*net.OpError); n != 1 || !ok || op.Op != "write" || op.Source.String() != "a link" {
					t.Fatalf("%s returned %d, %#v", name, n, err)
				}
				for _, e := range append(tt.want, tt.err) {
					if tt.err != link.ErrFull && !errors.Is(err, e) {
						t.Errorf("%s: error %q does not match %q", name, err, e)
					}
				}
				if !tt.gone && errors.Is(err, vde.ErrHangup) {
					t.Errorf("%s: error %q matches ErrHangup", name, err)
				}
				if tt.count != nil {
					*tt.count(&want)++
				}
				if name != "Write" {
					want.TxFrames, want.TxBytes, want.TxCalls = want.TxFrames+1, want.TxBytes+60, want.TxCalls+1
				}
				if tt.err == link.ErrFull {
					if want.TxFull += 2; name == "Write" {
						want.TxFull--
					}
					if !errors.Is(err, vde.ErrFull) {
						t.Errorf("%s: error %q", name, err)
					}
				}
			}
			if s := c.Stats(); s != want {
				t.Errorf("counted %+v, want %+v", s, want)
			}
			if err := c.Close(); err != nil || c.Stats().RxDiscarded != 3 {
				t.Errorf("Close: %v, counted %+v", err, c.Stats())
			}
		})
	}
}

// The cause of an end need not be a hangup, and the first one stays.
func TestEndCause(t *testing.T) {
	reason := errors.New("cable eaten by rats")
	c, end := attach(t, &failingLink{})
	end(reason)
	end(vde.ErrHangup)
	awaitDone(t, "Context", c.Context().Done())
	if c.Err() != reason || context.Cause(c.Context()) != reason {
		t.Errorf("the cause is %v", c.Err())
	}
	if _, err := c.Write(testFrame(60, 1)); !errors.Is(err, reason) {
		t.Errorf("write: %v", err)
	}
	if err := c.Close(); err != nil || c.Err() != reason {
		t.Errorf("after Close (%v) the cause is %v", err, c.Err())
	}
	if _, err := c.Write(testFrame(60, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
}

// When a hangup ends the context, for each way of being at rest.
func TestHangup(t *testing.T) {
	ended := func(t *testing.T, c *vde.Conn) {
		t.Helper()
		awaitDone(t, "Context", c.Context().Done())
		if c.Err() != vde.ErrHangup || context.Cause(c.Context()) != vde.ErrHangup {
			t.Errorf("the cause is %v", c.Err())
		}
	}
	for _, how := range []struct {
		name string
		do   func(client *testutil.FakeClient)
	}{
		{"hangup", func(client *testutil.FakeClient) { client.Hangup() }},
		{"half-close", func(client *testutil.FakeClient) { client.HalfClose() }},
	} {
		t.Run(how.name, func(t *testing.T) {
			t.Run("idle", func(t *testing.T) {
				c, client := join(t)
				how.do(client)
				ended(t, c)
			})
			t.Run("unread frames", func(t *testing.T) {
				c, client := join(t)
				send(t, client, 1, 2, 3)
				how.do(client)
				ended(t, c)
				expect(t, c, 1, 2, 3)
				if _, err := c.Read(make([]byte, 100)); !errors.Is(err, vde.ErrHangup) {
					t.Errorf("then: %v", err)
				}
			})
			t.Run("reader waiting", func(t *testing.T) {
				c, client := join(t)
				read := make(chan error, 1)
				go func() {
					_, err := c.Read(make([]byte, 100))
					read <- err
				}()
				how.do(client)
				if err := awaitDone(t, "Read", read); !errors.Is(err, vde.ErrHangup) {
					t.Errorf("read: %v", err)
				}
				ended(t, c)
			})
			t.Run("Frames idle", func(t *testing.T) {
				c, client := join(t)
				ch := c.Frames()
				how.do(client)
				if f, ok := <-ch; ok {
					t.Errorf("a frame of %d bytes out of nowhere", len(f.Bytes()))
				}
				ended(t, c)
			})
			t.Run("Frames with a consumer", func(t *testing.T) {
				c, client := join(t)
				got := make(chan int, 1)
				go func() {
					n := 0
					for f := range c.Frames() {
						n++
						f.Release()
					}
					got <- n
				}()
				send(t, client, make([]int, 200)...)
				how.do(client)
				if n := awaitDone(t, "the consumer", got); n != 200 {
					t.Errorf("%d of 200 frames", n)
				}
				ended(t, c)
			})
			t.Run("Frames and nobody takes them", func(t *testing.T) {
				p := pool.New(9234, 0)
				testutil.NoLive(t, "buffers", func() int64 { return p.Stats().Live })
				c, client := join(t, vde.WithFrames(p, 4))
				sent, err := client.Flood(testFrame(60, 1))
				if err != nil || sent < 50 {
					t.Fatal(sent, err)
				}
				ch := c.Frames()
				how.do(client)
				ended(t, c)
				// What is left can still be had.
				n := 0
				for f := range ch {
					n++
					f.Release()
				}
				if n != sent || c.Stats().RxFrames != uint64(sent) {
					t.Errorf("%d of %d frames, counted %+v", n, sent, c.Stats())
				}
			})
			t.Run("Frames afterwards", func(t *testing.T) {
				c, client := join(t)
				send(t, client, 1, 2, 3)
				how.do(client)
				ended(t, c)
				n := 0
				for f := range c.Frames() {
					if n++; seqOf(f.Bytes()) != n {
						t.Errorf("frame %d came as number %d", seqOf(f.Bytes()), n)
					}
					f.Release()
				}
				if n != 3 {
					t.Errorf("%d of 3 frames", n)
				}
			})
			t.Run("writer waiting", func(t *testing.T) {
				c, client := join(t)
				fill(t, c)
				written := make(chan error, 1)
				go func() {
					_, err := c.WriteBatch([][]byte{testFrame(60, 1)})
					written <- err
				}()
				how.do(client)
				if err := awaitDone(t, "WriteBatch", written); !errors.Is(err, vde.ErrHangup) {
					t.Errorf("write: %v", err)
				}
				ended(t, c)
			})
			t.Run("deadlines set later", func(t *testing.T) {
				c, client := join(t)
				send(t, client, 1)
				how.do(client)
				ended(t, c)
				for _, at := range []time.Time{time.Unix(1, 0), {}, time.Now().Add(time.Hour)} {
					if err := c.SetDeadline(at); err != nil {
						t.Error(err)
					}
				}
				expect(t, c, 1)
				if _, err := c.Read(make([]byte, 100)); !errors.Is(err, vde.ErrHangup) {
					t.Errorf("read: %v", err)
				}
			})
		})
	}
}

// While frames are passed on, the context has not ended yet: who sees its end has
// missed none that a waiting consumer got.
func TestHangupAfterLastFrame(t *testing.T) {
	c, client := join(t, vde.WithFrames(nil, 1000))
	ch := c.Frames()
	var sent int
	for range 3 {
		n, err := client.Flood(testFrame(60, 1))
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	if sent > 900 {
		t.Fatalf("%d frames: the channel is to take all of them", sent)
	}
	client.Hangup()
	awaitDone(t, "Context", c.Context().Done())
	if len(ch) != sent {
		t.Errorf("when the context ended, %d of %d frames had been passed on", len(ch), sent)
	}
	for f := range ch {
		f.Release()
	}
}

// What a switch says on the control socket after its reply means nothing.
func TestControlBytesAreIgnored(t *testing.T) {
	c, client := join(t)
	for _, b := range [][]byte{[]byte("x"), make([]byte, 110), make([]byte, 20_000)} {
		if err := client.WritePieces(b); err != nil {
			t.Fatal(err)
		}
		works(t, c, client)
	}
	if c.Err() != nil {
		t.Error(c.Err())
	}
	client.Hangup()
	awaitDone(t, "Context", c.Context().Done())
}

func TestCloseCountsUnread(t *testing.T) {
	t.Run("kernel", func(t *testing.T) {
		c, client := join(t)
		sent, err := client.Flood(testFrame(60, 1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if s := c.Stats(); s.RxFrames != 1 || s.RxDiscarded != uint64(sent-1) {
			t.Errorf("sent %d, counted %+v", sent, s)
		}
		c.Close()
		if s := c.Stats(); s.RxDiscarded != uint64(sent-1) {
			t.Errorf("after the second Close: %+v", s)
		}
	})
	// Nobody takes the frames; some are on the channel, some in hand, the rest in
	// the kernel.
	t.Run("Frames", func(t *testing.T) {
		for depth := 1; depth < 200; depth *= 3 {
			p := pool.New(9234, 0)
			testutil.NoLive(t, "buffers", func() int64 { return p.Stats().Live })
			c, client := join(t, vde.WithFrames(p, depth))
			ch := c.Frames()
			sent, err := client.Flood(testFrame(60, 1))
			if err != nil {
				t.Fatal(err)
			}
			f := awaitDone(t, "a frame", ch)
			f.Release()
			c.Close()
			taken := 1
			for f := range ch {
				taken++
				f.Release()
			}
			if s := c.Stats(); s.RxFrames != uint64(taken) || s.RxBytes != uint64(60*taken) || s.RxDiscarded != uint64(sent-taken) {
				t.Errorf("depth %d: %d sent, %d taken, counted %+v", depth, sent, taken, s)
			}
		}
	})
}

func TestFramesPool(t *testing.T) {
	p := pool.New(200, 32)
	testutil.NoLive(t, "buffers", func() int64 { return p.Stats().Live })
	c, client := join(t, vde.WithFrames(p, 3))
	ch := c.Frames()
	if cap(ch) != 3 {
		t.Errorf("the channel holds %d", cap(ch))
	}
	for i := range 50 {
		// Longer than the pool's buffers, nothing, and no frame.
		if err := errors.Join(client.Send(testFrame(201, 0)), client.Send(nil), client.Send([]byte("runt"))); err != nil {
			t.Fatal(err)
		}
		if err := client.Send(testFrame(200, i)); err != nil {
			t.Fatal(err)
		}
		f := awaitDone(t, "a frame", ch)
		if v := f.View(); seqOf(v) != i || len(v) != 200 || v.Src() != (frame.MAC{2, 0, 0, 0, 0, 1}) || f.Headroom() != 32 {
			t.Errorf("frame %d of %d bytes with headroom %d", seqOf(v), len(v), f.Headroom())
		}
		// The buffer is ours: it can be passed on and outlive the connection.
		f.Retain()
		f.Release()
		defer f.Release()
	}
	c.Close()
	want := vde.Stats{RxFrames: 50, RxBytes: 10_000, RxTruncated: 50, RxEmpty: 50, RxRunts: 50}
	s := c.Stats()
	want.RxCalls = s.RxCalls
	if s != want {
		t.Errorf("counted %+v, want %+v", s, want)
	}
}

// A connection that never takes frames by Frames leaves the pool alone.
func TestFramesDefaults(t *testing.T) {
	c, client := join(t, vde.WithMaxFrameSize(2000))
	ch := c.Frames()
	if cap(ch) != 256 {
		t.Errorf("the channel holds %d, documented are 256", cap(ch))
	}
	if err := client.Send(testFrame(2000, 1)); err != nil {
		t.Fatal(err)
	}
	f := awaitDone(t, "a frame", ch)
	if len(f.View()) != 2000 {
		t.Errorf("%d bytes", len(f.View()))
	}
	f.Release()
}

func TestFramesAndDeadlines(t *testing.T) {
	c, client := join(t)
	past := time.Unix(1, 0)
	if err := c.SetReadDeadline(past); err != nil { // before
		t.Fatal(err)
	}
	ch := c.Frames()
	for i, set := range []func(time.Time) error{func(time.Time) error { return nil }, c.SetReadDeadline, c.SetDeadline} {
		if err := set(past); err != nil {
			t.Fatal(err)
		}
		send(t, client, i)
		f := awaitDone(t, "a frame", ch)
		if seqOf(f.Bytes()) != i {
			t.Errorf("frame %d, want %d", seqOf(f.Bytes()), i)
		}
		f.Release()
	}
	// The other direction has its deadline all the same.
	fill(t, c)
	if _, err := c.Write(testFrame(60, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	c.Close()
	if err := c.SetReadDeadline(past); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// A read that waits when Frames is called is told so; so are those behind it.
func TestFramesWhileReading(t *testing.T) {
	testutil.NoLeaks(t)
	for range 50 {
		c, client := join(t)
		errs := make(chan error, 4)
		for i := range cap(errs) {
			go func() {
				var err error
				if i%2 == 0 {
					_, err = c.Read(make([]byte, 100))
				} else {
					_, err = c.ReadBatch([][]byte{make([]byte, 100)})
				}
				errs <- err
			}()
		}
		ch := c.Frames()
		for range cap(errs) {
			if err := awaitDone(t, "a read", errs); !errors.Is(err, vde.ErrBusy) {
				t.Errorf("read: %v", err)
			}
		}
		send(t, client, 1)
		f := awaitDone(t, "a frame", ch)
		f.Release()
		if _, err := c.Read(make([]byte, 100)); !errors.Is(err, vde.ErrBusy) {
			t.Errorf("a later read: %v", err)
		}
		c.Close()
	}
}

func TestSyscallConn(t *testing.T) {
	c, client := join(t)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// It is a datagram socket, and what is sent through it is in no counter.
	var kind int
	if e := raw.Control(func(fd uintptr) { kind, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE) }); e != nil || err != nil || kind != unix.SOCK_DGRAM {
		t.Errorf("socket type %d, %v, %v", kind, e, err)
	}
	f := testFrame(60, 7)
	if e := raw.Write(func(fd uintptr) bool { _, err = unix.Write(int(fd), f); return true }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	if got, err := client.Recv(watchdog(t)); err != nil || !slices.Equal(got, f) {
		t.Errorf("the switch got %x, %v", got, err)
	}
	send(t, client, 8)
	buf := make([]byte, 100)
	var n int
	if e := raw.Read(func(fd uintptr) bool { n, err = unix.Read(int(fd), buf); return err != unix.EAGAIN }); e != nil || err != nil || seqOf(buf[:n]) != 8 {
		t.Errorf("read frame %d, %v, %v", seqOf(buf[:n]), e, err)
	}
	if s := c.Stats(); s != (vde.Stats{}) {
		t.Errorf("counted %+v", s)
	}
	c.Close()
	never := func(uintptr) bool { t.Error("called after Close"); return true }
	for _, err := range []error{raw.Read(never), raw.Write(never), raw.Control(func(fd uintptr) { never(fd) })} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
}

func TestLocalAddr(t *testing.T) {
	c, _ := join(t)
	addr := c.LocalAddr()
	if addr.Network() != "vde" || addr != c.LocalAddr() {
		t.Errorf("%#v", addr)
	}
	a := vde.Addr{MAC: frame.MAC{2, 0, 0, 0, 0, 1}}
	if a.Network() != "vde" || a.String() != "02:00:00:00:00:01" || a != (vde.Addr{MAC: a.MAC}) {
		t.Errorf("%#v is %s %s", a, a.Network(), a)
	}
}

// Many goroutines on one connection, each frame counted once.
func TestStatsOfManyGoroutines(t *testing.T) {
	testutil.NoLeaks(t)
	a, b, _ := cable(t)
	const writers, readers, each = 6, 4, 300
	var wg sync.WaitGroup
	var refused sync.Map
	for w := range writers {
		wg.Go(func() {
			f := testFrame(60, w)
			for i := 0; i < each; {
				var n int
				var err error
				switch (w + i) % 4 {
				case 0:
					_, err = a.Write(f)
					n = 1
				case 1:
					n, err = a.WriteBatch([][]byte{f, f, f}[:min(3, each-i)])
				case 2:
					n, err = a.WriteBuffers([]net.Buffers{{f[:20], f[20:]}})
				case 3:
					n, err = a.TryWriteBatch([][]byte{f})
					if errors.Is(err, vde.ErrFull) {
						old, _ := refused.LoadOrStore(w, 0)
						refused.Store(w, old.(int)+1-n)
						_, err = a.Write(f)
						n++
					}
				}
				if err != nil {
					t.Error(err)
					return
				}
				i += n
			}
		})
	}
	got := make(chan int, writers*each)
	var reading sync.WaitGroup
	for r := range readers {
		reading.Go(func() {
			bufs := make([][]byte, 8)
			slab := make([]byte, 8*100)
			for {
				n := 1
				var err error
				if r%2 == 0 {
					_, err = b.Read(slab)
				} else {
					for i := range bufs {
						bufs[i] = slab[i*100:][:100]
					}
					n, err = b.ReadBatch(bufs)
				}
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				got <- n
				b.Stats()
			}
		})
	}
	for total := 0; total < writers*each && !t.Failed(); {
		total += awaitDone(t, "frames", got)
	}
	wg.Wait()
	b.Close()
	reading.Wait()
	full := 0
	refused.Range(func(_, n any) bool { full += n.(int); return true })
	const frames = writers * each
	if s := a.Stats(); s.TxFrames != frames || s.TxBytes != 60*frames || s.TxFull != uint64(full) || s.TxCalls > frames || s.TxInvalid+s.TxNoBuffer+s.TxRefused != 0 {
		t.Errorf("sent %d (and %d times found no room), counted %+v", frames, full, s)
	}
	if s := b.Stats(); s.RxFrames != frames || s.RxBytes != 60*frames || s.RxCalls > frames || s.RxRunts+s.RxTruncated+s.RxEmpty+s.RxEarly+s.RxDiscarded != 0 {
		t.Errorf("received %d, counted %+v", frames, s)
	}
}

// No method allocates per frame.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates itself: see the run without it")
		return
	}
	const batch = 32
	a, b, _ := cable(t)
	frames, pieces := make([][]byte, batch), make([]net.Buffers, batch)
	for i := range frames {
		frames[i] = testFrame(100, i)
		pieces[i] = net.Buffers{frames[i][:14], frames[i][14:50], frames[i][50:]}
	}
	slab := make([]byte, batch*9234)
	bufs := make([][]byte, batch)
	check := func(name string, f func()) {
		t.Helper()
		for range 3 {
			f() // what is made once
		}
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations per %d frames", name, n, batch)
		}
	}
	must := func(want, n int, err error) {
		if n != want || err != nil {
			t.Fatal(n, err)
		}
	}
	read := func() {
		for range batch {
			n, err := b.Read(slab)
			must(100, n, err)
		}
	}
	readBatch := func() {
		for got := 0; got < batch; {
			for i := range bufs {
				bufs[i] = slab[i*9234:][:9234]
			}
			n, err := b.ReadBatch(bufs[got:])
			must(n, n, err)
			got += n
		}
	}
	writeBatch := func() { n, err := a.WriteBatch(frames); must(batch, n, err) }
	check("Write and Read", func() {
		for _, f := range frames {
			n, err := a.Write(f)
			must(100, n, err)
		}
		read()
	})
	check("WriteTo and Read", func() {
		for _, f := range frames {
			n, err := a.WriteTo(f, nil)
			must(100, n, err)
		}
		read()
	})
	check("WriteBatch and ReadBatch", func() { writeBatch(); readBatch() })
	check("TryWriteBatch and ReadBatch", func() {
		n, err := a.TryWriteBatch(frames)
		must(batch, n, err)
		readBatch()
	})
	check("WriteBuffers and ReadBatch", func() {
		n, err := a.WriteBuffers(pieces)
		must(batch, n, err)
		readBatch()
	})
	ch := b.Frames()
	check("WriteBatch and Frames", func() {
		writeBatch()
		for range batch {
			f := <-ch
			f.Release()
		}
	})
}

// The errors of a connection look like package net's.
func TestOpErrors(t *testing.T) {
	c, client := join(t)
	if err := c.SetDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(make([]byte, 100))
	var ne net.Error
	if !errors.As(err, &ne) || !ne.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %#v", err)
	}
	if want := fmt.Sprintf("read vde %s: i/o timeout", c.LocalAddr()); err == nil || err.Error() != want {
		t.Errorf("read: %q, want %q", err, want)
	}
	client.Hangup()
	awaitDone(t, "Context", c.Context().Done())
	_, err = c.Write(testFrame(60, 1))
	if want := fmt.Sprintf("write vde %s: vde: connection closed by peer", c.LocalAddr()); err == nil || err.Error() != want {
		t.Errorf("write: %q, want %q", err, want)
	}
	if errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("a hangup is no timeout: %v", err)
	}
}
