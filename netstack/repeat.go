// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// What was under way when a switch died is lost. TCP finds out at once if
// something newer arrives: the receiver says that there is a gap. But when a
// whole window was lost, nothing newer may be sent, and a question that was the
// last thing to say has nothing after it; then only the retransmission timer
// helps, which takes 200 milliseconds at least. So the endpoint keeps the last
// few frames it has sent and sends them once more when the link is back, which
// is what a tail loss probe does (RFC 8985, section 7). Only connections
// that reconnect pay for it, a quarter of a microsecond per batch; who has
// received the frames already ignores them.

// repeatFrames is how many frames are kept: the receiver has to miss something
// before three segments for its peer to believe it.
const repeatFrames = 4

// repeatAfter are the times, since the link is up, when the frames are sent
// again: the other station may come back later than this one.
var repeatAfter = [...]time.Duration{0, 10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond}

// A lastSent holds the last TCP packets with something to acknowledge.
type lastSent struct {
	mu   sync.Mutex
	pkts []*stack.PacketBuffer // guarded by mu; each element owns a reference; at most repeatFrames
}

// keep takes note that pkts have been sent, keeping references of its own.
func (l *lastSent) keep(pkts []*stack.PacketBuffer) {
	// Only the end of a batch can matter.
	from, frames := len(pkts), 0
	for ; from > 0 && frames < repeatFrames; from-- {
		if toAcknowledge(pkts[from-1]) {
			frames += frameCount(pkts[from-1])
		}
	}
	if frames == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pkt := range pkts[from:] {
		if toAcknowledge(pkt) {
			l.pkts = append(l.pkts, pkt.IncRef())
		}
	}
	total := 0
	for _, pkt := range l.pkts {
		total += frameCount(pkt)
	}
	old := 0
	for total-frameCount(l.pkts[old]) >= repeatFrames {
		total -= frameCount(l.pkts[old])
		l.pkts[old].DecRef()
		old++
	}
	n := copy(l.pkts, l.pkts[old:])
	clear(l.pkts[n:])
	l.pkts = l.pkts[:n]
}

// release gives everything back.
func (l *lastSent) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pkt := range l.pkts {
		pkt.DecRef()
	}
	l.pkts = nil
}

// toAcknowledge reports whether pkt is a TCP segment that wants an answer: one
// with data, or the beginning or end of a connection.
func toAcknowledge(pkt *stack.PacketBuffer) bool {
	if ipPayload(pkt) != header.TCPProtocolNumber {
		return false
	}
	h := header.TCP(pkt.TransportHeader().Slice())
	return len(h) >= header.TCPMinimumSize &&
		(h.Flags()&(header.TCPFlagSyn|header.TCPFlagFin) != 0 || pkt.Size() > pkt.HeaderSize())
}

// repeat sends the last frames once more, as far as the queue takes them, and
// returns an error if the link is down again.
func (e *Endpoint) repeat() error {
	l := &e.sent
	l.mu.Lock()
	defer l.mu.Unlock()
	t := transmitter{e: e}
	for _, pkt := range l.pkts {
		t.build(pkt, false) // the switch may be another one now
	}
	t.gather = t.gather[max(0, len(t.gather)-repeatFrames):]
	t.flatten()
	n, err := e.conn.TryWriteBatch(t.frames)
	e.stats.txRepeated.Add(uint64(n))
	for _, v := range t.copies {
		v.Release()
	}
	return err
}

// repeatUntilBack repeats a few times, for as long as the link is up.
func (h *Host) repeatUntilBack() {
	begin := time.Now()
	for _, after := range repeatAfter {
		timer := time.NewTimer(time.Until(begin.Add(after)))
		select {
		case <-timer.C:
		case <-h.done:
			timer.Stop()
			return
		}
		if h.ep.repeat() != nil {
			return
		}
	}
}
