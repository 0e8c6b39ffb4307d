// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

func TestCloseCountsUnread(t *testing.T) {
	t.Run("kernel", func(t *testing.T) {
		c, client := conntest.Join(t)
		sent, err := client.Flood(conntest.Frame(60, 1))
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
	// Nobody takes the frames; some are on the channel, one is about to be put
	// there, the rest are in the kernel.
	t.Run("Frames", func(t *testing.T) {
		for depth := 1; depth < 200; depth *= 3 {
			p := pool.New(9234, 0)
			testutil.NoLive(t, "buffers", func() int64 { return p.Stats().Live })
			c, client := conntest.Join(t, vde.WithFrames(p, depth))
			ch := c.Frames()
			sent, err := client.Flood(conntest.Frame(60, 1))
			if err != nil {
				t.Fatal(err)
			}
			f := conntest.Await(t, "a frame", ch)
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

func TestSyscallConn(t *testing.T) {
	c, client := conntest.Join(t)
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	// It is a datagram socket, and what is sent through it is in no counter.
	var kind int
	if e := raw.Control(func(fd uintptr) { kind, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE) }); e != nil || err != nil || kind != unix.SOCK_DGRAM {
		t.Errorf("socket type %d, %v, %v", kind, e, err)
	}
	f := conntest.Frame(60, 7)
	if e := raw.Write(func(fd uintptr) bool { _, err = unix.Write(int(fd), f); return true }); e != nil || err != nil {
		t.Fatal(e, err)
	}
	if got, err := client.Recv(conntest.Watchdog(t)); err != nil || !slices.Equal(got, f) {
		t.Errorf("the switch got %x, %v", got, err)
	}
	conntest.Send(t, client, 8)
	buf := make([]byte, 100)
	var n int
	if e := raw.Read(func(fd uintptr) bool { n, err = unix.Read(int(fd), buf); return err != unix.EAGAIN }); e != nil || err != nil || conntest.Seq(buf[:n]) != 8 {
		t.Errorf("read frame %d, %v, %v", conntest.Seq(buf[:n]), e, err)
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
	c, _ := conntest.Join(t)
	addr := c.LocalAddr()
	if addr.Network() != "vde" || addr != c.LocalAddr() {
		t.Errorf("%#v", addr)
	}
	a := vde.Addr{MAC: frame.MAC{2, 0, 0, 0, 0, 1}}
	if a.Network() != "vde" || a.String() != "02:00:00:00:00:01" || a != (vde.Addr{MAC: a.MAC}) {
		t.Errorf("%#v is %s %s", a, a.Network(), a)
	}
}

// The errors of a connection look like package net's.
func TestOpErrors(t *testing.T) {
	c, client := conntest.Join(t)
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
	conntest.Await(t, "Context", c.Context().Done())
	_, err = c.Write(conntest.Frame(60, 1))
	if want := fmt.Sprintf("write vde %s: connection closed by peer", c.LocalAddr()); err == nil || err.Error() != want {
		t.Errorf("write: %q, want %q", err, want)
	}
	if errors.As(err, &ne) && ne.Timeout() {
		t.Errorf("a hangup is no timeout: %v", err)
	}
}
