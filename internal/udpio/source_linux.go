// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
)

// Take receives frames without waiting, as [Source] says, and places them with p.
// accept returns the frame in a datagram, or false if there is none.
func (r *Receiver) Take(rx *link.Rx, p *Placer, accept func(Datagram) ([]byte, bool)) (n int, again bool, err error) {
	room := min(len(rx.Bufs), len(rx.Sizes))
	n = p.Rest(rx, 0)
	for vain := 0; n < room; {
		for n < room && r.Pending() {
			if f, ok := accept(r.Next()); ok {
				n += p.Place(rx, n, f)
			}
		}
		if n > 0 {
			return n, false, nil
		}
		if vain == maxVain {
			return 0, true, nil
		}
		vain++
		if ok, err := r.Fill(); !ok {
			return 0, false, err
		}
	}
	return n, false, nil
}

// A PrivateSource is a source on sockets of one link.
type PrivateSource struct {
	Locker   sync.Locker // held while Accept is called
	Receiver *Receiver
	Sockets  []int
	Accept   func(Datagram) ([]byte, bool)

	placer Placer
}

// Descriptors implements [Source].
func (s *PrivateSource) Descriptors() []int { return s.Sockets }

// Take implements [Source].
func (s *PrivateSource) Take(rx *link.Rx) (n int, again bool, err error) {
	s.Locker.Lock()
	defer s.Locker.Unlock()
	return s.Receiver.Take(rx, &s.placer, s.Accept)
}

// Close implements [Source].
func (s *PrivateSource) Close() (unread int) {
	for _, fd := range s.Sockets {
		_ = Refuse(fd) // so that the count is final
	}
	s.Locker.Lock()
	unread = s.placer.Pending() + s.Receiver.Count(func(d Datagram) bool {
		_, ok := s.Accept(d)
		return ok
	})
	s.Locker.Unlock()
	for _, fd := range s.Sockets {
		unix.Close(fd)
	}
	return unread
}
