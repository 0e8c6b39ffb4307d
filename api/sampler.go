// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"sync"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vswitch"
)

// intervals are how often counters can be watched.
var intervals = [...]time.Duration{
	100 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 10 * time.Second, time.Minute,
}

// A sampler takes the counters for all who watch them. Watchers of one interval get the
// same samples, and what they have grown by is found once.
type sampler struct {
	sw *vswitch.Switch

	mu     sync.Mutex
	levels [len(intervals)]samplerLevel // guarded by mu
	recent *sample                      // guarded by mu; the last one of any level
}

// A samplerLevel is what all watchers of an interval share.
type samplerLevel struct {
	watchers  int
	prev      *sample
	last      *sample
	all       *shared       // a WatchStatsResponse, of last; nil if nobody has joined since
	growth    *shared       // a WatchStatsResponse, from prev to last
	published chan struct{} // closed at the next sample
	stop      chan struct{} // ends the goroutine
}

// A sample is the counters of one moment. It is not changed any more.
type sample struct {
	stats vswitch.Stats
	time  time.Time
}

// levelFor returns the number of the first interval that is not shorter than d.
func levelFor(d time.Duration) int {
	for i, interval := range intervals {
		if d <= interval {
			return i
		}
	}
	return len(intervals) - 1
}

// sample returns counters that are no older than age.
func (s *sampler) sample(age time.Duration) *sample {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recent == nil || time.Since(s.recent.time) > age {
		s.recent = &sample{s.sw.Stats(), time.Now()}
	}
	return s.recent
}

// join adds a watcher to level i, which has to leave, and returns the sample that it starts
// from and the answer that says it.
func (s *sampler) join(i int) (*sample, *shared) {
	now := s.sample(intervals[i] / 10)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.levels[i]
	if l.watchers++; l.watchers == 1 {
		*l = samplerLevel{watchers: 1, last: now, published: make(chan struct{}), stop: make(chan struct{})}
		go s.run(i, l.stop)
	}
	if l.all == nil {
		l.all = &shared{Message: &pb.WatchStatsResponse{
			Stats: encodeStats(&l.last.stats, l.last.time, everyPort), Interval: durationpb.New(intervals[i]),
		}}
	}
	return l.last, l.all
}

func everyPort(*vswitch.PortStats) bool { return true }

// leave removes a watcher from level i.
func (s *sampler) leave(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := &s.levels[i]
	if l.watchers--; l.watchers == 0 {
		close(l.stop)
		*l = samplerLevel{}
	}
}

// run takes samples for level i until stop is closed.
func (s *sampler) run(i int, stop chan struct{}) {
	ticker := time.NewTicker(intervals[i])
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		now := s.sample(intervals[i] / 10)
		s.mu.Lock()
		prev := s.levels[i].last
		ours := s.levels[i].stop == stop
		s.mu.Unlock()
		if !ours {
			return
		}
		message := growth(i, prev, now)
		s.mu.Lock()
		if l := &s.levels[i]; l.stop == stop {
			l.prev, l.last, l.all, l.growth = prev, now, nil, message
			close(l.published)
			l.published = make(chan struct{})
		}
		s.mu.Unlock()
	}
}

// next waits for a sample of level i after from, and returns it and what the counters have
// grown by, or nil if one of the channels is closed before. The message is shared: it must
// not be changed.
func (s *sampler) next(done, closed <-chan struct{}, i int, from *sample) (*sample, *shared) {
	for {
		s.mu.Lock()
		prev, last, message, published := s.levels[i].prev, s.levels[i].last, s.levels[i].growth, s.levels[i].published
		s.mu.Unlock()
		switch {
		case last == from:
		case prev == from:
			return last, message
		default: // from a slow watcher
			return last, growth(i, from, last)
		}
		select {
		case <-published:
		case <-done:
			return nil, nil
		case <-closed:
			return nil, nil
		}
	}
}

// growth returns what the counters have grown by, for level i.
func growth(i int, from, to *sample) *shared {
	d := to.stats.Sub(from.stats)
	return &shared{Message: &pb.WatchStatsResponse{
		Stats: encodeStats(&d, to.time, func(p *vswitch.PortStats) bool {
			same := *p
			same.Port, same.Out.Queued = 0, 0 // what is queued cannot change alone
			return same != vswitch.PortStats{}
		}),
		Elapsed: durationpb.New(to.time.Sub(from.time)), Interval: durationpb.New(intervals[i]),
	}}
}
