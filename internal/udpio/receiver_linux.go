// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"golang.org/x/sys/unix"
)

// mmsghdr is the kernel's struct mmsghdr. Its members come from x/sys for each
// architecture, and Go pads the end to the alignment of Msghdr's pointers just
// as C does, so the stride is right on all of them (asserted in a test).
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32 // bytes moved, written by the kernel
}

const (
	// recvBatch is how many messages a system call receives, each of which may
	// consist of up to 64 KB of datagrams.
	recvBatch = 16

	// maxMessage is more than any message has bytes.
	maxMessage = 1 << 16

	// maxVain is how many system calls a receive makes that bring no frame, before
	// it looks at deadlines again.
	maxVain = 4
)

// A Datagram is one received datagram. Its bytes are valid until the next one.
type Datagram struct {
	Data   []byte
	From   Addr
	Socket int // index of the socket in the list given to NewReceiver
}

// A Receiver receives datagrams from sockets that do not wait. It belongs to one
// goroutine at a time. Its memory is allocated at the first receive; of each buffer
// only the pages that datagrams have filled are in use.
type Receiver struct {
	fds  []int
	turn int // the socket to begin with

	mem    *receiveMemory
	socket int // that the messages came from
	n, at  int // messages received; the next one
	from   Addr
	joined joined
}

type receiveMemory struct {
	hdrs     [recvBatch]mmsghdr
	iovs     [recvBatch]unix.Iovec
	names    [recvBatch]name
	controls [recvBatch][2 * cmsgSpace]byte
	bufs     [recvBatch][maxMessage]byte
}

// NewReceiver returns a receiver on sockets, which stay the caller's.
func NewReceiver(fds ...int) *Receiver { return &Receiver{fds: fds} }

// prepare sets the fields that the kernel changes, for the first n messages.
func (m *receiveMemory) prepare(n int) {
	for i := range m.hdrs[:n] {
		h := &m.hdrs[i].hdr
		h.Namelen = nameLen
		h.SetControllen(len(m.controls[i]))
		h.Flags = 0
	}
}

func newReceiveMemory() *receiveMemory {
	m := new(receiveMemory)
	for i := range m.hdrs {
		h := &m.hdrs[i].hdr
		m.iovs[i].Base = &m.bufs[i][0]
		m.iovs[i].SetLen(maxMessage)
		h.Iov = &m.iovs[i]
		h.SetIovlen(1)
		h.Name = &m.names[i].bytes()[0]
		h.Control = &m.controls[i][0]
	}
	m.prepare(recvBatch)
	return m
}

// Pending reports whether datagrams are left of the last system call.
func (r *Receiver) Pending() bool { return r.joined.more || r.at < r.n }

// Next returns the next datagram that Fill has received.
func (r *Receiver) Next() Datagram {
	if !r.joined.more {
		i := r.at
		r.at++
		h := &r.mem.hdrs[i]
		control := r.mem.controls[i][:min(int(h.hdr.Controllen), len(r.mem.controls[i]))]
		r.from = r.mem.names[i].addr(h.hdr.Namelen)
		r.joined.set(r.mem.bufs[i][:min(int(h.len), maxMessage)], segmentSize(control, cmsgHeader-8))
	}
	return Datagram{r.joined.next(), r.from, r.socket}
}

// Fill receives when nothing is pending. It reports whether there is something now;
// if not, err may say what the kernel has noted about earlier datagrams.
func (r *Receiver) Fill() (ok bool, err error) {
	if r.mem == nil {
		r.mem = newReceiveMemory()
	}
	for range r.fds {
		s := r.turn
		if r.turn++; r.turn == len(r.fds) {
			r.turn = 0
		}
		r.mem.prepare(r.n)
		r.n, r.at = 0, 0
		n, errno := mmsg(unix.SYS_RECVMMSG, r.fds[s], r.mem.hdrs[:], 0)
		switch {
		case errno == 0 && n > 0:
			r.n, r.socket = n, s
			return true, nil
		case errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR:
			return false, errno
		}
	}
	return false, nil
}

// Count takes everything that there is and returns how many datagrams accept
// reports true for.
func (r *Receiver) Count(accept func(Datagram) bool) (count int) {
	for refused := 0; refused < maxVain; {
		for r.Pending() {
			if accept(r.Next()) {
				count++
			}
		}
		ok, err := r.Fill()
		switch {
		case err != nil:
			refused++
		case !ok:
			return count
		}
	}
	return count
}
