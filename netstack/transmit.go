// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"container/list"
	"errors"
	"net"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/vde"
)

const (
	// txBatch is how many frames are given to the connection at once, as many as
	// one system call takes; more, if a long packet becomes so many.
	txBatch = 64

	// defaultQueue frames keep the sender and the transmitting goroutine from
	// waiting for each other, and are few enough not to be felt as delay.
	defaultQueue = 256

	// stallAfter is how long a sender waits when nothing at all moves. It bounds
	// how late a deadline or Close can be while the other side stands still. A
	// second is also when TCP gives up hope for its first segment; on a busy
	// machine, shorter times are mistaken for a stall.
	stallAfter = time.Second

	// maxPieces is the number of pieces of one frame above which it is copied
	// together; the connection takes 1024.
	maxPieces = 512
)

// A txQueue holds packets between the stack, which puts them in from any
// goroutine, and the one goroutine that transmits.
//
// It is there, instead of one of gVisor's queueing disciplines, because those
// drop when they are full and this one waits. Handing over to a goroutine is
// what makes batches: the stack passes down one packet at a time.
type txQueue struct {
	mu     sync.Mutex
	ring   []*stack.PacketBuffer // guarded by mu; each element owns a reference
	head   int                   // guarded by mu
	n      int                   // guarded by mu: packets
	frames int                   // guarded by mu: what they become
	limit  int                   // immutable: frames that may wait; as many again, if they cannot wait outside
	closed bool                  // guarded by mu

	parked bool          // guarded by mu: the transmitter waits for wake
	wake   chan struct{} // capacity 1

	idle    chan struct{} // guarded by mu: closed when the transmitter parks; nil if nobody asks
	waiting list.List     // guarded by mu: of *txWaiter, the first to get room first
	taken   uint64        // guarded by mu: batches taken
	stalled bool          // guarded by mu: a waiter gave up and no batch has been taken since
}

// A txWaiter is a packet that waits for room. Whoever makes room moves it into
// the queue, so that its sender wakes only once, and packets keep their order.
type txWaiter struct {
	pkt  *stack.PacketBuffer // the sender's reference holds it
	done chan putResult      // capacity 1
}

// A putResult says what became of a packet.
type putResult int

const (
	putOK putResult = iota
	putFull
	putStalled
	putClosed
)

func (q *txQueue) init(limit int) {
	q.ring = make([]*stack.PacketBuffer, 2*limit)
	q.limit = limit
	q.closed = true
	q.wake = make(chan struct{}, 1)
}

func (q *txQueue) open() {
	q.mu.Lock()
	q.closed, q.stalled = false, false
	q.mu.Unlock()
}

// close releases what is in the queue and returns how many frames that were.
// Waiters and the transmitter return.
func (q *txQueue) close() (dropped uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	dropped = uint64(q.frames)
	for q.n > 0 {
		q.pop().DecRef()
	}
	for e := q.waiting.Front(); e != nil; e = q.waiting.Front() {
		q.waiting.Remove(e).(*txWaiter).done <- putClosed
	}
	q.wakeTransmitter()
	q.wakeIdle()
	return dropped
}

// drain waits until everything has been sent, but not longer than a stalled
// link deserves.
func (q *txQueue) drain() {
	q.mu.Lock()
	if q.closed || q.n == 0 && q.parked {
		q.mu.Unlock()
		return
	}
	if q.idle == nil {
		q.idle = make(chan struct{})
	}
	idle := q.idle
	q.mu.Unlock()
	timer := time.NewTimer(stallAfter)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
}

// put queues pkt, which becomes so many frames, taking a reference of its own if
// it does. wait says whether it may wait for room, reserve whether it may use
// what is kept for those that do not; waited tells whether it did wait.
func (q *txQueue) put(pkt *stack.PacketBuffer, frames int, wait, reserve bool) (res putResult, waited bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	limit := q.limit
	if reserve {
		limit *= 2
	}
	switch {
	case q.closed:
		return putClosed, false
	case q.frames < limit && (reserve || q.waiting.Len() == 0):
		q.push(pkt, frames)
		return putOK, false
	case !wait:
		return putFull, false
	case q.stalled:
		return putStalled, false
	}
	return q.wait(pkt), true
}

// wait waits for room for pkt, with q.mu released meanwhile.
func (q *txQueue) wait(pkt *stack.PacketBuffer) putResult {
	w := &txWaiter{pkt, make(chan putResult, 1)}
	e := q.waiting.PushBack(w)
	timer := time.NewTimer(stallAfter)
	defer timer.Stop()
	for {
		seen := q.taken
		q.mu.Unlock()
		select {
		case res := <-w.done:
			q.mu.Lock()
			return res
		case <-timer.C:
			q.mu.Lock()
		}
		select {
		case res := <-w.done: // just now
			return res
		default:
		}
		if q.taken == seen {
			q.waiting.Remove(e)
			q.stalled = true
			return putStalled
		}
		timer.Reset(stallAfter)
	}
}

// push adds a packet; q.mu is held and there is room.
func (q *txQueue) push(pkt *stack.PacketBuffer, frames int) {
	q.ring[(q.head+q.n)%len(q.ring)] = pkt.IncRef()
	q.n++
	q.frames += frames
	q.wakeTransmitter()
}

// take moves packets that become txBatch frames to dst, or fewer if there are no
// more, references included, and waits if there are none. It returns 0 when the queue has been closed.
func (q *txQueue) take(dst *[txBatch]*stack.PacketBuffer) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.n == 0 {
		if q.closed {
			return 0
		}
		q.parked = true
		q.wakeIdle()
		q.mu.Unlock()
		<-q.wake
		q.mu.Lock()
	}
	k := 0
	for before := q.frames; q.n > 0 && before-q.frames < txBatch; k++ {
		dst[k] = q.pop()
	}
	q.taken++
	q.stalled = false
	for e := q.waiting.Front(); e != nil && q.frames < q.limit; e = q.waiting.Front() {
		w := q.waiting.Remove(e).(*txWaiter)
		q.push(w.pkt, frameCount(w.pkt))
		w.done <- putOK
	}
	return k
}

// pop takes the first packet; q.mu is held.
func (q *txQueue) pop() *stack.PacketBuffer {
	pkt := q.ring[q.head]
	q.ring[q.head] = nil
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	q.frames -= frameCount(pkt)
	return pkt
}

// wakeTransmitter is called with q.mu held.
func (q *txQueue) wakeTransmitter() {
	if q.parked {
		q.parked = false
		q.wake <- struct{}{} // parked was true, so the channel is empty
	}
}

// wakeIdle is called with q.mu held.
func (q *txQueue) wakeIdle() {
	if q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
}

// WritePackets implements stack.LinkWriter. Packets are sent in the order of the
// calls, by a goroutine of the endpoint, in batches that may span calls.
func (e *Endpoint) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for i, pkt := range pkts.AsSlice() {
		wait, reserve := false, false
		if e.full == WaitWhenFull {
			wait = mayWait(pkt)
			reserve = !wait
		}
		res, waited := e.tx.put(pkt, frameCount(pkt), wait, reserve)
		if waited {
			e.stats.txWaits.Add(1)
		}
		if res == putOK {
			continue
		}
		left := uint64(0)
		for _, pkt := range pkts.AsSlice()[i:] {
			left += uint64(frameCount(pkt))
		}
		switch res {
		case putFull:
			e.stats.txDroppedFull.Add(left)
		case putStalled:
			e.stats.txDroppedStalled.Add(left)
		default:
			e.stats.txDroppedEnd.Add(left)
			return i, &tcpip.ErrClosedForSend{}
		}
		return i, &tcpip.ErrNoBufferSpace{}
	}
	return pkts.Len(), nil
}

// mayWait reports whether the goroutine that sends pkt may be made to wait. It
// may not if it could be the one that receives, because then two hosts that
// send to each other could wait for each other: what is sent from there are
// answers of the stack's own, and packets it forwards.
func mayWait(pkt *stack.PacketBuffer) bool {
	if pkt.NetworkPacketInfo.IsForwardedPacket {
		return false
	}
	switch ipPayload(pkt) {
	case header.UDPProtocolNumber:
		return true
	case header.TCPProtocolNumber:
		// Resets answer segments for nobody. The header is missing in the
		// fragments of a packet, which TCP does not make.
		h := header.TCP(pkt.TransportHeader().Slice())
		return len(h) < header.TCPMinimumSize || h.Flags()&header.TCPFlagRst == 0
	}
	return false
}

// ipPayload returns the protocol that an IP packet carries, a fragment too, or 0.
func ipPayload(pkt *stack.PacketBuffer) tcpip.TransportProtocolNumber {
	if pkt.TransportProtocolNumber != 0 {
		return pkt.TransportProtocolNumber
	}
	h := pkt.NetworkHeader().Slice()
	switch {
	case pkt.NetworkProtocolNumber == header.IPv4ProtocolNumber && len(h) >= header.IPv4MinimumSize:
		return header.IPv4(h).TransportProtocol()
	case pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber && len(h) >= header.IPv6MinimumSize:
		next := header.IPv6(h).NextHeader()
		if next == uint8(header.IPv6FragmentExtHdrIdentifier) && len(h) > header.IPv6MinimumSize {
			next = h[header.IPv6MinimumSize]
		}
		return tcpip.TransportProtocolNumber(next)
	}
	return 0
}

// transmitLoop sends what is queued until the queue is closed.
func (e *Endpoint) transmitLoop() {
	t := transmitter{e: e}
	for {
		n := e.tx.take(&t.pkts)
		if n == 0 {
			e.sent.release()
			return
		}
		t.send(t.pkts[:n])
		if e.repeats {
			e.sent.keep(t.pkts[:n])
		}
		for i, pkt := range t.pkts[:n] {
			pkt.DecRef()
			t.pkts[i] = nil
		}
	}
}

// A transmitter is transmitLoop's scratch space.
type transmitter struct {
	e       *Endpoint
	pkts    [txBatch]*stack.PacketBuffer
	gather  []net.Buffers // one for each frame, of pieces
	pieces  [][]byte
	data    [][]byte       // pieces of one packet
	headers []byte         // of segments, and those of offload
	copies  []*buffer.View // of packets in too many pieces
	flat    []byte         // copies of frames, for try
	frames  [][]byte       // of flat
}

// send gives pkts to the connection.
func (t *transmitter) send(pkts []*stack.PacketBuffer) {
	agreed := t.e.headerLen > 0 && t.e.conn.OffloadAgreed()
	for _, pkt := range pkts {
		t.build(pkt, agreed)
	}
	if t.e.full == DropWhenFull {
		t.try()
	} else {
		t.wait()
	}
	clear(t.gather)
	t.gather = t.gather[:0]
	clear(t.pieces[:cap(t.pieces)])
	t.pieces = t.pieces[:0]
	t.headers = t.headers[:0]
	for _, v := range t.copies {
		v.Release()
	}
	clear(t.copies)
	t.copies = t.copies[:0]
}

// build appends the frames that pkt becomes: one, even of a long segment, if the
// other side agreed to take it whole.
func (t *transmitter) build(pkt *stack.PacketBuffer, agreed bool) {
	if isSegmentable(pkt) {
		// The connection would also cut it, but has to copy for that.
		if !agreed || !t.whole(pkt) {
			t.segment(pkt)
		}
		return
	}
	from := len(t.pieces)
	if t.e.headerLen > 0 {
		t.pieces = append(t.pieces, nothing[:])
	}
	t.pieces = appendPieces(t.pieces, pkt)
	t.frame(from)
}

// frame makes a frame of the pieces appended since there were from.
func (t *transmitter) frame(from int) {
	if len(t.pieces)-from > maxPieces {
		v := buffer.NewView(txBatch * maxPieces)
		for _, p := range t.pieces[from:] {
			v.Write(p) // grows, does not fail
		}
		t.copies = append(t.copies, v)
		t.pieces = append(t.pieces[:from], v.AsSlice())
	}
	// Should a later append move the pieces, this slice keeps the old place
	// alive, and that has the same content.
	t.gather = append(t.gather, t.pieces[from:len(t.pieces):len(t.pieces)])
}

// appendPieces appends the slices that make up pkt.
func appendPieces(pieces [][]byte, pkt *stack.PacketBuffer) [][]byte {
	views, skip := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		if skip >= v.Size() {
			skip -= v.Size()
			continue
		}
		pieces = append(pieces, v.AsSlice()[skip:])
		skip = 0
	}
	return pieces
}

// wait gives the frames to the connection as they are, in pieces, and waits
// until it has taken them.
func (t *transmitter) wait() {
	for left := t.gather; len(left) > 0; {
		n, err := t.e.conn.WriteBuffers(left)
		left = left[n:]
		switch {
		case len(left) == 0:
			return
		case t.e.over(err):
			t.e.stats.txDroppedEnd.Add(uint64(len(left)))
			return
		}
		t.e.stats.txDroppedError.Add(1)
		left = left[1:]
	}
}

// flatten copies the frames to frames.
func (t *transmitter) flatten() {
	t.flat, t.frames = t.flat[:0], t.frames[:0]
	for _, pieces := range t.gather {
		from := len(t.flat)
		for _, p := range pieces {
			t.flat = append(t.flat, p...) // should it move, earlier frames keep the old place
		}
		t.frames = append(t.frames, t.flat[from:])
	}
}

// try offers copies of the frames to the connection and drops what its queue
// does not take.
func (t *transmitter) try() {
	t.flatten()
	for left := t.frames; len(left) > 0; {
		n, err := t.e.conn.TryWriteBatch(left)
		left = left[n:]
		switch {
		case len(left) == 0:
			return
		case errors.Is(err, vde.ErrFull):
			t.e.stats.txDroppedFull.Add(uint64(len(left)))
			return
		case t.e.over(err):
			t.e.stats.txDroppedEnd.Add(uint64(len(left)))
			return
		}
		t.e.stats.txDroppedError.Add(1)
		left = left[1:]
	}
}
