// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
)

// A Router says where frames go. Route is called with the lock held.
type Router interface {
	sync.Locker

	// Header returns what precedes each frame in its datagram. It does not change.
	Header() []byte

	// Route returns the index of the socket to send a frame from, and its
	// destination: nil if the socket is connected. head is the beginning of the
	// frame: all of it, or at least HeadLen bytes.
	Route(head []byte) (socket int, to *Peer)
}

// HeadLen is how much of a frame a Router gets to see at least: the headers that say
// which flow it belongs to.
const HeadLen = 64

// A Peer is a destination of datagrams.
type Peer struct {
	addr    Addr
	name    name
	entries int  // of the table that lead here
	gone    bool // has said goodbye
}

// NewPeer returns a destination.
func NewPeer(a Addr) *Peer {
	p := &Peer{addr: a}
	p.name.put(a)
	return p
}

// Addr returns the address of p.
func (p *Peer) Addr() Addr { return p.addr }

const (
	sendBatch   = 256   // frames of one plan
	maxSegments = 64    // datagrams of one message
	maxPayload  = 65507 // bytes of one datagram, and of one message
	maxPieces   = 1024  // of one message (UIO_MAXIOV)
	lookBack    = 8     // messages to look at for one to extend
)

// A sender sends frames as few messages. It plans which frames go in which message,
// fills the headers and makes the system calls.
type sender struct {
	l       *Link
	waits   bool
	step    func() bool   // transmit, made once
	stepNow func(uintptr) // the same, for hold

	mu     sync.Mutex // held for a whole send, also while it waits; guards what follows
	mem    *sendMemory
	iovs   []unix.Iovec
	msgs   int  // planned
	bytes  int  // in them
	next   int  // message to send
	calls  int  // system calls that sent something
	again  bool // the plan has to be made again
	full   bool // the queue is full
	failed bool // the message to send has failed once

	retries int // of the message to send
}

type sendMemory struct {
	state    [sendBatch]state   // of each frame
	of       [sendBatch]int16   // the message that a frame is in
	msg      [sendBatch]message // in the order in which they were begun
	order    [sendBatch]int16   // of messages, those of a socket together
	hdrs     [sendBatch]mmsghdr // in this order
	controls [sendBatch][cmsgSpace]byte
	head     [HeadLen]byte
}

// A state is what has become of a frame.
type state uint8

const (
	unsent state = iota
	sent
	lost // the kernel did not take it, and would not take it again
)

// A message is datagrams of one size to one destination, the last of which may be
// shorter.
type message struct {
	socket int
	to     *Peer
	size   int // of the datagrams
	frames int
	bytes  int
	pieces int
	iov    int // of the first piece; moves on while they are filled in
	short  bool
	state  state
}

func (s *sender) init(l *Link, waits bool) {
	s.l, s.waits = l, waits
	s.step = s.transmit
	s.stepNow = func(uintptr) { s.transmit() }
}

// send sends all frames of t.
func (s *sender) send(t *link.Tx) (n, calls int, err error) {
	if s.mem == nil {
		s.mem = new(sendMemory)
	}
	s.calls = 0
	for err == nil && n < t.Len() {
		k, tooLong := s.admit(t, n)
		if k > 0 {
			k, err = s.sendBatch(t, n, k)
		}
		if n += k; err == nil {
			err = tooLong
		}
	}
	return n, s.calls, err
}

// admit returns how many of the frames from the given one on fit a datagram each, at
// most as many as a plan is made for, and an error about the next one if that is too
// long.
func (s *sender) admit(t *link.Tx, from int) (k int, err error) {
	limit := maxPayload - len(s.l.cfg.Router.Header())
	for k = range min(t.Len()-from, sendBatch) {
		if n := t.Size(from + k); n > limit {
			return k, fmt.Errorf("frame of %d bytes, and a datagram has room for %d: %w", n, limit, unix.EMSGSIZE)
		}
	}
	return k + 1, nil
}

// sendBatch sends k frames from the given one on. Frames that were not sent although
// later ones were are counted as Unsent.
func (s *sender) sendBatch(t *link.Tx, from, k int) (n int, err error) {
	m := s.mem
	clear(m.state[:k])
	for {
		s.plan(t, from, k)
		if s.waits {
			err = s.l.tx.wait(s.step)
		} else {
			err = s.l.tx.hold(s.stepNow)
		}
		for i := range k {
			if m.state[i] == unsent {
				m.state[i] = m.msg[m.of[i]].state
			}
		}
		s.forget()
		if err != nil || !s.again {
			break
		}
	}
	missed := 0
	for i, st := range m.state[:k] {
		if st != unsent {
			n = i + 1
		}
	}
	for _, st := range m.state[:n] {
		if st != sent {
			missed++
		}
	}
	s.l.unsent.Add(uint64(missed))
	if err == nil && n < k {
		err = link.ErrFull
	}
	return n, err
}

// plan decides which message each frame goes in that was not sent yet, and fills the
// headers.
func (s *sender) plan(t *link.Tx, from, k int) {
	m, r := s.mem, s.l.cfg.Router
	s.msgs, s.bytes, s.next, s.again, s.full, s.failed, s.retries = 0, 0, 0, false, false, false, 0
	extra := len(r.Header())
	limit := s.l.gso.limit()
	r.Lock()
	pieces := 0
	for i := range k {
		if m.state[i] != unsent {
			continue
		}
		n, p := t.Size(from+i)+extra, 1
		if t.Pieces != nil {
			p = len(t.Pieces[from+i])
		}
		if extra > 0 {
			p++
		}
		socket, to := r.Route(s.head(t, from+i))
		m.of[i] = int16(s.place(socket, to, n, p, limit))
		pieces += p
		s.bytes += n
	}
	r.Unlock()
	if len(s.iovs) < pieces {
		s.iovs = make([]unix.Iovec, max(pieces, 2*sendBatch))
	}
	s.arrange()
	for i := range k {
		if m.state[i] == unsent {
			s.fill(t, from+i, &m.msg[m.of[i]], r.Header())
		}
	}
}

// place adds a frame, of n bytes in p pieces, to the message that the frame before it
// to the same destination is in, or to a new one. It returns the message's number.
func (s *sender) place(socket int, to *Peer, n, p, limit int) int {
	for j := s.msgs - 1; j >= max(0, s.msgs-lookBack); j-- {
		g := &s.mem.msg[j]
		if g.socket != socket || g.to != to {
			continue
		}
		switch {
		case g.short, n > g.size, n == 0, g.size > limit, g.frames == maxSegments, g.bytes+n > maxPayload, g.pieces+p > maxPieces:
			if n <= g.size && g.size > limit {
				s.l.gso.missed()
			}
		default:
			g.frames++
			g.bytes += n
			g.pieces += p
			g.short = n < g.size
			return j
		}
		break
	}
	s.mem.msg[s.msgs] = message{socket: socket, to: to, size: n, frames: 1, bytes: n, pieces: p}
	s.msgs++
	return s.msgs - 1
}

// head returns the beginning of a frame.
func (s *sender) head(t *link.Tx, i int) []byte {
	if t.Pieces == nil {
		return t.Frames[i]
	}
	pieces := t.Pieces[i]
	if len(pieces) > 0 && len(pieces[0]) >= HeadLen {
		return pieces[0]
	}
	n := 0
	for _, p := range pieces {
		n += copy(s.mem.head[n:], p)
	}
	return s.mem.head[:n]
}

// arrange puts the messages of each socket together, in their order, and prepares
// their headers.
func (s *sender) arrange() {
	m := s.mem
	at, iov := 0, 0
	for socket := range s.l.cfg.Sockets {
		for j := range s.msgs {
			g := &m.msg[j]
			if g.socket != socket {
				continue
			}
			m.order[at] = int16(j)
			h := &m.hdrs[at].hdr
			*h = unix.Msghdr{}
			if g.to != nil {
				h.Name, h.Namelen = &g.to.name.bytes()[0], g.to.name.len
			}
			if g.pieces > 0 {
				h.Iov = &s.iovs[iov]
			}
			h.SetIovlen(g.pieces)
			if g.frames > 1 {
				h.Control = &m.controls[at][0]
				h.SetControllen(putSegmentSize(&m.controls[at], g.size))
			}
			g.iov = iov
			iov += g.pieces
			at++
		}
	}
}

// putSegmentSize writes the control message that has the kernel cut a message, and
// returns its length.
func putSegmentSize(b *[cmsgSpace]byte, size int) int {
	if cmsgHeader == 16 {
		binary.NativeEndian.PutUint64(b[:], cmsgHeader+2)
	} else {
		binary.NativeEndian.PutUint32(b[:], cmsgHeader+2)
	}
	binary.NativeEndian.PutUint32(b[cmsgHeader-8:], unix.SOL_UDP)
	binary.NativeEndian.PutUint32(b[cmsgHeader-4:], unix.UDP_SEGMENT)
	binary.NativeEndian.PutUint16(b[cmsgHeader:], uint16(size))
	return cmsgHeader + 8*(cmsgHeader/16) + 4*(1-cmsgHeader/16)
}

// fill adds the pieces of a frame to its message.
func (s *sender) fill(t *link.Tx, i int, g *message, header []byte) {
	add := func(b []byte) {
		v := &s.iovs[g.iov]
		v.Base = nil
		if len(b) > 0 {
			v.Base = &b[0]
		}
		v.SetLen(len(b))
		g.iov++
	}
	if len(header) > 0 {
		add(header)
	}
	if t.Pieces == nil {
		add(t.Frames[i])
		return
	}
	for _, p := range t.Pieces[i] {
		add(p)
	}
}

// forget drops the references to frames.
func (s *sender) forget() {
	n := 0
	for j := range s.msgs {
		n += s.mem.msg[j].pieces
	}
	clear(s.iovs[:n])
}

// transmit sends what is planned. It reports false if a queue is full.
func (s *sender) transmit() bool {
	m := s.mem
	for s.next < s.msgs {
		g := &m.msg[m.order[s.next]]
		end := s.next + 1
		for end < s.msgs && m.msg[m.order[end]].socket == g.socket {
			end++
		}
		n, errno := mmsg(unix.SYS_SENDMMSG, s.l.cfg.Sockets[g.socket], m.hdrs[s.next:end], s.bytes)
		switch {
		case errno == 0:
			for range n {
				m.msg[m.order[s.next]].state = sent
				s.next++
			}
			s.calls++
			s.failed, s.retries = false, 0
			if s.next < end {
				s.refused(g.socket) // the error that ended the call is not told
			}
		case errno == unix.EINTR:
		case errno == unix.EAGAIN:
			return false
		case g.frames > 1 && s.l.gso.refused(errno, g.size):
			s.again = true // what is left goes in other messages
			return true
		case s.refused(g.socket):
			// It was about earlier datagrams, of whatever destination.
		case !s.failed:
			s.failed = true // it may have been so all the same
		default:
			g.state = lost
			s.next++
			s.failed, s.retries = false, 0
		}
	}
	return true
}

// maxRetries is how often in a row a message is tried again because of what happened to
// earlier ones.
const maxRetries = 64

// refused counts what was refused elsewhere of what was sent from a socket. It reports
// whether there was something, so that the message to send should be tried again.
func (s *sender) refused(socket int) bool {
	n := refusals(s.l.cfg.Sockets[socket])
	s.l.unsent.Add(n)
	s.retries++
	return n > 0 && s.retries <= maxRetries
}

// A segmentation knows up to which size of datagrams the kernel cuts messages.
type segmentation struct {
	max    atomic.Int32 // size of datagrams
	misses atomic.Int32 // since max was set
}

// retryAfter is how many frames must have gone alone, which would have been joined
// with others, before larger sizes are tried again: the path may be another one.
const retryAfter = 1 << 14

func (g *segmentation) limit() int { return int(g.max.Load()) }

// missed counts a frame that was too large to be joined with others.
func (g *segmentation) missed() {
	if g.max.Load() > 0 && g.misses.Add(1) >= retryAfter {
		g.set(maxPayload)
	}
}

func (g *segmentation) set(size int) {
	g.max.Store(int32(size))
	g.misses.Store(0)
}

// minMTU is what the datagrams of any path may be long (RFC 791), headers deducted.
const minMTU = 500

// refused reports whether errno says that a message of datagrams of the given size
// cannot be cut. If so, it is not tried again: because they do not fit the path, or
// because the kernel or the device cannot do it at all.
func (g *segmentation) refused(errno unix.Errno, size int) bool {
	switch errno {
	case unix.EMSGSIZE, unix.EINVAL:
		if size <= minMTU {
			size = 1
		}
		g.set(size - 1)
		return true
	case unix.EIO, unix.EOPNOTSUPP, unix.ENOPROTOOPT:
		g.set(0)
		return true
	}
	return false
}
