// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"log/slog"
	"sync"
)

// A records is a slog.Handler that keeps the messages.
type records struct {
	mu   sync.Mutex
	list []string // guarded by mu
}

func (r *records) Handle(_ context.Context, rec slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, rec.Message)
	return nil
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }

func (r *records) count(message string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.list {
		if m == message {
			n++
		}
	}
	return n
}
