// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package libtest

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/quic-go/quic-go"
)

// TestQUIC sends streams of a megabyte each there and back at the same time, over
// both families, on sockets of hosts.
func TestQUIC(t *testing.T) {
	const streams, size = 2, 1 << 20
	first, second := hosts(t)
	server, client := tlsConfigs(t, "echo")
	in, err := first.ListenPacket("udp", ":4433")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	serving := quic.Transport{Conn: in}
	defer serving.Close()
	l, err := serving.Listen(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var served sync.WaitGroup
	defer served.Wait()
	ctx := bound(t)
	for _, to := range []netip.Addr{first4, first6} {
		served.Go(func() { serveQUIC(t, l) })
		out, err := second.ListenPacket("udp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		dialling := quic.Transport{Conn: out}
		defer dialling.Close()
		conn, err := dialling.Dial(ctx, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 4433)), client, nil)
		if err != nil {
			t.Fatal(to, err)
		}
		var wg sync.WaitGroup
		for i := range streams {
			wg.Go(func() {
				s, err := conn.OpenStreamSync(ctx)
				if err == nil {
					err = echo(s, s.Close, byte(i), size)
				}
				if err != nil {
					t.Errorf("%v: stream %d: %v", to, i, err)
				}
			})
		}
		wg.Wait()
		if got := conn.RemoteAddr().String(); got != netip.AddrPortFrom(to, 4433).String() {
			t.Errorf("connected to %s, want %s", got, to)
		}
		conn.CloseWithError(0, "")
	}
}

// serveQUIC accepts a connection and sends back what its streams carry, until it ends.
func serveQUIC(t *testing.T, l *quic.Listener) {
	ctx := bound(t)
	conn, err := l.Accept(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	var streams sync.WaitGroup
	defer streams.Wait()
	for {
		s, err := conn.AcceptStream(ctx)
		if err != nil {
			return // the client has closed the connection
		}
		streams.Go(func() {
			defer s.Close()
			if _, err := io.Copy(s, s); err != nil {
				t.Error(err)
			}
		})
	}
}
