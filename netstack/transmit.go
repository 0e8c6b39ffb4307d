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

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
)

const (
	// txBatch is how many frames are given to the connection at once, as many as
	// one system call takes; more, if a long packet becomes so many.
	txBatch = 64

	// defaultQueue is enough to keep the sender and the transmitting goroutine
	// from waiting for each other, and too little to add a noticeable delay.
	defaultQueue = 256

	// stallAfter is how long a sender waits while no frame is sent, in time that this
	// process had (see countdown). It bounds how late a deadline or Close can be
	// while the peer is stopped. One second is also TCP's initial retransmission
	// timeout.
	stallAfter = time.Second

	// maxPieces is the largest number of pieces of one frame. A frame of more is
	// copied into one piece; the connection takes 1024.
	maxPieces = 512
)

// A txQueue holds packets between the stack, which adds them from any goroutine,
// and the one goroutine that transmits.
//
// The queueing disciplines of gVisor do not serve here, because they drop packets
// when they are full. The transmitting goroutine collects packets into batches: the
// stack passes down one packet at a time.
type txQueue struct {
	mu     sync.Mutex
	ring   []*stack.PacketBuffer // guarded by mu; each element owns a reference
	head   int                   // guarded by mu
	n      int                   // guarded by mu: packets
	frames int                   // guarded by mu: frames that the packets become
	limit  int                   // immutable: frames of packets that can wait; the queue holds twice as many
	closed bool                  // guarded by mu

	parked bool          // guarded by mu: the transmitter waits for wake
	wake   chan struct{} // capacity 1

	idle    chan struct{} // guarded by mu: closed when the transmitter parks; nil if drain does not wait
	waiting list.List     // guarded by mu: of *txWaiter, in the order in which they get room
	taken   uint64        // guarded by mu: batches taken
	stalled bool          // guarded by mu: a waiter gave up and no batch has been taken since
}

// A txWaiter is a packet that waits for room. The goroutine that makes room moves
// it into the queue, so that its sender wakes only once and packets keep their
// order.
type txWaiter struct {
	pkt  *stack.PacketBuffer // the sender's reference holds it
	done chan putResult      // capacity 1
}

// A putResult is the result of adding a packet.
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

// close releases the packets in the queue and returns how many frames they were.
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

// drain waits until the queue is empty and the transmitter has sent its batch, or
// until stallAfter has passed.
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
	stall := newCountdown(stallAfter)
	defer stall.stop()
	for {
		select {
		case <-idle:
			return
		case <-stall.timer.C:
			if stall.passed() {
				return
			}
		}
	}
}

// put adds pkt, which becomes the given number of frames. If it succeeds, the queue
// takes a reference of its own. wait says whether pkt may wait for room, reserve
// whether it may use the part of the queue for packets that must not wait. waited
// reports whether it had to wait.
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
	stall := newCountdown(stallAfter)
	defer stall.stop()
	for seen := q.taken; ; {
		q.mu.Unlock()
		select {
		case res := <-w.done:
			q.mu.Lock()
			return res
		case <-stall.timer.C:
			q.mu.Lock()
		}
		select {
		case res := <-w.done: // just now
			return res
		default:
		}
		switch over := stall.passed(); {
		case q.taken != seen:
			seen = q.taken
			stall.restart()
		case over:
			q.waiting.Remove(e)
			q.stalled = true
			return putStalled
		}
	}
}

// push adds a packet. q.mu is held, and there is room.
func (q *txQueue) push(pkt *stack.PacketBuffer, frames int) {
	q.ring[(q.head+q.n)%len(q.ring)] = pkt.IncRef()
	q.n++
	q.frames += frames
	q.wakeTransmitter()
}

// take moves packets that become at least txBatch frames, or all if there are
// fewer, to dst. The references move too. It waits while the queue is empty, and
// returns 0 when the queue has been closed.
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

// pop removes the first packet; q.mu is held.
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

// WritePackets implements stack.LinkWriter. A goroutine of the endpoint sends the
// packets in the order of the calls, in batches that may span calls.
func (e *Endpoint) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	for i, pkt := range pkts.AsSlice() {
		wait, reserve := false, false
		if e.policy == Backpressure {
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
		var err tcpip.Error = &tcpip.ErrNoBufferSpace{}
		switch res {
		case putFull:
			e.stats.txDroppedFull.Add(left)
		case putStalled:
			e.stats.txDroppedStalled.Add(left)
		default:
			e.stats.txDroppedClosed.Add(left)
			err = &tcpip.ErrClosedForSend{}
		}
		if fromUnspecified(pkt) {
			break
		}
		return i, err
	}
	return pkts.Len(), nil
}

// fromUnspecified reports whether the host sends pkt before it has an IPv6 address. Such
// packets are solicitations, which are repeated, and reports of groups. An error for one
// would end duplicate address detection and leave the address tentative for ever, and the
// next solicitation of another host for that address would make the stack panic.
func fromUnspecified(pkt *stack.PacketBuffer) bool {
	h := header.IPv6(pkt.NetworkHeader().Slice())
	return pkt.NetworkProtocolNumber == header.IPv6ProtocolNumber && len(h) >= header.IPv6MinimumSize && h.SourceAddress() == header.IPv6Any
}

// mayWait reports whether the goroutine that sends pkt may wait. A goroutine that
// receives must not wait, because two hosts that send to each other could wait for
// each other. Such a goroutine sends answers of the stack to received packets, and
// forwarded packets.
func mayWait(pkt *stack.PacketBuffer) bool {
	if pkt.NetworkPacketInfo.IsForwardedPacket {
		return false
	}
	switch ipPayload(pkt) {
	case header.UDPProtocolNumber:
		return true
	case header.TCPProtocolNumber:
		// Resets answer segments without a connection. The header is missing in
		// fragments, which TCP does not produce.
		h := header.TCP(pkt.TransportHeader().Slice())
		return len(h) < header.TCPMinimumSize || h.Flags()&header.TCPFlagRst == 0
	}
	return false
}

// ipPayload returns the protocol that an IP packet or fragment carries, or 0.
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

// transmitLoop sends the packets of the queue until it is closed.
func (e *Endpoint) transmitLoop() {
	t := transmitter{e: e}
	for {
		n := e.tx.take(&t.pkts)
		if n == 0 {
			e.tail.release()
			return
		}
		t.send(t.pkts[:n])
		if e.probes {
			e.tail.keep(t.pkts[:n])
		}
		for i, pkt := range t.pkts[:n] {
			pkt.DecRef()
			t.pkts[i] = nil
		}
	}
}

// A transmitter holds the scratch space of transmitLoop.
type transmitter struct {
	e       *Endpoint
	pkts    [txBatch]*stack.PacketBuffer
	gather  []net.Buffers      // one for each frame, of pieces
	metas   []frame.VNetHeader // one for each frame
	pieces  [][]byte
	data    [][]byte       // pieces of one packet
	headers []byte         // of segments
	copies  []*buffer.View // of packets in too many pieces
}

// send gives pkts to the connection.
func (t *transmitter) send(pkts []*stack.PacketBuffer) {
	agreed := t.e.offload && t.e.conn.Caps().Offload&link.OffloadTSO != 0
	for _, pkt := range pkts {
		t.build(pkt, agreed)
	}
	if t.e.policy == TailDrop {
		t.writeTailDrop()
	} else {
		t.writeBackpressure()
	}
	clear(t.gather)
	t.gather, t.metas = t.gather[:0], t.metas[:0]
	clear(t.pieces[:cap(t.pieces)])
	t.pieces = t.pieces[:0]
	t.headers = t.headers[:0]
	for _, v := range t.copies {
		v.Release()
	}
	clear(t.copies)
	t.copies = t.copies[:0]
}

// build appends the frames that pkt becomes. A GSO packet becomes one frame if the
// other side takes GSO frames.
func (t *transmitter) build(pkt *stack.PacketBuffer, agreed bool) {
	if isSegmentable(pkt) {
		// The connection would segment it too, but with a copy.
		if !agreed || !t.appendGSOFrame(pkt) {
			t.segment(pkt)
		}
		return
	}
	if mtu := t.pathMTUOf(pkt); mtu != 0 {
		t.fragment(pkt, mtu)
		return
	}
	from := len(t.pieces)
	t.pieces = appendPieces(t.pieces, pkt)
	t.frame(from, frame.VNetHeader{})
}

// frame makes a frame with metadata h of the pieces from index from on.
func (t *transmitter) frame(from int, h frame.VNetHeader) {
	if len(t.pieces)-from > maxPieces {
		v := buffer.NewView(txBatch * maxPieces)
		for _, p := range t.pieces[from:] {
			v.Write(p) // grows as needed and does not fail
		}
		t.copies = append(t.copies, v)
		t.pieces = append(t.pieces[:from], v.AsSlice())
	}
	// If a later append moves the pieces, this slice refers to the old array,
	// which has the same content.
	t.gather = append(t.gather, t.pieces[from:len(t.pieces):len(t.pieces)])
	t.metas = append(t.metas, h)
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

// writeBackpressure gives the frames to the connection in pieces, without a copy,
// and waits until the connection has taken them.
func (t *transmitter) writeBackpressure() {
	t.write(t.e.conn.WritePackets)
}

// writeTailDrop gives the frames to the connection and drops those that its queue
// does not take.
func (t *transmitter) writeTailDrop() {
	t.write(t.e.conn.TryWritePackets)
}

// write gives the frames to the connection by one of its methods.
func (t *transmitter) write(write func([]net.Buffers, []frame.VNetHeader) (int, error)) {
	for left, metas := t.gather, t.metas; len(left) > 0; {
		n, err := write(left, metas)
		left, metas = left[n:], metas[n:]
		switch {
		case len(left) == 0:
			return
		case errors.Is(err, vde.ErrFull):
			t.e.stats.txDroppedFull.Add(uint64(len(left)))
			return
		case t.e.isEnd(err):
			t.e.stats.txDroppedClosed.Add(uint64(len(left)))
			return
		}
		t.e.stats.txDroppedError.Add(1)
		left, metas = left[1:], metas[1:]
	}
}
