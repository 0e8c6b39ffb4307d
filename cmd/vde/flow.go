// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// An endpoint is a connection to the network with an address of its own.
type endpoint struct {
	name string // "a", for people
	how  string // how it is connected: in process or outside
	mac  frame.MAC
	conn *vde.Conn
}

// A flow is numbered frames from one endpoint to another. Each endpoint receives
// at most one flow.
type flow struct {
	from, to *endpoint
	frames   int // to send
	size     int // bytes per frame

	sent      atomic.Int64
	received  atomic.Int64
	misplaced atomic.Int64  // received with an unexpected number: out of order or twice
	elapsed   time.Duration // from the first frame received to the last
}

const (
	batchFrames = 32

	// The number of a frame stands right behind its header.
	numberAt  = frame.HeaderLen
	minFrame  = numberAt + 8
	quietTime = 300 * time.Millisecond // without a frame, after all were sent, the rest counts as lost
)

// run moves the frames of all flows and calls progress with the number of
// frames received since the last call.
func run(ctx context.Context, flows []*flow, progress func(n int)) error {
	senders, ctx := errgroup.WithContext(ctx)
	receivers := new(errgroup.Group)
	for _, f := range flows {
		receivers.Go(func() error { return f.receive(progress) })
		senders.Go(func() error { return f.send(ctx) })
	}
	// Frames that were lost would keep a receiver waiting, so silence ends it.
	err := senders.Wait()
	for _, f := range flows {
		f.to.conn.SetReadDeadline(time.Now().Add(quietTime))
	}
	return errors.Join(err, receivers.Wait())
}

// send sends the flow's frames as fast as the network takes them.
func (f *flow) send(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { f.from.conn.SetWriteDeadline(time.Unix(1, 0)) })()
	batch := make([][]byte, batchFrames)
	for i := range batch {
		batch[i] = make([]byte, f.size)
		frame.PutHeader(batch[i], f.to.mac, f.from.mac, frame.EtherTypeExperimental)
	}
	for n := 0; n < f.frames; {
		k := min(batchFrames, f.frames-n)
		for i, b := range batch[:k] {
			binary.BigEndian.PutUint64(b[numberAt:], uint64(n+i))
		}
		sent, err := f.from.conn.WriteBatch(batch[:k])
		n += sent
		f.sent.Add(int64(sent))
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("endpoint %s: %w", f.from.name, err)
		}
	}
	return nil
}

// receive receives the flow's frames until all have come or the read deadline
// passes without another one.
func (f *flow) receive(progress func(n int)) error {
	bufs := make([][]byte, batchFrames)
	for i := range bufs {
		bufs[i] = make([]byte, f.size)
	}
	windows := make([][]byte, len(bufs))
	var next uint64
	var first time.Time
	for f.received.Load() < int64(f.frames) {
		copy(windows, bufs)
		n, err := f.to.conn.ReadBatch(windows)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("endpoint %s: %w", f.to.name, err)
		}
		if first.IsZero() {
			first = time.Now()
		}
		mine := 0
		for _, w := range windows[:n] {
			if !f.owns(w) {
				continue
			}
			number := binary.BigEndian.Uint64(w[numberAt:])
			if number < next {
				f.misplaced.Add(1)
			}
			next = number + 1
			mine++
		}
		f.received.Add(int64(mine))
		f.elapsed = time.Since(first)
		progress(mine)
		if f.sent.Load() == int64(f.frames) {
			f.to.conn.SetReadDeadline(time.Now().Add(quietTime))
		}
	}
	return nil
}

// owns reports whether b is a frame of this flow.
func (f *flow) owns(b []byte) bool {
	v := frame.Frame(b)
	return len(b) == f.size && v.Src() == f.from.mac && v.Dst() == f.to.mac && v.EtherType() == frame.EtherTypeExperimental
}
