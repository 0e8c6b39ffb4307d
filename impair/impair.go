// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package impair

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
)

// DefaultQueue is how many frames may be under way in one direction.
const DefaultQueue = 65536

// An Impairment is what happens to the frames of one direction. The zero value
// changes nothing.
type Impairment struct {
	// Delay is how long a frame is under way, and Jitter how much longer or
	// shorter that may be; each frame's share is evenly distributed. Jitter
	// alone does not change the order.
	Delay, Jitter time.Duration

	// Probabilities, from 0 to 1: that a frame is lost, that it arrives twice,
	// and that it overtakes those before it, by not being delayed.
	Loss, Duplicate, Reorder float64

	// Rate is in bits per second of Ethernet frames, headers included and
	// nothing else; 0 is no limit. Frames wait for their turn, and are then
	// delayed.
	Rate int64

	// Queue is how many frames may be under way (default DefaultQueue). Those
	// in excess are dropped and counted.
	Queue int
}

func (i Impairment) check(what string) error {
	for _, p := range []struct {
		name  string
		value float64
	}{{"Loss", i.Loss}, {"Duplicate", i.Duplicate}, {"Reorder", i.Reorder}} {
		if !(p.value >= 0 && p.value <= 1) { // NaN too
			return fmt.Errorf("impair: %s.%s is %v: give a probability, 0 to 1", what, p.name, p.value)
		}
	}
	if i.Delay < 0 || i.Jitter < 0 || i.Rate < 0 || i.Queue < 0 {
		return fmt.Errorf("impair: %s is %+v: give nothing negative", what, i)
	}
	return nil
}

// A Config describes a line.
type Config struct {
	Seed uint64     // of all chance
	Out  Impairment // of frames written to the line's Conn
	In   Impairment // of frames read from it
}

func (c Config) check() error {
	return errors.Join(c.Out.check("Out"), c.In.check("In"))
}

// Stats count the frames of one direction. At any moment
//
//	Frames + Duplicated = Passed + Lost + Partitioned + Overflowed + Refused + Pending
type Stats struct {
	Frames      uint64 // that entered
	Passed      uint64 // that left
	Duplicated  uint64 // copies made
	Lost        uint64 // by chance
	Partitioned uint64 // by Partition
	Overflowed  uint64 // the queue was full
	Refused     uint64 // not taken where they should have gone: the connection had ended, or its queue stayed full
	Pending     uint64 // under way now
	Reordered   uint64 // of those that entered, not delayed
}

// A Line is a bad connection around a good one. Its methods may be called from
// any goroutine.
type Line struct {
	inner   *vde.Conn
	outer   *vde.Conn
	end     func(error)
	out, in *way
	ready   *inbox
	buffers *pool.Pool
	running sync.WaitGroup

	writeDeadline atomic.Pointer[time.Time]

	headers atomic.Bool // the Conn's frames begin with offload headers
	soft    gso.Soft    // of sends, then; none of them waits

	closeOnce sync.Once
	closing   chan struct{}
	unread    int
	closeErr  error
}

// New returns a line around c, which it takes over: from now on only the line's
// Conn may be used, and closing that closes c.
func New(c *vde.Conn, cfg Config) (*Line, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	l := &Line{inner: c, closing: make(chan struct{}), ready: newInbox(), buffers: pool.New(c.MaxFrameSize(), 0)}
	l.out = newWay(cfg.Out, cfg.Seed, 1, l.transmit)
	l.in = newWay(cfg.In, cfg.Seed, 2, l.ready.put)
	opts := []vde.Option{vde.WithMaxFrameSize(c.MaxFrameSize())}
	attached, err := link.Attach(c.LocalAddr().String(), opts, func(link.Settings) (link.Link, error) {
		return carrier{l}, nil
	})
	if err != nil {
		return nil, err
	}
	l.outer, l.end = attached.Conn.(*vde.Conn), attached.End
	for _, run := range []func(){l.out.run, l.in.run, l.receive} {
		l.running.Go(run)
	}
	return l, nil
}

// Conn returns the connection that the impairments apply to.
func (l *Line) Conn() *vde.Conn { return l.outer }

// Set changes the impairments. Frames under way keep the fate they have met;
// the seed is not used again.
func (l *Line) Set(cfg Config) error {
	if err := cfg.check(); err != nil {
		return err
	}
	l.out.set(cfg.Out)
	l.in.set(cfg.In)
	return nil
}

// Partition cuts the line, or mends it: while it is cut, frames that enter in
// either direction are dropped and counted. Those under way arrive.
func (l *Line) Partition(cut bool) {
	l.out.partition(cut)
	l.in.partition(cut)
}

// Stats returns the counters of both directions.
func (l *Line) Stats() (out, in Stats) { return l.out.snapshot(), l.in.snapshot() }

// close ends the line.
func (l *Line) close() (unread int, err error) {
	l.closeOnce.Do(func() {
		close(l.closing)
		l.ready.close()
		l.closeErr = l.inner.Close()
		l.out.stop()
		l.in.stop()
		l.running.Wait()
		l.unread = l.ready.drain()
	})
	unread, l.unread = l.unread, 0
	return unread, l.closeErr
}

// receive takes what the inner connection receives into the way in, and when
// that has ended and all of it has arrived, ends the outer one.
func (l *Line) receive() {
	for f := range l.inner.Frames() {
		l.in.enter(f.Buffer)
	}
	select {
	case <-l.in.idle():
	case <-l.closing:
		return
	}
	l.end(l.inner.Err())
}

// transmit hands frames to the inner connection and returns how many it took.
func (l *Line) transmit(frames []outgoing) (taken int) {
	views := make([][]byte, len(frames))
	for i, f := range frames {
		views[i] = f.Bytes()
	}
	for len(views) > 0 {
		n, err := l.inner.WriteBatch(views)
		taken += n
		if err == nil {
			break
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, vde.ErrHangup) {
			break
		}
		views = views[n+1:] // that one is refused, for its size or for lack of memory
	}
	for _, f := range frames {
		f.Release()
	}
	return taken
}
