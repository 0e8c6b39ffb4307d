// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/go-vde/sdk/netstack"
)

// TestMany opens many connections between two hosts at the same time, exchanges
// something on each, and closes them.
func TestMany(t *testing.T) {
	n := int(scaled(10000, 1000))
	a, b := hosts(t, netstack.HostConfig{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := heap()

	servers := make(chan net.Conn, n)
	accepted := make(chan error, 1)
	go func() {
		for range n {
			c, err := l.Accept()
			if err != nil {
				accepted <- err
				return
			}
			servers <- c
		}
		accepted <- nil
	}()
	clients := make([]net.Conn, n)
	var g errgroup.Group
	g.SetLimit(100)
	for i := range clients {
		g.Go(func() (err error) {
			clients[i], err = b.DialContext(bound(t), "tcp", netip.AddrPortFrom(addr4(a), 80).String())
			return err
		})
	}
	if err := errors.Join(g.Wait(), <-accepted); err != nil {
		t.Fatal(err)
	}
	idle := heap()
	t.Logf("%d connections, %d bytes of memory each, both ends together", n, (idle-before)/uint64(n))

	// Each echoes one message of its own.
	close(servers)
	var wg sync.WaitGroup
	for c := range servers {
		wg.Go(func() {
			if _, err := io.CopyN(c, c, 8); err != nil {
				t.Error(err)
			}
			c.Close()
		})
	}
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
	wg.Wait()
	l.Close()
	for _, h := range []*netstack.Host{a, b} {
		if st := h.Stats(); st.Endpoint.TxDropped() != 0 {
			t.Errorf("frames dropped: %+v", st)
		}
	}
}
