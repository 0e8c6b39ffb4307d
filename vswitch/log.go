// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxLogRecords bounds the records that wait for the handler of Config.Logger.
const maxLogRecords = 1024

// logFlushTime bounds how long Close waits for the handler.
const logFlushTime = 2 * time.Second

// A logQueue is between the switch and the handler of Config.Logger, which may take
// its time, or call methods of the switch: records are logged with locks held. One
// goroutine hands them over in order, without a lock, while there are any.
type logQueue struct {
	mu      sync.Mutex
	records []logRecord   // guarded by mu; the oldest first
	lost    int           // guarded by mu; since the last record that is queued
	idle    chan struct{} // guarded by mu; closed when all have been handed over, nil if they have
}

// A logRecord is a record and where it goes.
type logRecord struct {
	handler slog.Handler
	slog.Record
}

// logger returns a logger whose records reach l by way of q.
func (q *logQueue) logger(l *slog.Logger) *slog.Logger {
	return slog.New(queuedHandler{q, l.Handler()})
}

// add queues r, or counts it as lost if there are too many.
func (q *logQueue) add(r logRecord) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.records) == maxLogRecords {
		q.lost++
		return
	}
	if q.lost > 0 {
		q.addLost(r.handler)
	}
	q.records = append(q.records, r)
	if q.idle == nil {
		q.idle = make(chan struct{})
		go q.handOver()
	}
}

// addLost queues a record about those that were lost; mu is held.
func (q *logQueue) addLost(h slog.Handler) {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log records were lost", 0)
	r.AddAttrs(slog.Int("records", q.lost))
	q.records = append(q.records, logRecord{h, r})
	q.lost = 0
}

// handOver calls the handlers until no record is left.
func (q *logQueue) handOver() {
	var last slog.Handler
	for {
		q.mu.Lock()
		if len(q.records) == 0 && q.lost > 0 {
			q.addLost(last)
		}
		records := q.records
		q.records = nil
		if len(records) == 0 {
			close(q.idle)
			q.idle = nil
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		for _, r := range records {
			last = r.handler
			if last.Enabled(context.Background(), r.Level) {
				_ = last.Handle(context.Background(), r.Record) // as slog.Logger does
			}
		}
	}
}

// flush waits until all records have been handed over, for a while.
func (q *logQueue) flush() {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	if idle == nil {
		return
	}
	timer := time.NewTimer(logFlushTime)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// A queuedHandler queues records for another handler.
type queuedHandler struct {
	queue *logQueue
	slog.Handler
}

var _ slog.Handler = queuedHandler{}

// Enabled implements [slog.Handler]. The other handler is asked later.
func (h queuedHandler) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements [slog.Handler].
func (h queuedHandler) Handle(_ context.Context, r slog.Record) error {
	h.queue.add(logRecord{h.Handler, r.Clone()})
	return nil
}

// WithAttrs implements [slog.Handler].
func (h queuedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return queuedHandler{h.queue, h.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (h queuedHandler) WithGroup(name string) slog.Handler {
	return queuedHandler{h.queue, h.Handler.WithGroup(name)}
}
