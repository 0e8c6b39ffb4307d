// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/go-vde/sdk/netstack"
)

// TestTCPConnConformance runs the conformance suite for a net.Conn.
func TestTCPConnConformance(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	l := listen(t, a, "tcp", ":0")
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		addr := netip.AddrPortFrom(addr4(a), uint16(l.Addr().(*net.TCPAddr).Port))
		c2, err = b.Dial("tcp", addr.String())
		if err != nil {
			return nil, nil, nil, err
		}
		c1, err = l.Accept()
		return c1, c2, func() { c1.Close(); c2.Close() }, err
	})
}

func TestDialContext(t *testing.T) {
	t.Parallel()
	_, b := hosts(t, netstack.HostConfig{})
	to := netip.AddrPortFrom(unused(b), 80).String()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := b.DialContext(ctx, "tcp", to)
	wantErr(t, err, "dial", context.Canceled)

	ctx, cancel = context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := b.DialContext(ctx, "tcp", to)
		done <- err
	}()
	// The dial has begun when the host has sent a frame, an ARP request.
	for b.Stats().Endpoint.Conn.TxFrames == 0 {
		b.Ping(ctx, addr4(b))
	}
	cancel()
	wantErr(t, <-done, "dial", context.Canceled)

	ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = b.DialContext(ctx, "tcp", to)
	wantErr(t, err, "dial", context.DeadlineExceeded)
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
	_, err = b.Ping(ctx, addr4(b))
	wantErr(t, err, "ping", context.DeadlineExceeded)
}

func TestDeadlines(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{SendBuffer: 64 << 10, ReceiveBuffer: 64 << 10})
	l := listen(t, a, "tcp", ":80")
	l.(*netstack.TCPListener).SetDeadline(time.Now().Add(time.Millisecond))
	_, err := l.Accept()
	wantErr(t, err, "accept", os.ErrDeadlineExceeded)
	l.(*netstack.TCPListener).SetDeadline(zero)

	c := dial(t, b, addr4(a), 80)
	c.SetDeadline(time.Now().Add(time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	wantErr(t, err, "read", os.ErrDeadlineExceeded)
	c.SetWriteDeadline(past)
	n, err := c.Write(make([]byte, 1))
	wantErr(t, err, "write", os.ErrDeadlineExceeded)
	if n != 0 {
		t.Error("wrote after the deadline")
	}
	c.SetWriteDeadline(zero)
	// The other side reads one byte only, so that the write begins and waits.
	wrote := make(chan int, 1)
	go func() {
		n, err := c.Write(make([]byte, 8<<20))
		wantErr(t, err, "write", os.ErrDeadlineExceeded)
		wrote <- n
	}()
	if _, err := accept(t, l).Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	if n := <-wrote; n == 0 || n == 8<<20 {
		t.Errorf("wrote %d bytes", n)
	}

	// A deadline that is set while a call waits.
	c.SetReadDeadline(time.Now().Add(time.Hour))
	done := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	c.SetReadDeadline(past)
	wantErr(t, <-done, "read", os.ErrDeadlineExceeded)
	c.SetReadDeadline(zero)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	c.Close()
	wantErr(t, <-done, "read", net.ErrClosed)
	wantErr(t, c.SetDeadline(zero), "set", net.ErrClosed)
	wantErr(t, c.Close(), "close", net.ErrClosed)
	_, err = c.Write([]byte{1})
	wantErr(t, err, "write", net.ErrClosed)
}

func TestHalfClose(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	l, c, in := connected(t, b, a)
	msg := bytes.Repeat([]byte("all of it "), 100000)
	var wg sync.WaitGroup
	wg.Go(func() {
		c.Write(msg)
		if err := c.(*netstack.TCPConn).CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, msg) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	in.Write([]byte("thanks"))
	in.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "thanks" {
		t.Errorf("%q, %v", got, err)
	}
	wg.Wait()
	_, err = c.Write([]byte{1})
	wantErrno(t, err, "write", syscall.EPIPE)
	c.Close()

	// A reset.
	c, in = dial(t, b, addr4(a), 80), accept(t, l)
	in.(*netstack.TCPConn).SetLinger(0)
	in.Close()
	_, err = c.Read(make([]byte, 1))
	wantErrno(t, err, "read", syscall.ECONNRESET)
	c.Close()
}

// TestShutdown checks that all data arrives which was written before Close,
// Shutdown and Close of the host.
func TestShutdown(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	_, c, in := connected(t, b, a)
	msg := bytes.Repeat([]byte{1}, 3<<20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Write(msg)
		c.Close()
		if err := b.Shutdown(bound(t)); err != nil {
			t.Error(err)
		}
		b.Close()
	}()
	got, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, msg) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	in.Close()
	<-done
}
