// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netconn_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/examples/netconn"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// listen returns a listener on loopback or in a new directory.
func listen(tb testing.TB, network string) net.Listener {
	tb.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(testutil.ShortDir(tb), "s")
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { ln.Close() })
	return ln
}

// connected returns the two ends of a connection.
func connected(tb testing.TB, network string) (a, b net.Conn, err error) {
	if network == "pipe" {
		a, b = net.Pipe()
		return a, b, nil
	}
	ln := listen(tb, network)
	if a, err = net.Dial(network, ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	b, err = ln.Accept()
	return a, b, err
}

// TestLink holds the links to what is promised of every link. What is on its way
// when a link is closed has not come, so Close cannot count it.
func TestLink(t *testing.T) {
	for _, network := range []string{"tcp", "unix", "pipe"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			linktest.Test(t, func(tb testing.TB) (link.Link, link.Link, error) {
				a, b, err := connected(tb, network)
				if err != nil {
					return nil, nil, err
				}
				cfg := link.Config{Depth: 64}
				return netconn.New(a, cfg), netconn.New(b, cfg), nil
			}, linktest.Options{NoCount: true})
		})
	}
}

// gsoFrame returns a TCP segment of 3000 bytes, to be cut at 1000, in two pieces,
// with its metadata.
func gsoFrame() (net.Buffers, frame.VNetHeader) {
	headers := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	headers = append(headers, 0x45, 0, 0x0b, 0xe0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	headers = append(headers, 0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0xf6, 0, 0, 0, 0)
	return net.Buffers{headers, bytes.Repeat([]byte{'x'}, 3000)}, frame.VNetHeader{
		Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 1000, CsumStart: 34, CsumOffset: 16,
	}
}

// TestOpen opens a connection with one option, which sends a GSO frame, loses its
// link and comes back.
func TestOpen(t *testing.T) {
	ln := listen(t, "tcp")
	c, err := vde.Open(t.Context(), "tcp://"+ln.Addr().String(), vde.WithDrivers(netconn.Drivers),
		vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for round := range 3 {
		peer, err := ln.Accept()
		if err != nil {
			t.Fatal(err)
		}
		exchange(t, c, netconn.New(peer, link.Config{}), byte(round))
	}
}

// exchange sends a GSO frame, receives its segments at the other end, answers and
// hangs up. A write may come before the link is known to be down: frames are then
// lost with it, so they are sent until an answer has come.
func exchange(t *testing.T, c *vde.Conn, peer link.Link, round byte) {
	t.Helper()
	defer peer.Close()
	pieces, header := gsoFrame()
	sent := make(chan error, 1)
	got := make(chan struct{})
	go func() {
		for {
			n, err := c.WritePackets([]net.Buffers{pieces}, []frame.VNetHeader{header})
			if n != 1 {
				err = fmt.Errorf("%d packets written: %w", n, err)
			}
			select {
			case <-got:
				sent <- nil
				return
			default:
			}
			if err != nil {
				sent <- err
				return
			}
		}
	}()
	buf, sizes := make([]byte, 9000), make([]int, 1)
	for range 3 {
		if n, err := peer.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 || sizes[0] != 1054 {
			t.Errorf("round %d: %d frames of %d bytes, %v; want segments of 1054", round, n, sizes[0], err)
		}
	}
	close(got)
	go func() { // what is still on its way must not keep the sender waiting
		for {
			if _, err := peer.Recv(link.Rx{Bufs: [][]byte{make([]byte, 9000)}, Sizes: make([]int, 1)}); err != nil {
				return
			}
		}
	}()
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	answer := append(frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 2}, frame.EtherTypeExperimental), round)
	if n, _, err := peer.Send(link.Tx{Frames: [][]byte{answer}}); n != 1 {
		t.Fatal(err)
	}
	if n, err := c.Read(buf); err != nil || !bytes.Equal(buf[:n], answer) {
		t.Fatalf("round %d: read % x, %v", round, buf[:n], err)
	}
}

// TestEnds checks the reasons of ends.
func TestEnds(t *testing.T) {
	for name, test := range map[string]struct {
		send string
		want error
	}{
		"after a frame":    {"\x00\x00\x00\x01x", link.ErrHangup},
		"within a length":  {"\x00\x00", io.ErrUnexpectedEOF},
		"within a frame":   {"\x00\x00\x00\x09xy", io.ErrUnexpectedEOF},
		"before its bytes": {"\x00\x00\x00\x09", io.ErrUnexpectedEOF},
		"garbage":          {"GET / HTTP/1.1", nil},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, err := connected(t, "unix")
			if err != nil {
				t.Fatal(err)
			}
			l := netconn.New(a, link.Config{})
			defer l.Close()
			if _, err := b.Write([]byte(test.send)); err != nil {
				t.Fatal(err)
			}
			b.Close()
			<-l.Done()
			if err := l.Err(); test.want != nil && (!errors.Is(err, test.want) || !errors.Is(err, link.ErrHangup)) || test.want == nil && errors.Is(err, link.ErrHangup) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestRefuses checks what is wrong with locators, and who is not there.
func TestRefuses(t *testing.T) {
	for locator, want := range map[string]error{
		"tcp://127.0.0.1:1[x=y]":                                syscall.EINVAL,
		"unix://" + filepath.Join(testutil.ShortDir(t), "none"): syscall.ENOENT,
	} {
		if _, err := vde.Open(t.Context(), locator, vde.WithDrivers(netconn.Drivers)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", locator, err, want)
		}
	}
}
