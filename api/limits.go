// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/go-vde/sdk/vswitch"
)

// A semaphore bounds how many calls do something at a time.
type semaphore chan struct{}

func (s semaphore) acquire(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

func (s semaphore) release() { <-s }

// countersPause is the least time between two looks at the counters of a switch for calls:
// each holds up forwarding for a moment, and clients could have that happen all the time.
const countersPause = time.Millisecond

// A pacer has its callers wait for one another, and for a pause.
type pacer struct {
	mu   sync.Mutex
	last time.Time // guarded by mu
}

func (p *pacer) wait() {
	p.mu.Lock()
	defer p.mu.Unlock()
	time.Sleep(time.Until(p.last.Add(countersPause)))
	p.last = time.Now()
}

// counters returns the counters of the switch, for a call.
func (s *Server) counters() vswitch.Stats {
	s.pace.wait()
	return s.sw.Stats()
}

// A limiter bounds the number of streams.
type limiter struct {
	most, mostCaptures int

	mu       sync.Mutex
	streams  int // guarded by mu
	captures int // guarded by mu; of streams
}

func (l *limiter) enter(capture bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.streams >= l.most:
		return connect.Errorf(connect.CodeResourceExhausted, "%d streams are open, which is the limit: end one of them first", l.streams)
	case capture && l.captures >= l.mostCaptures:
		return connect.Errorf(connect.CodeResourceExhausted, "%d captures are running, which is the limit: end one of them first", l.captures)
	}
	l.streams++
	if capture {
		l.captures++
	}
	return nil
}

func (l *limiter) leave(capture bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams--
	if capture {
		l.captures--
	}
}

// A connTable bounds the connections of an [http.Server]. Those with a request that was
// let in stay; anybody may be able to make others.
type connTable struct {
	most int

	mu      sync.Mutex
	all     int                   // guarded by mu; connections
	waiting map[net.Conn]uint64   // guarded by mu; those without such a request, in which order they began to be
	order   uint64                // guarded by mu; of the last one
	known   map[net.Conn]struct{} // guarded by mu; those that have had one
}

// A connKey is the key of an *admission in the context of a connection's requests.
type connKey struct{}

// An admission is a connection of a table.
type admission struct {
	table *connTable
	conn  net.Conn
}

// context is for http.Server.ConnContext.
func (t *connTable) context(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, &admission{t, c})
}

// admit notes that the request with the context ctx was let in.
func admit(ctx context.Context) {
	if a, ok := ctx.Value(connKey{}).(*admission); ok {
		a.table.mu.Lock()
		delete(a.table.waiting, a.conn)
		a.table.known[a.conn] = struct{}{}
		a.table.mu.Unlock()
	}
}

// changed is for http.Server.ConnState.
func (t *connTable) changed(c net.Conn, state http.ConnState) {
	if victim := t.update(c, state); victim != nil {
		victim.Close()
	}
}

// update notes the state of c and returns the connection to close, if there are too many.
func (t *connTable) update(c net.Conn, state http.ConnState) (victim net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		if t.waiting == nil {
			t.waiting, t.known = make(map[net.Conn]uint64), make(map[net.Conn]struct{})
		}
		t.order++
		t.waiting[c] = t.order
	case http.StateClosed, http.StateHijacked:
		t.all--
		delete(t.waiting, c)
		delete(t.known, c)
	}
	if state != http.StateNew {
		return nil
	}
	t.all++
	if t.all <= t.most {
		return nil
	}
	victim = t.oldest(c)
	delete(t.waiting, victim) // one more has to close another one, even if this one is not closed yet
	return victim
}

// oldest returns the connection to close so that c has room: the one that has waited
// longest, of those that were never let in if there is one besides c; or c itself if no other
// waits. mu is held.
func (t *connTable) oldest(c net.Conn) net.Conn {
	var stranger, client net.Conn
	for other, order := range t.waiting {
		oldest := &stranger
		if _, ok := t.known[other]; ok {
			oldest = &client
		}
		if other != c && (*oldest == nil || order < t.waiting[*oldest]) {
			*oldest = other
		}
	}
	switch {
	case stranger != nil:
		return stranger
	case client != nil:
		return client
	}
	return c
}
