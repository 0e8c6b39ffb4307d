// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan

import (
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/udpio"
	"github.com/go-vde/sdk/link"
)

// A tunnel is one network on an endpoint.
type tunnel struct {
	address
	endpoint *endpoint
	head     [headerLen]byte // precedes each frame
	unknown  *udpio.Peer     // where frames to unknown addresses go; guarded by table
	table    *udpio.Table

	follower *udpio.Follower // nil if no interface is that of the link
	senders  []int           // the sockets to send from, while the follower runs
	joined   *group          // guarded by endpoint.mu; nil if there is none

	placer udpio.Placer // guarded by endpoint.mu

	queue queue // guarded by endpoint.mu; frames that other tunnels have received
	event int   // an eventfd, written to when frames have come into the queue

	own, any func(udpio.Datagram) ([]byte, bool) // acceptOwn and acceptAny, made once

	foreign, discarded atomic.Uint64
}

var (
	_ udpio.Router = (*tunnel)(nil)
	_ udpio.Source = (*tunnel)(nil)
)

// Lock implements [udpio.Router].
func (t *tunnel) Lock() {
	t.table.Lock()
	t.table.Tick()
}

// Unlock implements [udpio.Router].
func (t *tunnel) Unlock() { t.table.Unlock() }

// Header implements [udpio.Router].
func (t *tunnel) Header() []byte { return t.head[:] }

// Route implements [udpio.Router].
func (t *tunnel) Route(head []byte) (socket int, to *udpio.Peer) {
	to = t.unknown
	if dst, ok := frame.MACFrom(head[:min(len(head), 6)]); ok && !dst.IsGroup() {
		if known := t.table.Lookup(dst); known != nil {
			to = known
		}
	}
	return int(flow(head) % sendSockets), to
}

// Descriptors implements [udpio.Source].
func (t *tunnel) Descriptors() []int { return []int{t.endpoint.fd, t.event} }

// Take implements [udpio.Source].
func (t *tunnel) Take(rx *link.Rx) (n int, again bool, err error) {
	e := t.endpoint
	e.mu.Lock()
	defer e.mu.Unlock()
	if t.queue.frames > 0 {
		return t.takeQueued(rx), false, nil
	}
	t.Lock()
	defer t.Unlock()
	if len(e.tunnels) == 1 {
		return e.receiver.Take(rx, &t.placer, t.own)
	}
	n, again, err = e.receiver.Take(rx, &t.placer, t.any)
	t.handOver()
	return n, again, err
}

// handOver queues what has been received and not taken, that of t too. Nothing else
// would tell the other tunnels of it: the socket is not readable any more.
func (t *tunnel) handOver() {
	for r := t.endpoint.receiver; r.Pending(); {
		if f, ok := t.acceptAny(r.Next()); ok {
			t.enqueue(f)
		}
	}
}

// takeQueued takes frames from the queue.
func (t *tunnel) takeQueued(rx *link.Rx) (n int) {
	n = t.placer.Rest(rx, 0)
	for n < min(len(rx.Bufs), len(rx.Sizes)) && t.queue.frames > 0 {
		n += t.placer.Place(rx, n, t.queue.get())
	}
	if t.queue.frames == 0 {
		var count [8]byte
		_, _ = unix.Read(t.event, count[:]) // fails if it is 0 already
	}
	return n
}

// acceptOwn accepts datagrams where t is the only tunnel of its endpoint.
func (t *tunnel) acceptOwn(d udpio.Datagram) ([]byte, bool) {
	vni, f, ok := parseHeader(d.Data)
	if !ok || vni != t.VNI {
		t.foreign.Add(1)
		return nil, false
	}
	t.learn(f, d.From)
	return f, true
}

// learn notes where the sender of frame f is. Whatever port it sends from, it
// receives at that of VXLAN. The table is locked.
func (t *tunnel) learn(f []byte, from udpio.Addr) {
	if len(f) >= frame.HeaderLen {
		t.table.Learn(frame.Frame(f).Src(), from.WithPort(uint16(t.Port)))
	}
}

// acceptAny accepts datagrams of t and queues those of other tunnels.
func (t *tunnel) acceptAny(d udpio.Datagram) ([]byte, bool) {
	vni, f, ok := parseHeader(d.Data)
	if ok && vni == t.VNI {
		t.learn(f, d.From)
		return f, true
	}
	o := t.endpoint.tunnels[vni]
	if !ok || o == nil {
		t.foreign.Add(1)
		return nil, false
	}
	o.Lock()
	o.learn(f, d.From)
	o.Unlock()
	o.enqueue(f)
	return nil, false
}

// one is what an eventfd is written to with.
var one = [8]byte{1, 1, 1, 1, 1, 1, 1, 1} // of either order of bytes

// enqueue queues a frame that another tunnel has received.
func (t *tunnel) enqueue(f []byte) {
	if !t.queue.put(f) {
		t.discarded.Add(1)
		return
	}
	if t.queue.frames == 1 {
		_, _ = unix.Write(t.event, one[:]) // fails if it is not 0, which will do
	}
}

// isOwn reports whether d is a datagram of t.
func (t *tunnel) isOwn(d udpio.Datagram) bool {
	vni, _, ok := parseHeader(d.Data)
	return ok && vni == t.VNI
}

// acceptOthers queues d if it is of another tunnel. It reports whether it is of t.
func (t *tunnel) acceptOthers(d udpio.Datagram) bool {
	if t.isOwn(d) {
		return true
	}
	if vni, f, ok := parseHeader(d.Data); ok && t.endpoint.tunnels[vni] != nil {
		t.endpoint.tunnels[vni].enqueue(f)
	}
	return false
}

// Close implements [udpio.Source].
func (t *tunnel) Close() (unread int) {
	t.follower.Close()
	unread = t.endpoint.remove(t)
	unix.Close(t.event)
	return unread
}
