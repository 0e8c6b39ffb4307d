// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package fdb

import "slices"

// An entry is in two lists: that of its port and that of the table.
const (
	ofPort = iota
	ofTable
	numLists
)

// neighbors are those of an entry in one list.
type neighbors[P any] struct{ next, prev *entry[P] }

// A list holds entries, the latest first; Table.mu guards it. Walkers pass over it
// a slice at a time and let go of the lock in between.
type list[P any] struct {
	which   int // ofPort, ofTable
	first   *entry[P]
	n       int
	walkers []*walker[P]
}

// A walker is a place in a list. What is put into the list after the walk began it
// does not find.
type walker[P any] struct {
	l    *list[P]
	next *entry[P]
}

// push puts e in front.
func (l *list[P]) push(e *entry[P]) {
	e.in[l.which] = neighbors[P]{next: l.first}
	if l.first != nil {
		l.first.in[l.which].prev = e
	}
	l.first = e
	l.n++
}

// remove takes e, which is in l, out of it.
func (l *list[P]) remove(e *entry[P]) {
	at := e.in[l.which]
	for _, w := range l.walkers {
		if w.next == e {
			w.next = at.next
		}
	}
	if at.prev != nil {
		at.prev.in[l.which].next = at.next
	} else {
		l.first = at.next
	}
	if at.next != nil {
		at.next.in[l.which].prev = at.prev
	}
	e.in[l.which] = neighbors[P]{}
	l.n--
}

// walk returns a walker at the front; end must be called with it.
func (l *list[P]) walk() *walker[P] {
	w := &walker[P]{l, l.first}
	l.walkers = append(l.walkers, w)
	return w
}

func (w *walker[P]) end() {
	i := slices.Index(w.l.walkers, w)
	w.l.walkers = slices.Delete(w.l.walkers, i, i+1)
}

// slice calls do with the next n entries, which it may remove, and reports whether
// there are more.
func (w *walker[P]) slice(n int, do func(*entry[P])) bool {
	for ; n > 0 && w.next != nil; n-- {
		e := w.next
		w.next = e.in[w.l.which].next
		do(e)
	}
	return w.next != nil
}
