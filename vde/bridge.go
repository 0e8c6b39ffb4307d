// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/deadline"
)

// Bridged counts the frames of one direction of a [Bridge].
type Bridged struct {
	Frames uint64 // received from one connection and accepted by the other
	Lost   uint64 // received, and not accepted: too long for the other connection, or it ended
}

// Bridge passes each frame that a receives to b, and the other way round, until one
// of them or ctx ends. It waits while the other connection's queue is full. What a
// connection received before its end is passed on. The error is never nil: the
// reason of the end, such as one that matches [ErrHangup], or the cause of ctx.
//
// Frames go in batches, and unfinished as they are where the other connection takes
// them (see [Conn.ReadPackets]), but finished if one of the two has a hook. Bridge
// sets the deadlines of both connections when it ends, and closes neither.
func Bridge(ctx context.Context, a, b *Conn) (aToB, bToA Bridged, err error) {
	var once sync.Once
	end := func(why error) { once.Do(func() { err = why }) }
	past := deadline.Past()
	// Deadlines cannot be set only if the connection is closed, which wakes too.
	defer context.AfterFunc(ctx, func() {
		end(context.Cause(ctx))
		_, _ = a.SetDeadline(past), b.SetDeadline(past)
	})()
	run := func(from, to *Conn, count *Bridged) {
		why, writing := pass(from, to, count)
		end(why)
		if writing && ctx.Err() == nil {
			_ = from.SetWriteDeadline(time.Now().Add(bridgeDrain)) // for what is left on the other
			return
		}
		_, _ = to.SetReadDeadline(past), from.SetWriteDeadline(past)
	}
	var running sync.WaitGroup
	running.Go(func() { run(a, b, &aToB) })
	running.Go(func() { run(b, a, &bToA) })
	running.Wait()
	once.Do(func() {}) // err is written by now
	return aToB, bToA, err
}

// bridgeDrain is how long what came from a connection before its end may wait for
// the other.
const bridgeDrain = time.Second

// bridgeBatch is the largest number of frames that are passed at once.
const bridgeBatch = 32

// pass passes frames in one direction, until the end, and returns why it ended, and
// whether that was met when it wrote.
func pass(from, to *Conn, count *Bridged) (why error, writing bool) {
	finished := from.hook != nil || to.hook != nil
	size := from.maxFrame
	if !finished {
		size = max(size, frame.MaxGSO)
	}
	bufs, windows := make([][]byte, bridgeBatch), make([][]byte, bridgeBatch)
	pieces, headers := make([]net.Buffers, bridgeBatch), make([]frame.VNetHeader, bridgeBatch)
	for i := range bufs {
		bufs[i], pieces[i] = make([]byte, size), make(net.Buffers, 1)
	}
	for {
		copy(windows, bufs)
		var n int
		var err error
		if finished {
			n, err = from.ReadBatch(windows)
		} else {
			n, err = from.ReadPackets(windows, headers)
		}
		if err != nil {
			return err, false
		}
		for i, w := range windows[:n] {
			pieces[i][0] = w
		}
		for i := 0; i < n; {
			k, err := 0, error(nil)
			if finished {
				k, err = to.WriteBatch(windows[i:n])
			} else {
				k, err = to.WritePackets(pieces[i:n], headers[i:n])
			}
			count.Frames += uint64(k)
			if i += k; err == nil {
				continue
			}
			if to.Err() != nil || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				count.Lost += uint64(n - i)
				return err, true
			}
			count.Lost++ // that frame, for its size or for lack of memory
			i++
		}
	}
}
