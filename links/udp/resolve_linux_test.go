// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"

	"github.com/go-vde/sdk/link"
)

// nameServer is whom the resolver asks; nil: those of the system.
var nameServer atomic.Pointer[string]

// resolver is that of the tests. It is set once: goroutines of earlier look-ups read it.
var resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
	if server := nameServer.Load(); server != nil {
		network, address = "udp", *server
	}
	return (&net.Dialer{}).DialContext(ctx, network, address)
}}

// answers answers each question of DNS that comes to c with the loopback address.
func answers(c net.PacketConn) {
	b := make([]byte, 512)
	for {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			return
		}
		end := 12 + bytes.IndexByte(b[12:n], 0) + 5 // of the question; what follows it is left out
		kind := b[end-3]
		ip := net.IPv6loopback
		if kind == 1 {
			ip = net.IPv4(127, 0, 0, 1).To4()
		}
		reply := append([]byte(nil), b[:end]...)
		copy(reply[2:12], []byte{0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0})
		reply = append(reply, 0xc0, 12, 0, kind, 0, 1, 0, 0, 0, 60, 0, byte(len(ip)))
		_, _ = c.WriteTo(append(reply, ip...), from)
	}
}

// TestNameOfBothVersions has a destination with addresses of both versions of IP: that of
// the source, which is given as a number, is meant.
func TestNameOfBothVersions(t *testing.T) {
	needIPv6(t)
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		answers(server)
	}()
	nameServer.Store(new(server.LocalAddr().String()))
	defer func() {
		nameServer.Store(nil)
		server.Close()
		<-answered
	}()
	f := bytes.Repeat([]byte{1}, 60)
	for _, host := range []string{"127.0.0.1", "::1", "[::1]"} {
		p, q := nextPort(), nextPort()
		a := open(t, fmt.Sprintf("udp://%s:%d->both.example:%d", host, p, q))
		b := open(t, fmt.Sprintf("udp://%s:%d->%s:%d", host, q, host, p))
		if n, _, err := a.Send(link.Tx{Frames: [][]byte{f}}); n != 1 || err != nil {
			t.Fatalf("%s: %d, %v", host, n, err)
		}
		rx := link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1)}
		if n, err := b.Recv(rx); n != 1 || err != nil || !bytes.Equal(rx.Bufs[0][:rx.Sizes[0]], f) {
			t.Errorf("%s: %d frames, %v", host, n, err)
		}
	}
}
