// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"sync"
	"time"
)

// A states is the Stateful of a link that goes down and comes up again.
type states struct {
	mu   sync.Mutex
	now  State     // guarded by mu; the last change
	down time.Time // guarded by mu; when the link went down, if it is

	calling   sync.Mutex                // held while listeners are called
	listeners map[*func(State)]struct{} // guarded by calling
}

// State implements [Stateful].
func (s *states) State() State {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now
	if !now.Up && !s.down.IsZero() {
		now.Outage = time.Since(s.down)
	}
	return now
}

// OnChange implements [Stateful].
func (s *states) OnChange(f func(State)) (stop func()) {
	s.calling.Lock()
	defer s.calling.Unlock()
	if s.listeners == nil {
		s.listeners = make(map[*func(State)]struct{})
	}
	key := &f
	s.listeners[key] = struct{}{}
	return func() {
		s.calling.Lock()
		defer s.calling.Unlock()
		delete(s.listeners, key)
	}
}

// note makes to the state. down is when the link last went down.
func (s *states) note(to State, down time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.down = to, down
}

// tell calls the listeners with a change that was noted.
func (s *states) tell(to State) {
	s.calling.Lock()
	defer s.calling.Unlock()
	for f := range s.listeners {
		(*f)(to)
	}
}
