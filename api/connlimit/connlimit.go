// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package connlimit bounds the connections of an [http.Server] that others than its users
// can reach: one more closes the one that has been without a request for the longest time,
// first of those that have had none that was let in. So neither connections that send
// nothing, or half a request, nor requests that are refused, keep users out.
//
//	limit := connlimit.New(32)
//	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
//		if !allowed(r) {
//			http.Error(w, "not allowed", http.StatusForbidden)
//			return
//		}
//		connlimit.Admit(r.Context())
//		...
//	})}
//	limit.Bound(server)
package connlimit

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// A Table holds the connections of one server. It starts no goroutine.
type Table struct {
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
	table *Table
	conn  net.Conn
}

// New returns a table that keeps up to most connections, at least one.
func New(most int) *Table {
	return &Table{most: max(most, 1), waiting: make(map[net.Conn]uint64), known: make(map[net.Conn]struct{})}
}

// Bound has t bound the connections of s, which does not serve yet. It sets ConnState and
// ConnContext.
func (t *Table) Bound(s *http.Server) {
	s.ConnState = t.changed
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, &admission{t, c})
	}
}

// Admit notes that the request with the context ctx is let in: its connection is not
// closed before the answer has been sent. It does nothing for a request to a server that
// no table bounds.
func Admit(ctx context.Context) {
	if a, ok := ctx.Value(connKey{}).(*admission); ok {
		a.table.mu.Lock()
		delete(a.table.waiting, a.conn)
		a.table.known[a.conn] = struct{}{}
		a.table.mu.Unlock()
	}
}

// changed is for http.Server.ConnState.
func (t *Table) changed(c net.Conn, state http.ConnState) {
	if victim := t.update(c, state); victim != nil {
		victim.Close()
	}
}

// update notes the state of c and returns the connection to close, if there are too many.
func (t *Table) update(c net.Conn, state http.ConnState) (victim net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
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
func (t *Table) oldest(c net.Conn) net.Conn {
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
