// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
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
