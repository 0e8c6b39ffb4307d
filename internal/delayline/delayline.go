// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package delayline is one direction of a bad line: it decides for each frame whether
// it is lost, and when it arrives, and hands over the frames that are due. Package
// impair has two of them around a connection, package vswitch two for each endpoint
// of an impaired port.
//
//	l := delayline.New(delayline.Config{Impairment: i, Deliver: deliver})
//	go l.Run()
//	...
//	l.Enter(frames, nil)
//	...
//	l.Stop()
//
// All waiting uses package time, with one timer for a line.
package delayline

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/pool"
)

// Batch is how many frames are delivered at once.
const Batch = 64

// An Impairment is what happens to frames. Its fields are those of impair.Impairment,
// which says what they mean. Queue has to be given.
type Impairment struct {
	Delay, Jitter            time.Duration
	Loss, Duplicate, Reorder float64
	Rate                     int64
	Queue                    int
}

// A Config describes a line.
type Config struct {
	Impairment

	Seed, Stream uint64 // of the random numbers

	// Longest, if not zero, is the length of the longest frame that takes one place of
	// Queue. One that is n times as long takes n.
	Longest int

	// Owner is how leak mode names the line as the owner of buffers; empty if somebody
	// else does that.
	Owner string

	// Deliver takes over frames that have arrived, no more than Batch, and returns how
	// many were accepted. The slice is the line's again when it returns.
	Deliver func([]Frame) (accepted int)

	// Drop, if not nil, takes over the frames that are under way when the line is
	// stopped.
	Drop func([]Frame)
}

// A Frame is a frame that is under way. It holds one reference to its buffer.
type Frame struct {
	Buffer *pool.Buffer
	Header frame.VNetHeader

	Mark   bool // for the owner of the line, which the line passes on
	Shared bool // set by the line: a copy of the frame has the same buffer
	Copy   bool // set by the line: it is the copy
}

// An Outcome says what became of a frame that entered.
type Outcome uint8

// What becomes of a frame.
const (
	None        Outcome = iota // there is no such frame
	UnderWay                   // it arrives later
	Lost                       // dropped because of Impairment.Loss
	Partitioned                // dropped because of Partition
	Overflowed                 // dropped because Impairment.Queue frames were under way
	Stopped                    // dropped because the line was stopped
)

// A Fate is what became of a frame and, if it was to arrive twice, of its copy.
type Fate struct{ Frame, Copy Outcome }

// Stats are the counters of a line; their meaning is that of impair.Stats.
type Stats struct {
	Frames, Delivered, Duplicated, Lost, Partitioned, Overflowed, Refused, Pending, Reordered uint64
}

// A Line is one direction of a bad line. Its methods may be called from any goroutine.
type Line struct {
	longest int
	owner   string
	deliver func([]Frame) int
	drop    func([]Frame)
	wake    chan struct{} // capacity 1: the head of queue has changed, or what next looks at

	mu      sync.Mutex
	impair  Impairment      // guarded by mu
	random  *rand.Rand      // guarded by mu
	cut     bool            // guarded by mu; partitioned
	stopped bool            // guarded by mu
	drained chan struct{}   // guarded by mu; not nil while draining, closed when that is over
	room    chan struct{}   // guarded by mu; if not nil, closed when half of the places of Queue are free, or no frame is due
	retired bool            // guarded by mu; draining has ended with an empty line, and Run with it
	stats   Stats           // guarded by mu
	order   uint64          // guarded by mu; frames scheduled so far
	free    time.Time       // guarded by mu; when Rate lets the next frame begin
	last    time.Time       // guarded by mu; when the last frame that keeps the order arrives
	queue   queue           // guarded by mu
	used    int             // guarded by mu; places of Queue that are taken
	leaving int             // guarded by mu; frames that deliver is being called with
	idlers  []chan struct{} // guarded by mu; closed when nothing is under way
}

// New returns a line. Run must be called.
func New(c Config) *Line {
	l := &Line{
		longest: c.Longest, owner: c.Owner, deliver: c.Deliver, drop: c.Drop,
		impair: c.Impairment, wake: make(chan struct{}, 1),
	}
	l.Seed(c.Seed, c.Stream)
	return l
}

// Seed begins the random numbers anew.
func (l *Line) Seed(seed, stream uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.random = rand.New(rand.NewPCG(seed, stream))
}

// Set replaces the impairment for frames that enter from now on, and ends draining. It
// reports false if the line has retired.
func (l *Line) Set(i Impairment) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		return false
	}
	l.impair = i
	l.endBacklog()
	return true
}

// Expedite lets no frame that is under way arrive later than it would if all of them
// entered now, with the largest delay that is possible. Their order stays.
func (l *Line) Expedite() {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.SortFunc(l.queue, scheduled.compare) // which is a heap, too
	now := time.Now()
	free := now
	l.last = now
	for i := range l.queue {
		f := &l.queue[i]
		free = free.Add(l.duration(len(f.frame.Buffer.Bytes())))
		if at := free.Add(l.impair.Delay + l.impair.Jitter); f.at.After(at) {
			f.at = at
		}
		if f.at.Before(l.last) {
			f.at = l.last
		}
		l.last = f.at
		f.order = uint64(i) + 1 // no more than have been scheduled
	}
	if l.free.After(free) {
		l.free = free
	}
	l.signal()
}

// Drain lets all frames that are under way arrive now, and has nothing happen to those
// that still enter. When none is under way any more, the line retires: Run returns.
func (l *Line) Drain() {
	l.mu.Lock()
	if l.drained == nil && !l.retired && !l.stopped {
		l.impair = Impairment{Queue: l.impair.Queue}
		l.drained = make(chan struct{})
	}
	l.mu.Unlock()
	l.Expedite()
}

// Backlog returns nil if n frames should enter, or a channel that is closed when it is
// time to ask again. They should not while the line drains, so that it retires, nor when
// there is no room for them although a frame should have left: Deliver takes its time.
// To drop them would be another impairment than the one that was asked for.
func (l *Line) Backlog(n int) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.drained != nil:
		return l.drained
	case len(l.queue) == 0 || l.used+n <= l.impair.Queue || l.queue[0].at.After(time.Now()):
		return nil
	case l.room == nil:
		l.room = make(chan struct{})
	}
	return l.room
}

// endBacklog wakes those who wait because of a backlog; l.mu is held.
func (l *Line) endBacklog() {
	for _, ch := range []*chan struct{}{&l.drained, &l.room} {
		if *ch != nil {
			close(*ch)
			*ch = nil
		}
	}
}

// Partition starts a partition, or ends it: frames that enter meanwhile are dropped.
func (l *Line) Partition(on bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = on
}

// Stats returns the counters.
func (l *Line) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.stats
	s.Pending = uint64(len(l.queue) + l.leaving)
	return s
}

// Pending returns how many frames are under way.
func (l *Line) Pending() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) + l.leaving
}

// Enter decides what happens to frames. It takes them over, and sets fates, if that is
// not nil, unless the line has retired: then it takes none and reports false.
func (l *Line) Enter(frames []Frame, fates []Fate) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired {
		return false
	}
	head := l.head()
	for i, f := range frames {
		fate := l.enter(f)
		if fates != nil {
			fates[i] = fate
		}
	}
	if l.head() != head {
		l.signal()
	}
	return true
}

// head returns the number of the frame that arrives next, or 0; l.mu is held.
func (l *Line) head() uint64 {
	if len(l.queue) == 0 {
		return 0
	}
	return l.queue[0].order
}

// enter decides about one frame; l.mu is held.
func (l *Line) enter(f Frame) (fate Fate) {
	l.stats.Frames++
	// Each frame takes the same random numbers, whatever they decide, so that one
	// decision does not change those about later frames.
	lost := l.random.Float64() < l.impair.Loss
	twice := l.random.Float64() < l.impair.Duplicate
	overtakes := l.random.Float64() < l.impair.Reorder
	jitter := time.Duration((2*l.random.Float64() - 1) * float64(l.impair.Jitter))
	switch {
	case l.stopped:
		l.stats.Refused++
		fate.Frame = Stopped
	case l.cut:
		l.stats.Partitioned++
		fate.Frame = Partitioned
	case lost:
		l.stats.Lost++
		fate.Frame = Lost
	default:
		if twice {
			l.stats.Duplicated++
			f.Shared = true
			again := f
			again.Buffer, again.Copy = f.Buffer.Retain(), true
			fate.Copy = l.schedule(again, overtakes, jitter)
		}
		fate.Frame = l.schedule(f, overtakes, jitter)
		return fate
	}
	f.Buffer.Release()
	return fate
}

// duration returns how long it takes to send n bytes; l.mu is held.
func (l *Line) duration(n int) time.Duration {
	if l.impair.Rate == 0 {
		return 0
	}
	return time.Duration(float64(n) * 8 * float64(time.Second) / float64(l.impair.Rate))
}

// places returns how many places of Impairment.Queue f takes.
func (l *Line) places(f Frame) int {
	if l.longest == 0 {
		return 1
	}
	return 1 + max(len(f.Buffer.Bytes())-1, 0)/l.longest
}

// schedule decides when a frame arrives; l.mu is held.
func (l *Line) schedule(f Frame, overtakes bool, jitter time.Duration) Outcome {
	if l.used >= l.impair.Queue {
		l.stats.Overflowed++
		f.Buffer.Release()
		return Overflowed
	}
	now := time.Now()
	at := now
	if l.impair.Rate > 0 {
		if l.free.Before(now) {
			l.free = now
		}
		l.free = l.free.Add(l.duration(len(f.Buffer.Bytes())))
		at = l.free
	}
	if overtakes {
		l.stats.Reordered++
	} else {
		at = at.Add(max(l.impair.Delay+jitter, 0))
		if at.Before(l.last) {
			at = l.last
		}
		l.last = at
	}
	if pool.LeakMode && l.owner != "" {
		pool.AddOwner(l.owner, f.Buffer)
	}
	l.order++
	l.used += l.places(f)
	l.queue.push(scheduled{at, l.order, f})
	return UnderWay
}

// signal makes Run look at the line again.
func (l *Line) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Run delivers frames when they are due, until Stop, or until the line retires.
func (l *Line) Run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var batch [Batch]Frame
	for {
		n, pause, over := l.next(batch[:])
		switch {
		case over:
			l.dropAll()
			return
		case n > 0:
			accepted := l.deliver(batch[:n])
			clear(batch[:n])
			l.left(n, accepted)
		case pause < 0:
			<-l.wake
		default:
			timer.Reset(pause)
			select {
			case <-timer.C:
			case <-l.wake:
			}
		}
	}
}

// next takes the frames that are due from the queue. If there are none, pause is when
// the next one is, negative for never. over says that Run has to return.
func (l *Line) next(batch []Frame) (n int, pause time.Duration, over bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return 0, 0, true
	}
	now := time.Now()
	for len(l.queue) > 0 && n < len(batch) && !l.queue[0].at.After(now) {
		batch[n] = l.queue.pop().frame
		l.leave(batch[n])
		n++
	}
	l.leaving = n
	l.notifyIdle()
	if l.room != nil && (l.used <= l.impair.Queue/2 || l.queue[0].at.After(now)) {
		close(l.room)
		l.room = nil
	}
	switch {
	case len(l.queue) > 0:
		return n, l.queue[0].at.Sub(now), false
	case n == 0 && l.drained != nil:
		l.retired = true
		l.endBacklog()
		return 0, 0, true
	}
	return n, -1, false
}

// leave is called for a frame that was taken from the queue; l.mu is held.
func (l *Line) leave(f Frame) {
	l.used -= l.places(f)
	if pool.LeakMode && l.owner != "" {
		pool.RemoveOwner(l.owner, f.Buffer)
	}
}

// left counts frames that were delivered.
func (l *Line) left(n, accepted int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.leaving = 0
	l.stats.Delivered += uint64(accepted)
	l.stats.Refused += uint64(n - accepted)
}

// notifyIdle wakes the callers of Idle if nothing is under way; l.mu is held.
func (l *Line) notifyIdle() {
	if l.leaving > 0 || len(l.queue) > 0 {
		return
	}
	for _, ch := range l.idlers {
		close(ch)
	}
	l.idlers = nil
}

// Idle returns a channel that is closed when nothing is under way.
func (l *Line) Idle() <-chan struct{} {
	ch := make(chan struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.idlers = append(l.idlers, ch)
	l.notifyIdle()
	return ch
}

// Stop ends Run. Frames that are under way are dropped, and those that still enter.
func (l *Line) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.endBacklog()
	l.signal()
}

// dropAll drops what is under way when Run returns.
func (l *Line) dropAll() {
	l.mu.Lock()
	frames := make([]Frame, len(l.queue))
	for i, f := range l.queue {
		frames[i] = f.frame
		l.leave(f.frame)
	}
	l.queue = nil
	l.stats.Refused += uint64(len(frames))
	l.mu.Unlock()
	if l.drop != nil && len(frames) > 0 {
		l.drop(frames)
	} else {
		for _, f := range frames {
			f.Buffer.Release()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.notifyIdle()
}
