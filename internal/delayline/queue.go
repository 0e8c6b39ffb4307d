// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package delayline

import (
	"cmp"
	"time"
)

// A scheduled frame is one that is under way.
type scheduled struct {
	at    time.Time // of arrival
	order uint64    // among those that arrive at the same time
	frame Frame
}

// compare orders frames by arrival.
func (f scheduled) compare(g scheduled) int {
	if n := f.at.Compare(g.at); n != 0 {
		return n
	}
	return cmp.Compare(f.order, g.order)
}

// A queue is a heap with the next frame to arrive first. Unlike package
// container/heap it allocates nothing for a frame.
type queue []scheduled

func (q *queue) push(f scheduled) {
	*q = append(*q, f)
	s := *q
	i := len(s) - 1
	for i > 0 {
		up := (i - 1) / 2
		if f.compare(s[up]) >= 0 {
			break
		}
		s[i] = s[up]
		i = up
	}
	s[i] = f
}

// pop takes the next frame, which is there.
func (q *queue) pop() scheduled {
	s := *q
	first, n := s[0], len(s)-1
	f := s[n]
	s[n] = scheduled{}
	s = s[:n]
	*q = s
	if n == 0 {
		return first
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && s[down+1].compare(s[down]) < 0 {
			down++
		}
		if f.compare(s[down]) <= 0 {
			break
		}
		s[i] = s[down]
		i = down
	}
	s[i] = f
	return first
}
