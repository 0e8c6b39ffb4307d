// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package impair

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/internal/delayline"
	"github.com/go-vde/sdk/internal/jsonconf"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
)

// DefaultQueue is how many frames may be under way in one direction if
// Impairment.Queue is zero.
const DefaultQueue = 65536

// An Impairment is what happens to the frames of one direction. The zero value
// changes nothing.
type Impairment struct {
	// Delay is how long each frame is under way. Jitter is the largest deviation
	// from Delay, in either direction; the deviations are distributed uniformly.
	// Jitter alone does not change the order of frames.
	Delay, Jitter time.Duration

	// Loss, Duplicate and Reorder are probabilities from 0 to 1: that a frame is
	// lost, that it arrives twice, and that it skips the delay and so overtakes
	// frames that entered before it.
	Loss, Duplicate, Reorder float64

	// Rate limits the bits per second of Ethernet frames, counting their headers
	// and no other overhead; 0 means no limit. The delay begins when a frame has
	// been sent at this rate.
	Rate int64

	// Queue is how many frames may be under way; 0 means DefaultQueue. Further
	// frames are dropped and counted.
	Queue int
}

// MarshalJSON writes the durations as text, as in "20ms".
func (i Impairment) MarshalJSON() ([]byte, error) {
	type plain Impairment
	return json.Marshal(struct {
		plain
		Delay, Jitter jsonconf.Duration
	}{plain(i), jsonconf.Duration(i.Delay), jsonconf.Duration(i.Jitter)})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (i *Impairment) UnmarshalJSON(b []byte) error {
	type plain Impairment
	v := struct {
		*plain
		Delay, Jitter *jsonconf.Duration
	}{(*plain)(i), (*jsonconf.Duration)(&i.Delay), (*jsonconf.Duration)(&i.Jitter)}
	return json.Unmarshal(b, &v)
}

// line returns i for a delay line.
func (i Impairment) line() delayline.Impairment {
	if i.Queue == 0 {
		i.Queue = DefaultQueue
	}
	return delayline.Impairment(i)
}

func (i Impairment) check(direction string) error {
	for _, p := range []struct {
		name  string
		value float64
	}{{"Loss", i.Loss}, {"Duplicate", i.Duplicate}, {"Reorder", i.Reorder}} {
		if !(p.value >= 0 && p.value <= 1) { // NaN too
			return fmt.Errorf("%s.%s is %v, want a probability from 0 to 1", direction, p.name, p.value)
		}
	}
	for _, v := range []struct {
		name  string
		value int64
	}{{"Delay", int64(i.Delay)}, {"Jitter", int64(i.Jitter)}, {"Rate", i.Rate}, {"Queue", int64(i.Queue)}} {
		if v.value < 0 {
			return fmt.Errorf("%s.%s is negative", direction, v.name)
		}
	}
	return nil
}

// A Config describes a line.
type Config struct {
	Seed uint64     // of the random numbers
	Out  Impairment // of frames written to the line's Conn
	In   Impairment // of frames read from it
}

// Validate returns what is wrong with c, or nil. [New] and [Line.Set] do the same.
func (c Config) Validate() error {
	if err := c.Out.check("Out"); err != nil {
		return fmt.Errorf("impair: %w", err)
	}
	if err := c.In.check("In"); err != nil {
		return fmt.Errorf("impair: %w", err)
	}
	return nil
}

// Stats are the counters of one direction. At any moment
//
//	Frames + Duplicated = Delivered + Lost + Partitioned + Overflowed + Refused + Pending
type Stats struct {
	Frames      uint64 // entered the line
	Delivered   uint64 // left the line
	Duplicated  uint64 // copies made
	Lost        uint64 // dropped because of Impairment.Loss
	Partitioned uint64 // dropped because of Partition
	Overflowed  uint64 // dropped because Impairment.Queue frames were under way
	Refused     uint64 // not accepted at the end of the line: the connection had ended, or its queue stayed full
	Pending     uint64 // under way now
	Reordered   uint64 // sent without delay because of Impairment.Reorder
}

// A Line is an impaired connection around a good one. Its methods may be called
// from any goroutine.
type Line struct {
	inner   *vde.Conn
	outer   *vde.Conn // nil until New has made it
	caps    link.Caps // immutable
	out, in *delayline.Line
	ready   *inbox
	buffers *pool.Pool
	running sync.WaitGroup

	writeDeadline deadline.Timer

	closeOnce sync.Once
	closing   chan struct{}
	unread    int
	closeErr  error
}

// New returns a line around c and takes c over: from now on use only the line's
// Conn. Closing that closes c. If New fails, c is still the caller's.
//
// The line's Conn has the name and the longest frame of c, and reports the link
// changes of c. opts are applied to it as by [vde.NewConn], which says which of
// them have an effect; [vde.WithMaxFrameSize] cannot ask for longer frames than c
// takes. Received frames are handed over in the buffers that c has received them
// in, whichever pool [vde.WithFrames] names.
func New(c *vde.Conn, cfg Config, opts ...vde.Option) (*Line, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	opts = slices.Concat([]vde.Option{vde.WithName(c.LocalAddr().String()), vde.WithMaxFrameSize(c.MaxFrameSize())}, opts)
	switch s, err := vde.Settings(opts...); {
	case err != nil:
		return nil, fmt.Errorf("impair: %w", err)
	case s.MaxFrameSize > c.MaxFrameSize():
		return nil, fmt.Errorf("impair: WithMaxFrameSize(%d): the connection below takes %d bytes", s.MaxFrameSize, c.MaxFrameSize())
	}
	l := &Line{inner: c, closing: make(chan struct{}), ready: newInbox(), buffers: pool.New(c.MaxFrameSize(), 0)}
	below := c.Caps()
	l.caps = link.Caps{Name: below.Name, Buffers: lineLink{l}, Pools: l.pools, State: below.State}
	l.out = delayline.New(delayline.Config{Impairment: cfg.Out.line(), Seed: cfg.Seed, Stream: 1, Deliver: l.transmit})
	l.in = delayline.New(delayline.Config{Impairment: cfg.In.line(), Seed: cfg.Seed, Stream: 2, Deliver: l.arrive})
	outer, err := vde.NewConn(c.Context(), lineLink{l}, opts...)
	if err != nil {
		return nil, fmt.Errorf("impair: %w", err)
	}
	l.outer = outer
	for _, run := range []func(){l.out.Run, l.in.Run, l.receive} {
		l.running.Go(run)
	}
	return l, nil
}

// pools returns the pools of the buffers of frames that are under way.
func (l *Line) pools() []*pool.Pool {
	return slices.Concat(l.inner.FramePools(), []*pool.Pool{l.buffers})
}

// owner is how leak mode names the line as the owner of buffers.
func (l *Line) owner() string {
	return fmt.Sprintf("an impair.Line around vde.Conn %q", l.inner.LocalAddr())
}

// Conn returns the connection that the impairments apply to.
func (l *Line) Conn() *vde.Conn { return l.outer }

// Set replaces the impairments. Frames that are under way are not affected, and
// Seed is not used again.
func (l *Line) Set(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	l.out.Set(cfg.Out.line())
	l.in.Set(cfg.In.line())
	return nil
}

// Partition starts a partition of both directions, or ends it. During a
// partition, frames that enter the line are dropped and counted. Frames that are
// under way arrive.
func (l *Line) Partition(on bool) {
	l.out.Partition(on)
	l.in.Partition(on)
}

// Stats returns the counters of both directions. Reading changes nothing.
func (l *Line) Stats() (out, in Stats) { return Stats(l.out.Stats()), Stats(l.in.Stats()) }

// close ends the line.
func (l *Line) close() (unread int, err error) {
	l.closeOnce.Do(func() {
		close(l.closing)
		l.ready.close()
		l.writeDeadline.Stop()
		l.closeErr = l.inner.Close()
		l.out.Stop()
		l.in.Stop()
		l.running.Wait()
		l.unread = l.ready.drain()
	})
	unread, l.unread = l.unread, 0
	return unread, l.closeErr
}

// receive passes what the inner connection receives to the inward direction.
// When the inner connection has ended and all its frames have arrived, receive
// ends the outer one.
func (l *Line) receive() {
	for f := range l.inner.Frames() {
		if pool.LeakMode {
			pool.RemoveOwner(l.inner.FrameOwner(), f.Buffer)
			pool.AddOwner(l.owner(), f.Buffer)
		}
		l.in.Enter([]delayline.Frame{{Buffer: f.Buffer}}, nil)
	}
	select {
	case <-l.in.Idle():
	case <-l.closing:
		return
	}
	l.ready.hangup(l.inner.Err())
}

// transmit gives frames to the inner connection and returns how many it accepted.
// It releases all of them.
func (l *Line) transmit(frames []delayline.Frame) (accepted int) {
	views := make([][]byte, len(frames))
	for i, f := range frames {
		views[i] = f.Buffer.Bytes()
	}
	for len(views) > 0 {
		n, err := l.inner.WriteBatch(views)
		accepted += n
		if err == nil {
			break
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, vde.ErrHangup) {
			break
		}
		views = views[n+1:] // that frame was refused, for its size or for lack of memory
	}
	pool.ReleaseBatch(buffers(frames))
	return accepted
}

// arrive gives frames to the inbox and returns how many there was room for.
func (l *Line) arrive(frames []delayline.Frame) (accepted int) { return l.ready.put(buffers(frames)) }

func buffers(frames []delayline.Frame) []*pool.Buffer {
	list := make([]*pool.Buffer, len(frames))
	for i, f := range frames {
		list[i] = f.Buffer
	}
	return list
}
