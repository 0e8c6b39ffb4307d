// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/go-vde/sdk/netstack"
)

// heapInUse returns the bytes of memory that are in use.
func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

// TestConcurrentConnections opens many connections between two hosts at the same
// time, echoes a message on each, and closes them.
func TestConcurrentConnections(t *testing.T) {
	n := int(scaled(10000, 200))
	a, b := hosts(t, netstack.HostConfig{})
	before := heapInUse()
	clients, servers := dialMany(t, b, a, n)
	idle := heapInUse()
	t.Logf("%d connections, %d bytes of memory each, both ends together", n, (idle-before)/uint64(n))

	var echoes sync.WaitGroup
	for _, c := range servers {
		echoes.Go(func() {
			if _, err := io.CopyN(c, c, 8); err != nil {
				t.Error(err)
			}
			c.Close()
		})
	}
	var g errgroup.Group
	g.SetLimit(100)
	for i, c := range clients {
		g.Go(func() error {
			msg := []byte{byte(i), byte(i >> 8), 3, 4, 5, 6, 7, 8}
			got := make([]byte, 8)
			if _, err := c.Write(msg); err != nil {
				return err
			}
			if _, err := io.ReadFull(c, got); err != nil || string(got) != string(msg) {
				t.Errorf("got %x, %v", got, err)
			}
			return c.Close()
		})
	}
	if err := g.Wait(); err != nil {
		t.Error(err)
	}
	echoes.Wait()
	for _, h := range []*netstack.Host{a, b} {
		if st := h.Stats(); dropped(st.Endpoint) != 0 {
			t.Errorf("frames dropped: %+v", st)
		}
	}
}

// dialMany opens n connections, at most 100 at a time, and returns both ends.
func dialMany(t *testing.T, from, to *netstack.Host, n int) (clients, servers []net.Conn) {
	t.Helper()
	l := listen(t, to, "tcp", ":80")
	clients, servers = make([]net.Conn, n), make([]net.Conn, n)
	var g errgroup.Group
	g.SetLimit(101)
	g.Go(func() (err error) {
		for i := range servers {
			if servers[i], err = l.Accept(); err != nil {
				return err
			}
		}
		return nil
	})
	ctx := bound(t)
	for i := range clients {
		g.Go(func() (err error) {
			clients[i], err = from.DialContext(ctx, "tcp", netip.AddrPortFrom(addr4(to), 80).String())
			if err != nil {
				l.Close()
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	return clients, servers
}
