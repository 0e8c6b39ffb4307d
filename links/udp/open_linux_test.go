// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/udp"
	"github.com/go-vde/sdk/vnl"
)

// TestOpenErrors refuses ports that do not exist instead of others in their place,
// and addresses of two families.
func TestOpenErrors(t *testing.T) {
	p := nextPort()
	for _, locator := range []string{
		"udp://127.0.0.1:99999->127.0.0.1:2",
		"udp://1->127.0.0.1:65536",
		"udp://1->127.0.0.1:18446744073709551617",
		"udp://1->127.0.0.1:-1",
		"udp://1->127.0.0.1:0",
		"udp://1->127.0.0.1:no-such-service",
		"udp://127.0.0.1:1->::1:2",
		"udp://1->[::1:2",
		"udp://1->[127.0.0.1:2",
		"udp://1->127.0.0.1",
		"udp://" + fmt.Sprint(p),
	} {
		l, err := udp.Driver{}.Open(context.Background(), vnl.Parse(locator), link.Settings{})
		if err == nil {
			l.Close()
		}
		if !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: %v, want EINVAL", locator, err)
		}
	}
	for _, locator := range []string{fmt.Sprintf("udp://%d->fe80::1:2", p), "udp://[fe80::1]:1->[fe80::2%1]:2"} {
		if _, err := (udp.Driver{}).Open(context.Background(), vnl.Parse(locator), link.Settings{}); err == nil || !strings.Contains(err.Error(), "fe80::1%eth0") {
			t.Errorf("%s: %v, want a remedy", locator, err)
		}
	}
	a, _ := pair(t, host)
	if _, err := (udp.Driver{}).Open(context.Background(), vnl.Parse(a.Caps().Address), link.Settings{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port in use: %v, want EADDRINUSE", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := (udp.Driver{}).Open(ctx, vnl.Parse(fmt.Sprintf("udp://%d->no-such-host.invalid:2", p)), link.Settings{}); err == nil {
		t.Error("a name was looked up after the end of the context")
	}
}

// TestNames resolves the name of a host.
func TestNames(t *testing.T) {
	l := open(t, "udp://->localhost:9")
	if n, _, err := l.Send(link.Tx{Frames: [][]byte{make([]byte, 60)}}); n != 1 || err != nil {
		t.Errorf("Send: %d, %v", n, err)
	}
}

// recv receives one frame.
func recv(t *testing.T, l link.Link) []byte {
	t.Helper()
	buf, sizes := make([]byte, 1<<16), make([]int, 1)
	if n, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 || err != nil {
		t.Fatalf("Recv: %d, %v", n, err)
	}
	return buf[:sizes[0]]
}

// send sends frames.
func send(t *testing.T, l link.Link, frames ...[]byte) {
	t.Helper()
	if n, _, err := l.Send(link.Tx{Frames: frames}); n != len(frames) || err != nil {
		t.Fatalf("Send: %d of %d, %v", n, len(frames), err)
	}
}

// dial returns a socket at a port of the test's address.
func dial(t *testing.T, from, to int) *net.UDPConn {
	t.Helper()
	ip := net.ParseIP(host)
	c, err := net.DialUDP("udp4", &net.UDPAddr{IP: ip, Port: from}, &net.UDPAddr{IP: ip, Port: to})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func write(t *testing.T, c *net.UDPConn, b []byte) {
	t.Helper()
	if _, err := c.Write(b); err != nil {
		t.Fatal(err)
	}
}

// TestStrangers drops datagrams of others, those of the moment in which the socket was
// bound and not connected included; what the peer sent then arrives.
func TestStrangers(t *testing.T) {
	p, q := nextPort(), nextPort()
	stranger, peer := dial(t, nextPort(), p), dial(t, q, p)
	early, late := bytes.Repeat([]byte{1}, 60), bytes.Repeat([]byte{2}, 60)
	udp.SetHookBound(func() {
		write(t, stranger, []byte("a frame of a stranger"))
		write(t, peer, early)
	})
	l := open(t, fmt.Sprintf("udp://%s:%d->%s:%d", host, p, host, q))
	udp.SetHookBound(nil)
	for range 3 {
		_, _ = stranger.Write([]byte("a frame of a stranger")) // may say that the last was refused
	}
	write(t, peer, late)
	if f := recv(t, l); !bytes.Equal(f, early) {
		t.Errorf("the first frame is %q", f)
	}
	if f := recv(t, l); !bytes.Equal(f, late) {
		t.Errorf("the second frame is %q", f)
	}
	if n := l.Caps().Counters().Foreign; n != 1 {
		t.Errorf("%d foreign, want 1", n)
	}
}

// TestEmptyDatagram takes an empty datagram for an empty frame: the link goes on, and
// stays that of its peer.
func TestEmptyDatagram(t *testing.T) {
	p, q := nextPort(), nextPort()
	l := open(t, fmt.Sprintf("udp://%s:%d->%s:%d", host, p, host, q))
	peer, stranger := dial(t, q, p), dial(t, nextPort(), p)
	write(t, peer, nil)
	if f := recv(t, l); len(f) != 0 {
		t.Errorf("a frame of %d bytes", len(f))
	}
	_, _ = stranger.Write([]byte("a frame of a stranger"))
	want := bytes.Repeat([]byte{3}, 14)
	write(t, peer, want)
	if f := recv(t, l); !bytes.Equal(f, want) {
		t.Errorf("the frame is %q", f)
	}
	send(t, l, want)
	buf := make([]byte, 100)
	if n, err := peer.Read(buf); err != nil || !bytes.Equal(buf[:n], want) {
		t.Errorf("the peer got %q, %v", buf[:n], err)
	}
}

// TestRefusals goes on while nobody is at the other end, counts what is refused, and
// reaches the other end when it is there.
func TestRefusals(t *testing.T) {
	p, q := nextPort(), nextPort()
	a := open(t, fmt.Sprintf("udp://%s:%d->%s:%d", host, p, host, q))
	f := bytes.Repeat([]byte{4}, 60)
	for range 10 {
		send(t, a, f, f)
	}
	rx := link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1), NoWait: true}
	if n, err := a.Recv(rx); n != 0 || !errors.Is(err, link.ErrEmpty) {
		t.Errorf("Recv: %d, %v; want ErrEmpty", n, err)
	}
	if n := a.Caps().Counters().Unsent; n == 0 {
		t.Error("no refusal was counted")
	}
	b := open(t, fmt.Sprintf("udp://%s:%d->%s:%d", host, q, host, p))
	send(t, a, f)
	if got := recv(t, b); !bytes.Equal(got, f) {
		t.Errorf("the frame is %q", got)
	}
	send(t, b, f)
	if got := recv(t, a); !bytes.Equal(got, f) {
		t.Errorf("the frame is %q", got)
	}
	select {
	case <-a.Done():
		t.Error("the link has ended")
	default:
	}
}
