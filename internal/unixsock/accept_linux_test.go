// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package unixsock_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/unixsock"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watchdog bounds hangs.
const watchdog = time.Minute

// serve returns a server and its path.
func serve(t *testing.T, admit func(ctx context.Context, fd int) (link.Link, error)) (link.Link, string) {
	t.Helper()
	path := filepath.Join(testutil.ShortDir(t), "s")
	fd, name, err := unixsock.Listen(unix.SOCK_SEQPACKET, path, unixsock.Permission{})
	if err != nil {
		t.Fatal(err)
	}
	ln, err := unixsock.NewListener(fd, path)
	if err != nil {
		t.Fatal(err)
	}
	l, err := unixsock.Serve(t.Context(), unixsock.ServerConfig{Listener: ln, Admit: admit, OnClose: name.Remove, Address: "test://" + path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	_ = l.SetReadDeadline(time.Now().Add(watchdog))
	if got := l.Caps().Address; got != "test://"+path {
		t.Errorf("address %q", got)
	}
	return l, path
}

func packets(_ context.Context, fd int) (link.Link, error) {
	return unixsock.NewLink(fd, unixsock.Config{Packets: true})
}

func dial(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(watchdog))
	return c
}

// pass sends a frame from the peer.
func pass(t *testing.T, c net.Conn, l link.Link) {
	t.Helper()
	if _, err := c.Write(make([]byte, 60)); err != nil {
		t.Fatal(err)
	}
	if n, err := l.Recv(link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1)}); n != 1 {
		t.Fatal(err)
	}
}

// TestFlood connects many strangers while there is a peer: all are closed, and the
// peer does not notice.
func TestFlood(t *testing.T) {
	l, path := serve(t, packets)
	peer := dial(t, path)
	pass(t, peer, l)
	for range 5 {
		strangers := []net.Conn{dial(t, path), dial(t, path), dial(t, path)}
		pass(t, peer, l)
		for _, s := range strangers {
			if n, err := s.Read(make([]byte, 10)); err == nil {
				t.Errorf("a stranger reads %d", n)
			}
			s.Close()
		}
	}
	pass(t, peer, l)
}

// TestSilentPeers: peers that do not finish their handshake do not keep others from
// it, nor Close.
func TestSilentPeers(t *testing.T) {
	var count atomic.Int32
	silent := make(chan struct{})
	l, path := serve(t, func(ctx context.Context, fd int) (link.Link, error) {
		if count.Add(1) <= 5 {
			silent <- struct{}{}
			<-ctx.Done()
			unix.Close(fd)
			return nil, ctx.Err()
		}
		return packets(ctx, fd)
	})
	for range 5 {
		dial(t, path)
		<-silent
	}
	pass(t, dial(t, path), l)
	if _, err := l.Close(); err != nil {
		t.Error(err)
	}
	if n, err := l.Recv(link.Rx{Bufs: [][]byte{nil}, Sizes: make([]int, 1)}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := net.Dial("unixpacket", path); err == nil {
		t.Error("it still listens")
	}
}

// TestPeerWaits: a peer that connects while the last one is about to be noticed as
// gone takes its place.
func TestPeerWaits(t *testing.T) {
	l, path := serve(t, packets)
	for range 50 {
		c := dial(t, path)
		pass(t, c, l)
		c.Close()
	}
}

// TestCloseWhileConnecting closes a server while peers come.
func TestCloseWhileConnecting(t *testing.T) {
	for range 20 {
		l, path := serve(t, packets)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
				if err != nil {
					return
				}
				c.Close()
			}
		}()
		if _, err := l.Close(); err != nil {
			t.Error(err)
		}
		<-done
		if n, err := l.Close(); n != 0 || err != nil {
			t.Errorf("second Close: %d, %v", n, err)
		}
	}
}
