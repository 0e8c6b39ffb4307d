// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// Frames that are under way when a switch is killed are lost. TCP detects the loss
// at once if a later segment arrives: the receiver reports the gap. After the loss
// of a whole window no later segment may be sent, and nothing follows the last
// segment of a request; then only the retransmission timer helps, which takes at
// least 200 milliseconds. Therefore the endpoint keeps the last few frames that it
// has sent and sends them again when the link is up, as a tail loss probe does
// (RFC 8985, section 7). Receivers ignore the frames that they already have. Only
// connections that reconnect keep frames, which costs a quarter of a microsecond
// for each batch.

// probeFrames is how many frames are kept. Three segments must follow a gap before
// the sender takes it for a loss.
const probeFrames = 4

// probeTimes are the times after which the frames are sent again, counted from
// when the link is up: the peer may reconnect later than this host.
var probeTimes = [...]time.Duration{0, 10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond}

// A tailProbe holds the last TCP packets that were sent and have to be
// acknowledged.
type tailProbe struct {
	mu   sync.Mutex
	pkts []*stack.PacketBuffer // guarded by mu; each element owns a reference; at most probeFrames
}

// keep records that pkts have been sent. It takes references of its own.
func (p *tailProbe) keep(pkts []*stack.PacketBuffer) {
	// Only the end of a batch can be among the last frames.
	from, frames := len(pkts), 0
	for ; from > 0 && frames < probeFrames; from-- {
		if toAcknowledge(pkts[from-1]) {
			frames += frameCount(pkts[from-1])
		}
	}
	if frames == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pkt := range pkts[from:] {
		if toAcknowledge(pkt) {
			p.pkts = append(p.pkts, pkt.IncRef())
		}
	}
	total := 0
	for _, pkt := range p.pkts {
		total += frameCount(pkt)
	}
	old := 0
	for total-frameCount(p.pkts[old]) >= probeFrames {
		total -= frameCount(p.pkts[old])
		p.pkts[old].DecRef()
		old++
	}
	n := copy(p.pkts, p.pkts[old:])
	clear(p.pkts[n:])
	p.pkts = p.pkts[:n]
}

// release drops all packets.
func (p *tailProbe) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pkt := range p.pkts {
		pkt.DecRef()
	}
	p.pkts = nil
}

// toAcknowledge reports whether pkt is a TCP segment that has to be acknowledged:
// one with data, SYN or FIN.
func toAcknowledge(pkt *stack.PacketBuffer) bool {
	if ipPayload(pkt) != header.TCPProtocolNumber {
		return false
	}
	h := header.TCP(pkt.TransportHeader().Slice())
	return len(h) >= header.TCPMinimumSize &&
		(h.Flags()&(header.TCPFlagSyn|header.TCPFlagFin) != 0 || pkt.Size() > pkt.HeaderSize())
}

// probe sends the last frames again, as far as the queue of the connection takes
// them. It returns an error if the link is down again.
func (e *Endpoint) probe() error {
	p := &e.tail
	p.mu.Lock()
	defer p.mu.Unlock()
	t := transmitter{e: e}
	for _, pkt := range p.pkts {
		t.build(pkt, false) // another switch may have other capabilities
	}
	first := max(0, len(t.gather)-probeFrames)
	n, err := e.conn.TryWritePackets(t.gather[first:], t.metas[first:])
	e.stats.txTailProbes.Add(uint64(n))
	for _, v := range t.copies {
		v.Release()
	}
	return err
}

// probeLoop sends probes at probeTimes, until the link is down or the host ends.
func (h *Host) probeLoop() {
	begin := time.Now()
	for _, after := range probeTimes {
		timer := time.NewTimer(time.Until(begin.Add(after)))
		select {
		case <-timer.C:
		case <-h.done:
			timer.Stop()
			return
		}
		if h.ep.probe() != nil {
			return
		}
	}
}
