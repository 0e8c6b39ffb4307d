// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"context"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

func TestWriteFrameSize(t *testing.T) {
	c, client := conntest.Join(t, vde.WithMaxFrameSize(100))
	good := conntest.Frame(60, 1)
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
		if _, err := c.Write(conntest.Frame(100, 2)[:size]); err != nil {
			t.Fatal(err)
		}
		if f, err := client.Recv(conntest.Watchdog(t)); err != nil || len(f) != size {
			t.Errorf("the switch received %d bytes, %v; want %d", len(f), err, size)
		}
	}
}

// A frame that the configuration allows and the socket does not take.
func TestWriteTooLongForTheSocket(t *testing.T) {
	c, client := conntest.Join(t, vde.WithMaxFrameSize(1<<20), vde.WithWriteBuffer(10_000))
	n, err := c.Write(conntest.Frame(500_000, 1))
	if n != 0 || !errors.Is(err, vde.ErrFrameSize) || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("%d, %v", n, err)
	}
	// So is one in more pieces than the kernel gathers.
	if n, err := c.WriteBuffers([]net.Buffers{{conntest.Frame(60, 1)}, append(net.Buffers{conntest.Frame(60, 2)}, make([][]byte, 1024)...)}); n != 1 || !errors.Is(err, vde.ErrFrameSize) {
		t.Errorf("%d, %v", n, err)
	}
	if s := c.Stats(); s.TxInvalid != 2 || s.TxFrames != 1 || s.TxBytes != 60 || s.TxCalls != 1 {
		t.Errorf("counted %+v", s)
	}
	if _, err := client.Recv(conntest.Watchdog(t)); err != nil {
		t.Error(err)
	}
	conntest.Works(t, c, client)
}

// The switch's data socket is gone, and its control socket is not.
func TestWriteRefused(t *testing.T) {
	testutil.NoLeaks(t)
	c, client := conntest.Join(t)
	client.CloseData()
	for i, want := range []error{syscall.ECONNREFUSED, syscall.ENOTCONN, syscall.ENOTCONN} {
		n, err := c.WriteBatch([][]byte{conntest.Frame(60, 1), conntest.Frame(60, 2)})
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
	conntest.Await(t, "Context", c.Context().Done())
	if _, err := c.Write(conntest.Frame(60, 1)); !errors.Is(err, vde.ErrHangup) {
		t.Errorf("write after the hangup: %v", err)
	}
}

// Both sockets are gone; whichever is noticed first, the writer gets the right
// reason.
func TestWriteAfterTheSwitchDied(t *testing.T) {
	for range 20 {
		c, client := conntest.Join(t)
		client.Close()
		if _, err := c.Write(conntest.Frame(60, 1)); !errors.Is(err, vde.ErrHangup) {
			t.Errorf("write: %v", err)
		}
		if _, err := c.TryWriteBatch([][]byte{conntest.Frame(60, 1)}); !errors.Is(err, vde.ErrHangup) {
			t.Errorf("try: %v", err)
		}
		if _, err := c.Read(make([]byte, 100)); !errors.Is(err, vde.ErrHangup) {
			t.Errorf("read: %v", err)
		}
		conntest.Await(t, "Context", c.Context().Done())
	}
}

// fill makes the switch's queue full.
func fill(t testing.TB, c *vde.Conn) (frames int) {
	t.Helper()
	for {
		n, err := c.TryWriteBatch([][]byte{conntest.Frame(60, 0)})
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
			c, client := conntest.Join(t)
			sent := fill(t, c)
			done := make(chan error, 1)
			go func() {
				_, err := c.Write(conntest.Frame(60, 1))
				done <- err
			}()
			tt.end(c, client)
			err := conntest.Await(t, "Write", done)
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
	done      chan struct{}
	cause     error // written before done is closed
}

func (l *failingLink) Send(t link.Tx) (n, calls int, err error) {
	if t.Len() > 1 {
		return 1, 1, l.err
	}
	return 0, 0, l.err
}

func (l *failingLink) Done() <-chan struct{}          { return l.done }
func (l *failingLink) Err() error                     { return l.cause }
func (l *failingLink) Caps() link.Caps                { return link.Caps{} }
func (l *failingLink) Close() (unread int, err error) { return 3, nil }

// attach makes a Conn of a link.
func attach(t testing.TB, l link.Link) *vde.Conn {
	t.Helper()
	c, err := vde.NewConn(t.Context(), l, vde.WithName("a link"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// writeErrors are errors of a link, what the error of the Conn matches, and the
// counter it ends in.
var writeErrors = []struct {
	err   error
	want  []error
	count func(s *vde.Stats) *uint64
}{
	{err: syscall.ENOBUFS, want: []error{syscall.ENOBUFS}, count: func(s *vde.Stats) *uint64 { return &s.TxNoBuffer }},
	{err: syscall.ENOMEM, want: []error{syscall.ENOMEM}, count: func(s *vde.Stats) *uint64 { return &s.TxNoBuffer }},
	{err: syscall.EMSGSIZE, want: []error{syscall.EMSGSIZE, vde.ErrFrameSize}, count: func(s *vde.Stats) *uint64 { return &s.TxInvalid }},
	{err: syscall.ECONNREFUSED, want: []error{syscall.ECONNREFUSED}, count: func(s *vde.Stats) *uint64 { return &s.TxRefused }},
	{err: syscall.ENOTCONN, want: []error{syscall.ENOTCONN}, count: func(s *vde.Stats) *uint64 { return &s.TxRefused }},
	{err: syscall.EPIPE, want: []error{syscall.EPIPE}, count: func(s *vde.Stats) *uint64 { return &s.TxRefused }},
	{err: syscall.ECONNRESET, want: []error{syscall.ECONNRESET}, count: func(s *vde.Stats) *uint64 { return &s.TxRefused }},
	{err: syscall.EACCES, want: []error{syscall.EACCES}},
	{err: link.ErrFull, want: []error{vde.ErrFull}},
	{err: errors.New("whatever")},
}

// TestWriteErrors checks the error and the counter for each error of the link.
func TestWriteErrors(t *testing.T) {
	for _, tt := range writeErrors {
		t.Run(tt.err.Error(), func(t *testing.T) {
			err := tt.err
			if errno, ok := err.(syscall.Errno); ok {
				err = os.NewSyscallError("sendmmsg", errno)
			}
			c := attach(t, &failingLink{err: err})
			f := conntest.Frame(60, 1)
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
				if errors.Is(err, vde.ErrHangup) {
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
