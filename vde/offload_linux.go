// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"net"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

// An offloading is the part of a socketLink that is about offload headers. There
// are two questions: whether the datagrams begin with one, which the other side
// has to agree to, and whether the Conn's frames do. Where the answers are the
// same, frames pass as they are. In rings there is room for a header beside each
// frame, so only those who take none have to be spared.
type offloading struct {
	enabled atomic.Bool // each of the Conn's frames begins with a header

	soft, softTry   gso.Soft // enabled only: sends that wait, and those that do not
	plain, plainTry prefixer // offload only: likewise

	behind [readBatch][]byte // enabled only; of receives
	undo   undoer            // offload only; of receives
}

// EnableOffload implements link.Link.
func (l *socketLink) EnableOffload() {
	if l.rings != nil {
		l.rings.enableOffload()
	}
	l.enabled.Store(true)
}

// OffloadAgreed reports whether the other side takes frames with headers.
func (l *socketLink) OffloadAgreed() bool {
	if l.rings != nil {
		return l.rings.Undone()
	}
	return l.offload
}

// as returns what to send the Conn's frames to as they are, or nil if they have a
// header that the other side does not take, or none where it wants one.
func (l *socketLink) as() frameSender {
	enabled := l.enabled.Load()
	switch {
	case l.rings != nil && enabled && l.rings.Undone():
		return headedRing{l.rings.End}
	case l.rings != nil && !enabled, l.rings == nil && enabled == l.offload:
		return l.frameSocket
	}
	return nil
}

// EnableOffload implements link.Link, for this link and those to come.
func (r *relink) EnableOffload() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.headers = true
	for _, l := range r.rx {
		l.EnableOffload()
	}
}

// OffloadAgreed reports whether the other side takes frames with headers now.
func (r *relink) OffloadAgreed() bool {
	l := r.tx.Load()
	return l != nil && l.OffloadAgreed()
}

// Send implements link.Link.
func (l *socketLink) Send(frames [][]byte, wait bool) (n, calls int, err error) {
	switch to := l.as(); {
	case to != nil:
		return to.Send(frames, wait)
	case l.enabled.Load():
		return either(wait, &l.soft, &l.softTry).Send(l.frameSocket, frames, wait)
	}
	return either(wait, &l.plain, &l.plainTry).send(l.frameSocket, frames, wait)
}

// SendBuffers implements link.Link.
func (l *socketLink) SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error) {
	switch to := l.as(); {
	case to != nil:
		return to.SendBuffers(frames, wait)
	case l.enabled.Load():
		return either(wait, &l.soft, &l.softTry).SendBuffers(l.frameSocket, frames, wait)
	}
	return either(wait, &l.plain, &l.plainTry).sendBuffers(l.frameSocket, frames, wait)
}

// either picks the scratch space of sends that wait or of those that do not,
// which must not queue behind one that does.
func either[T any](wait bool, waits, tries *T) *T {
	if wait {
		return waits
	}
	return tries
}

// receive takes frames for Recv and RecvBuffers. Without wait it returns
// link.ErrEmpty if none has come.
func (l *socketLink) receive(bufs [][]byte, sizes []int, wait bool) (n int, err error) {
	switch enabled := l.enabled.Load(); {
	case enabled == l.offload || l.rings != nil:
		return l.datagrams(bufs, sizes, wait)
	case enabled:
		bufs = bufs[:min(len(bufs), readBatch)]
		behind := gso.Behind(l.behind[:], bufs)
		n, err = l.datagrams(behind, sizes, wait)
		clear(behind)
		gso.PutNothing(bufs[:n], sizes)
		return n, err
	}
	return l.undo.receive(l, bufs, sizes, wait)
}

// A prefixer sends ordinary frames to a side that expects headers.
type prefixer struct {
	mu     sync.Mutex // held for the whole send, also while it waits; guards what follows
	pieces [][]byte
	out    []net.Buffers
}

// nothing is the header that says nothing.
var nothing [frame.VNetHeaderLen]byte

// maxPieces is how many pieces of a datagram the kernel takes.
const maxPieces = 1024

// send is link.Link's Send.
func (p *prefixer) send(to gso.Sender, frames [][]byte, wait bool) (n, calls int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grow(2 * len(frames))
	for _, f := range frames {
		p.add(nothing[:], f)
	}
	return p.flush(to, wait)
}

// sendBuffers is link.Link's SendBuffers.
func (p *prefixer) sendBuffers(to gso.Sender, frames []net.Buffers, wait bool) (n, calls int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := 0
	for _, pieces := range frames {
		size += 1 + len(pieces)
	}
	p.grow(size)
	for _, pieces := range frames {
		if len(pieces) == maxPieces { // the header would be one too many
			p.add(append(nothing[:len(nothing):len(nothing)], pieces[0]...), pieces[1:]...)
			continue
		}
		p.add(nothing[:], pieces...)
	}
	return p.flush(to, wait)
}

// grow makes room for n pieces.
func (p *prefixer) grow(n int) { p.pieces = slices.Grow(p.pieces, n) }

// add adds a frame.
func (p *prefixer) add(head []byte, rest ...[]byte) {
	from := len(p.pieces)
	p.pieces = append(append(p.pieces, head), rest...)
	p.out = append(p.out, p.pieces[from:len(p.pieces):len(p.pieces)])
}

// flush sends what was added.
func (p *prefixer) flush(to gso.Sender, wait bool) (n, calls int, err error) {
	n, calls, err = to.SendBuffers(p.out, wait)
	clear(p.pieces)
	clear(p.out)
	p.pieces, p.out = p.pieces[:0], p.out[:0]
	return n, calls, err
}
