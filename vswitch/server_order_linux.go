// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"container/list"
	"math"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
)

// A pendingConn is a connection from when it is accepted until its request has been
// answered. That time it holds one of the listener's places.
type pendingConn struct {
	fd       int
	socket   *ctlSocket // that it was accepted at
	peer     unix.Ucred
	seq      uint64    // of all that were accepted
	deadline time.Time // by which the request has to come

	state    pendingState  // guarded by pendingConns.mu
	byAge    *list.Element // in pendingConns.all; guarded by pendingConns.mu
	byUser   *list.Element // in a list of the user, if idle or readable; guarded by pendingConns.mu
	answered chan struct{} // closed when what has come has been dealt with; replaced with pendingConns.mu held

	request *requestBuffer // used by the goroutine that reads
}

// A pendingState says what a pendingConn waits for.
type pendingState uint8

const (
	pendingIdle     pendingState = iota // for the client
	pendingReadable                     // for its turn: something has come that has not been read
	pendingActive                       // for nothing: a goroutine reads it and answers it
	pendingGone                         // it has no place
)

// A pendingUser is the pending connections of one user.
type pendingUser struct {
	idle, readable list.List // by age, and in the order of their coming
	active         int
}

func (u *pendingUser) places() int { return u.idle.Len() + u.readable.Len() + u.active }

// A pendingConns is the pending connections of a listener.
//
// There are so many places. If one more connection comes, an idle one is closed: a
// client sends its request at once, so it is one that most likely never sends
// anything. It is the oldest of the user who has most of them, and never of one who
// has no more than his share of the places, so that one user's connections do not
// cost another's. One whose request lies there is closed only if the user has no
// other and more than his share.
//
// Of those whose request has come, not every one gets a goroutine at once: a user
// has at most as many active ones as there are places that nobody's active ones
// take. So one user whose requests take long to answer gets no more than half of the
// places, a second one a quarter, and there always is one for the next.
type pendingConns struct {
	limit    int
	watch    func(fd int, again bool) error // has came called, once, when something has come or the client has gone
	setAlarm func(time.Time)                // has expire called then; the zero time is never
	start    func(*pendingConn)             // starts the goroutine that reads
	closed   func(*pendingConn, error)      // is told which were closed to make room, and why; all four are called with mu held

	mu       sync.Mutex
	ended    bool                    // guarded by mu
	accepted uint64                  // guarded by mu; connections so far
	all      list.List               // guarded by mu; by age
	byFD     map[int]*pendingConn    // guarded by mu
	users    map[uint32]*pendingUser // guarded by mu
	readable int                     // guarded by mu; connections in that state
	active   int                     // guarded by mu; connections in that state
	alarm    time.Time               // guarded by mu
}

// placeLimit returns how many places there are: those configured, but not so many
// that there would be no descriptors left for endpoints.
func placeLimit(configured int) int {
	var r unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &r) != nil {
		return configured
	}
	return max(1, min(configured, int(min(r.Cur/4, math.MaxInt32))))
}

// add gives p, which has just been accepted, a place, and its number.
func (c *pendingConns) add(p *pendingConn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return net.ErrClosed
	}
	if err := c.watch(p.fd, false); err != nil {
		return err
	}
	c.accepted++
	p.seq, p.answered = c.accepted, make(chan struct{})
	p.byAge = c.all.PushBack(p)
	c.byFD[p.fd] = p
	c.setIdle(p)
	for c.all.Len() > c.limit && c.evict() {
	}
	return nil
}

// makeRoom closes an idle connection because there are no descriptors left, and
// reports whether there was one.
func (c *pendingConns) makeRoom() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.all.Len()
	for c.evictIdle(0) {
		if c.all.Len() < before {
			return true
		}
	}
	return false
}

// evict closes a connection to make room or finds that it cannot be closed and goes
// on with it. It reports whether there was one. mu is held.
//
// It is one of a user who has more than his share. There may be none, because
// goroutines have all of them; then there are more connections than places, but no
// more than twice as many, because the next one of such a user is closed.
func (c *pendingConns) evict() bool {
	share := c.limit / len(c.users)
	if c.evictIdle(share) {
		return true
	}
	// All his places are taken by requests that wait for their answer. The last that
	// came goes.
	u := c.userWithMost(func(u *pendingUser) int {
		if u.readable.Len() == 0 || u.places() <= share {
			return 0
		}
		return u.places()
	})
	if u == nil {
		return false
	}
	p := u.readable.Back().Value.(*pendingConn)
	c.drop(p)
	c.closed(p, errEvicted)
	return true
}

// evictIdle is evict for idle connections of users who have more than share. mu is
// held.
func (c *pendingConns) evictIdle(share int) bool {
	u := c.userWithMost(func(u *pendingUser) int {
		if u.places() <= share {
			return 0
		}
		return u.idle.Len()
	})
	if u == nil {
		return false
	}
	// One whose client has gone already is best.
	const looks = 16
	e := u.idle.Front()
	for range min(looks, u.idle.Len()) {
		p := e.Value.(*pendingConn)
		switch p.look() {
		case pendingReadable:
			c.setReadable(p)
			return true
		case pendingGone:
			c.drop(p)
			c.closed(p, errSilent)
			return true
		}
		e = e.Next()
	}
	p := u.idle.Front().Value.(*pendingConn)
	c.drop(p)
	c.closed(p, errEvicted)
	return true
}

// userWithMost returns the user of whom count is the highest, or nil if it is 0 for
// all. mu is held.
func (c *pendingConns) userWithMost(count func(*pendingUser) int) (most *pendingUser) {
	highest := 0
	for _, u := range c.users {
		if n := count(u); n > highest {
			most, highest = u, n
		}
	}
	return most
}

// look returns the state that an idle connection is in really: readable if
// something has come, gone if the client has closed it.
func (p *pendingConn) look() pendingState {
	var b [1]byte
	n, _, err := unix.Recvfrom(p.fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	switch {
	case err == unix.EAGAIN, err == unix.EINTR:
		return pendingIdle
	case err != nil, n == 0:
		return pendingGone
	}
	return pendingReadable
}

// drop closes a connection that no goroutine has. mu is held.
func (c *pendingConns) drop(p *pendingConn) {
	c.remove(p)
	transport.CloseConnection(p.fd)
}

// remove takes p's place away. mu is held.
func (c *pendingConns) remove(p *pendingConn) {
	c.setState(p, pendingGone)
	c.all.Remove(p.byAge)
	if c.byFD[p.fd] == p { // else it is closed already, and the number another's
		delete(c.byFD, p.fd)
	}
	close(p.answered)
	if u := c.users[p.peer.Uid]; u.places() == 0 {
		delete(c.users, p.peer.Uid)
	}
}

// setState changes the state of p, but for its place in a list. mu is held.
func (c *pendingConns) setState(p *pendingConn, state pendingState) {
	u := c.users[p.peer.Uid]
	switch {
	case u == nil:
		u = new(pendingUser)
		c.users[p.peer.Uid] = u
	case p.state == pendingIdle && p.byUser != nil:
		u.idle.Remove(p.byUser)
	case p.state == pendingReadable:
		u.readable.Remove(p.byUser)
		c.readable--
	case p.state == pendingActive:
		u.active--
		c.active--
	}
	p.state, p.byUser = state, nil
	switch state {
	case pendingReadable:
		p.byUser = u.readable.PushBack(p)
		c.readable++
	case pendingActive:
		u.active++
		c.active++
	}
}

// setIdle has p wait for the client. mu is held.
func (c *pendingConns) setIdle(p *pendingConn) {
	c.setState(p, pendingIdle)
	idle := &c.users[p.peer.Uid].idle
	// A client that sends its request in pieces does not get younger by that.
	next := idle.Back()
	if next != nil && next.Value.(*pendingConn).seq > p.seq {
		for next = idle.Front(); next.Value.(*pendingConn).seq < p.seq; next = next.Next() {
		}
		p.byUser = idle.InsertBefore(p, next)
	} else {
		p.byUser = idle.PushBack(p)
	}
	if c.alarm.IsZero() || p.deadline.Before(c.alarm) {
		c.alarm = p.deadline
		c.setAlarm(c.alarm)
	}
}

// setReadable notes that something has come from p, and starts it if it is its
// turn. mu is held.
func (c *pendingConns) setReadable(p *pendingConn) {
	c.setState(p, pendingReadable)
	c.activate(c.users[p.peer.Uid])
}

// activate starts those of u whose turn it is. mu is held.
func (c *pendingConns) activate(u *pendingUser) {
	for u.readable.Len() > 0 && u.active < c.limit-c.active {
		p := u.readable.Front().Value.(*pendingConn)
		c.setState(p, pendingActive)
		c.start(p)
	}
}

// came notes that something has come from the connection fd.
func (c *pendingConns) came(fd int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.byFD[fd]; p != nil && p.state == pendingIdle && !c.ended {
		c.setReadable(p)
	}
}

// incomplete notes that p's goroutine has read all that came of the request and ends
// until more comes. After an error p is still active.
func (c *pendingConns) incomplete(p *pendingConn) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return net.ErrClosed
	}
	if err := c.watch(p.fd, true); err != nil {
		return err
	}
	c.setIdle(p)
	close(p.answered)
	p.answered = make(chan struct{})
	c.activateAll()
	return nil
}

// done notes that p's request has been answered, or that none will come, and that
// what p had is released.
func (c *pendingConns) done(p *pendingConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(p)
	c.activateAll()
}

// activateAll starts those whose turn it is. mu is held.
func (c *pendingConns) activateAll() {
	if c.readable == 0 || c.ended {
		return
	}
	for _, u := range c.users {
		c.activate(u)
	}
}

// expire closes the connections whose request has not come in time, and returns
// them.
func (c *pendingConns) expire(now time.Time) (silent []*pendingConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil
	}
	c.alarm = time.Time{}
	for e := c.all.Front(); e != nil; {
		p := e.Value.(*pendingConn)
		e = e.Next()
		switch {
		case p.state != pendingIdle:
		case p.deadline.After(now):
			// Those that came later have later deadlines.
			c.alarm = p.deadline
			c.setAlarm(c.alarm)
			return silent
		case p.look() == pendingReadable:
			c.setReadable(p)
		default:
			c.drop(p)
			silent = append(silent, p)
		}
	}
	c.setAlarm(time.Time{})
	return silent
}

// end closes all connections but those that goroutines have.
func (c *pendingConns) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for e := c.all.Front(); e != nil; {
		p := e.Value.(*pendingConn)
		e = e.Next()
		if p.state != pendingActive {
			c.drop(p)
		}
	}
}

// before returns the connections of p's process that were accepted before p and of
// which something has come that has not been dealt with: the channels are closed
// then.
func (c *pendingConns) before(p *pendingConn) (answers []<-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.all.Front(); e != nil; e = e.Next() {
		q := e.Value.(*pendingConn)
		if q.seq >= p.seq {
			break
		}
		if q.state != pendingIdle && q.peer.Uid == p.peer.Uid && q.peer.Pid == p.peer.Pid {
			answers = append(answers, q.answered)
		}
	}
	return answers
}

// awaitAnswers waits until all answers are closed, at most for the given time, or
// until ending is closed.
//
// A client that waits for its reply may ask, on a second connection, for what is
// certain to be refused, and take the refusal for a sign that the switch has
// dealt with the first request and will not answer it: that is true of
// vde_switch, which does one thing after the other and refuses in silence
// (docs/spec/vde-protocol.md, section 9). Requests are dealt with side by side
// here, and one may have to wait for Admit or for a processor. A request waits
// only for those of the same process that were accepted before, so no two wait for
// each other, and nobody for a stranger.
func awaitAnswers(answers []<-chan struct{}, limit time.Duration, ending <-chan struct{}) {
	if len(answers) == 0 {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for _, answered := range answers {
		select {
		case <-answered:
		case <-timer.C:
			return
		case <-ending:
			return
		}
	}
}
