// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-vde/sdk/api"
	"github.com/go-vde/sdk/vswitch"
)

// A countedListener counts the connections that are open.
type countedListener struct {
	net.Listener
	open, most atomic.Int64
}

func (l *countedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if n := l.open.Add(1); n > l.most.Load() {
		l.most.Store(n) // Accept is called by one goroutine
	}
	return &countedConn{Conn: c, l: l}, nil
}

type countedConn struct {
	net.Conn
	l    *countedListener
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.l.open.Add(-1) })
	return c.Conn.Close()
}

// TestConnectionBound checks that connections which come faster than others can be closed
// are not more than the bound.
func TestConnectionBound(t *testing.T) {
	const bound = 8
	l := newLab(t, vswitch.Config{}, api.Options{MaxConns: bound}, api.Access{})
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener := &countedListener{Listener: inner}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	defer func() { <-served }()
	defer cancel()
	// The connections are there before the first one is accepted.
	for range 200 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	go func() { served <- l.server.Serve(ctx, listener, api.Access{Token: token}) }()
	client := must(api.Dial(t.Context(), "http://"+inner.Addr().String()+"/#token="+token))(t)
	defer client.Close()
	if most := listener.most.Load(); most > bound+1 { // the new one, before another one is closed
		t.Errorf("%d connections were open, and %d are, with a bound of %d", most, listener.open.Load(), bound)
	}
}
