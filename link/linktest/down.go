// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package linktest

import (
	"errors"
	"os"
	"time"

	"github.com/go-vde/sdk/link"
)

// down: when the other side is closed, State says that the link is down and why. What
// the other side had sent is delivered, a send that may not wait fails with ErrDown,
// one that waits and a receive do so until the deadline, and the link has not ended.
func (s *suite) down() {
	state := s.b.Caps().State
	if state == nil {
		s.Fatalf("Options.Down is set, and the link has no State")
	}
	changed := make(chan struct{}, 1)
	stop := state.OnChange(func(link.State) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	want := s.frames(5)
	if n, _, err := s.a.Send(link.Tx{Frames: want}); n != len(want) {
		s.Fatalf("Send: %d, %v", n, err)
	}
	s.a.Close()
	for state.State().Up {
		<-changed
	}
	stop()
	if st := state.State(); st.Up || st.Err == nil {
		s.Errorf("the state after the other side was closed is %+v, want a reason", st)
	}
	s.expect(s.b, want)
	f := s.frame(60)
	if n, _, err := s.b.Send(link.Tx{Frames: [][]byte{f}, NoWait: true}); n != 0 || !errors.Is(err, link.ErrDown) {
		s.Errorf("Send with NoWait while the link is down: %d, %v", n, err)
	}
	if _, err := s.receiver(1).recv(s.b, true); !s.Lossy && !errors.Is(err, link.ErrEmpty) {
		s.Errorf("Recv with NoWait while the link is down: %v", err)
	}
	_, _ = s.b.SetReadDeadline(time.Now()), s.b.SetWriteDeadline(time.Now())
	if n, _, err := s.b.Send(link.Tx{Frames: [][]byte{f}}); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Errorf("Send at the deadline while the link is down: %d, %v", n, err)
	}
	if _, err := s.receiver(1).recv(s.b, false); !s.Lossy && !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Errorf("Recv at the deadline while the link is down: %v", err)
	}
	if err := s.b.Err(); err != nil {
		s.Errorf("the link has ended: %v", err)
	}
}
