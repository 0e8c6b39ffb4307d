// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// hangups says what SIGHUP does, which is sent when the terminal is closed. It ends a
// command, unless it was ignored at the start, as under nohup, or the command has taken it
// to read its configuration again.
type hangups struct {
	signals chan os.Signal
	news    chan struct{} // what takeHangups returns
	ignored bool

	mu    sync.Mutex
	taken bool // guarded by mu
}

// hangupsKey is the key of the hangups of a context.
type hangupsKey struct{}

// withHangups returns a context that SIGHUP cancels, until takeHangups is called with it.
func withHangups(ctx context.Context) (_ context.Context, stop func()) {
	h := &hangups{signals: make(chan os.Signal, 1), news: make(chan struct{}, 1), ignored: signal.Ignored(syscall.SIGHUP)}
	ctx, cancel := context.WithCancel(context.WithValue(ctx, hangupsKey{}, h))
	if !h.ignored {
		signal.Notify(h.signals, syscall.SIGHUP)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for range h.signals {
			if h.hangup() {
				cancel()
			}
		}
	})
	return ctx, func() {
		signal.Stop(h.signals)
		close(h.signals)
		running.Wait()
		cancel()
	}
}

// hangup does what a signal is for, and reports whether that is to end.
func (h *hangups) hangup() (end bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.taken {
		select {
		case h.news <- struct{}{}:
		default: // the one before will do
		}
	}
	return !h.taken
}

// takeHangups returns a channel that gets a value for SIGHUP from now on, which then does
// not end the command: nil if ctx is not from withHangups.
func takeHangups(ctx context.Context) <-chan struct{} {
	h, ok := ctx.Value(hangupsKey{}).(*hangups)
	if !ok {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.taken = true
	if h.ignored {
		signal.Notify(h.signals, syscall.SIGHUP)
	}
	return h.news
}
