// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"hash/maphash"
	"sync"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"

	"github.com/go-vde/sdk/frame"
)

// A delivery hands frames to the stack: at once, or through processors. Each
// processor is a goroutine, and the hash of a flow chooses the processor.
type delivery struct {
	e     *Endpoint
	r     *run
	gro   *coalescer  // of the goroutine that receives; nil if it does not merge
	procs []processor // empty: deliver at once
	seed  maphash.Seed
	wg    sync.WaitGroup
}

// A processor is one goroutine that delivers.
type processor struct {
	batch []rxFrame      // frames collected by the receiving goroutine
	ch    chan []rxFrame // batches to deliver; the receiver waits when it is full
	free  chan []rxFrame // empty batches to use again
}

// procBatches is how many batches may wait for a processor.
const procBatches = 4

func newDelivery(e *Endpoint, r *run) *delivery {
	d := &delivery{e: e, r: r}
	if e.processors < 2 {
		d.gro = d.newCoalescer()
		return d
	}
	d.seed = maphash.MakeSeed()
	d.procs = make([]processor, e.processors)
	for i := range d.procs {
		p := &d.procs[i]
		p.ch = make(chan []rxFrame, procBatches)
		p.free = make(chan []rxFrame, procBatches+2)
		d.wg.Go(func() { d.process(p) })
	}
	return d
}

// newCoalescer returns nil if the endpoint does not use GRO.
func (d *delivery) newCoalescer() *coalescer {
	if !d.e.gro {
		return nil
	}
	return &coalescer{deliver: d.deliver, trusted: d.e.caps&stack.CapabilityRXChecksumOffload != 0}
}

// An rxFrame is a received frame and its metadata.
type rxFrame struct {
	view *buffer.View
	meta frame.VNetHeader
}

// frame takes over f, and delivers it at once or with the next flush.
func (d *delivery) frame(f rxFrame) {
	if len(d.procs) == 0 {
		d.pass(f, d.gro)
		return
	}
	p := &d.procs[d.flow(f.view.AsSlice())]
	p.batch = append(p.batch, f)
}

// flush delivers the frames that frame has collected.
func (d *delivery) flush() {
	if d.gro != nil {
		d.gro.flush()
	}
	for i := range d.procs {
		p := &d.procs[i]
		if len(p.batch) == 0 {
			continue
		}
		p.ch <- p.batch
		select {
		case p.batch = <-p.free:
		default:
			p.batch = nil
		}
	}
}

// pass delivers f, at once or with m's next flush.
func (d *delivery) pass(f rxFrame, m *coalescer) {
	if b := f.view.AsSlice(); d.e.paths != nil && mayReportSize(b) && !d.e.paths.receive(b) {
		f.view.Release()
		d.e.stats.rxFiltered.Add(1)
		return
	}
	switch {
	case f.meta.Flags != 0:
		if m != nil {
			m.flush() // keeps the order
		}
		trusted := d.trustChecksum(f.meta, f.view.AsSlice())
		d.deliver(buffer.MakeWithView(f.view), 1, trusted)
	case m != nil:
		m.add(f.view)
	default:
		d.deliver(buffer.MakeWithView(f.view), 1, false)
	}
}

// trusts reports whether Capabilities can answer for single packets that they need
// not be verified. It can while only one goroutine delivers packets; see
// [Endpoint.Capabilities].
func (d *delivery) trusts() bool { return len(d.procs) == 0 && d.r.alone }

// deliver gives the stack a packet that consists of the given number of frames.
// trusted means that its checksums have been verified or need not be.
func (d *delivery) deliver(b buffer.Buffer, frames int, trusted bool) {
	if trusted = trusted && d.trusts(); trusted != d.e.rxTrusted.Load() {
		d.e.rxTrusted.Store(trusted)
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: b})
	defer pkt.DecRef()
	hdr, _ := pkt.LinkHeader().Consume(header.EthernetMinimumSize) // frames of a Conn have a whole header
	protocol := header.Ethernet(hdr).Type()
	pkt.NetworkProtocolNumber = protocol
	d.r.delivering.Add(1)
	defer d.r.delivering.Add(-1)
	if d.e.deliverLink.Load() {
		d.r.dispatcher.DeliverLinkPacket(protocol, pkt)
	}
	d.r.dispatcher.DeliverNetworkPacket(protocol, pkt)
	if d.e.delivered != nil {
		d.e.delivered()
	}
	d.e.stats.rxDelivered.Add(uint64(frames))
}

// process delivers batches until close.
func (d *delivery) process(p *processor) {
	m := d.newCoalescer()
	for batch := range p.ch {
		for i, f := range batch {
			batch[i] = rxFrame{}
			if d.r.stopping.Load() {
				f.view.Release()
				d.e.stats.rxFiltered.Add(1)
				continue
			}
			d.pass(f, m)
		}
		if m != nil {
			m.flush()
		}
		select {
		case p.free <- batch[:0]:
		default: // more in circulation than are needed
		}
	}
}

// close waits for the processors. While the endpoint is being detached, they drop
// the frames that they have not delivered.
func (d *delivery) close() {
	for i := range d.procs {
		close(d.procs[i].ch)
	}
	d.wg.Wait()
}

// flow returns the processor of a frame. TCP and UDP packets are distributed by
// addresses and ports, other IP packets and fragments by addresses. Frames without
// an IP packet go to the first processor.
func (d *delivery) flow(f []byte) int {
	ip := f[header.EthernetMinimumSize:]
	var key []byte
	switch header.Ethernet(f).Type() {
	case header.IPv4ProtocolNumber:
		h := header.IPv4(ip)
		if len(h) < header.IPv4MinimumSize {
			return 0
		}
		key = ip[12:20]
		ports := int(h.HeaderLength())
		if hasPorts(h.Protocol()) && !h.More() && h.FragmentOffset() == 0 && len(ip) >= ports+4 && ports >= header.IPv4MinimumSize {
			return d.index(key, ip[ports:ports+4])
		}
	case header.IPv6ProtocolNumber:
		h := header.IPv6(ip)
		if len(h) < header.IPv6MinimumSize {
			return 0
		}
		key = ip[8:40]
		if hasPorts(h.NextHeader()) && len(ip) >= header.IPv6MinimumSize+4 {
			return d.index(key, ip[header.IPv6MinimumSize:header.IPv6MinimumSize+4])
		}
	default:
		return 0
	}
	return d.index(key, nil)
}

func hasPorts(protocol uint8) bool {
	return protocol == uint8(header.TCPProtocolNumber) || protocol == uint8(header.UDPProtocolNumber)
}

func (d *delivery) index(addrs, ports []byte) int {
	var h maphash.Hash
	h.SetSeed(d.seed)
	h.Write(addrs)
	h.Write(ports)
	return int(h.Sum64() % uint64(len(d.procs)))
}
