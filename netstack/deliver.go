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

// A delivery hands frames to the stack: at once, or through processors, each a
// goroutine with the flows whose hash chose it.
type delivery struct {
	e     *Endpoint
	r     *run
	merge *coalescer  // of the goroutine that receives; nil if it does not merge
	procs []processor // empty: deliver at once
	seed  maphash.Seed
	wg    sync.WaitGroup
}

// A processor is one goroutine that delivers.
type processor struct {
	batch []*buffer.View      // frames collected by the receiving goroutine
	ch    chan []*buffer.View // batches on their way; the receiver waits when it is full
	free  chan []*buffer.View // empty batches on their way back
}

// procBatches is how many batches may wait for a processor.
const procBatches = 4

func newDelivery(e *Endpoint, r *run) *delivery {
	d := &delivery{e: e, r: r}
	if e.processors < 2 {
		d.merge = d.newCoalescer()
		return d
	}
	d.seed = maphash.MakeSeed()
	d.procs = make([]processor, e.processors)
	for i := range d.procs {
		p := &d.procs[i]
		p.ch = make(chan []*buffer.View, procBatches)
		p.free = make(chan []*buffer.View, procBatches+2)
		d.wg.Go(func() { d.process(p) })
	}
	return d
}

// newCoalescer returns nil if the endpoint does not merge.
func (d *delivery) newCoalescer() *coalescer {
	if !d.e.coalesce {
		return nil
	}
	return &coalescer{deliver: d.deliver, trusted: d.e.caps&stack.CapabilityRXChecksumOffload != 0}
}

// frame takes over v, a frame behind its offload header if frames have one, and
// delivers it now or with the next flush.
func (d *delivery) frame(v *buffer.View) {
	if len(d.procs) == 0 {
		d.pass(v, d.merge)
		return
	}
	p := &d.procs[d.flow(v.AsSlice()[d.e.headerLen:])]
	p.batch = append(p.batch, v)
}

// flush delivers what was held back.
func (d *delivery) flush() {
	if d.merge != nil {
		d.merge.flush()
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

// pass delivers v, now or with m's next flush.
func (d *delivery) pass(v *buffer.View, m *coalescer) {
	if d.e.headerLen > 0 {
		o, _ := frame.ParseVNetHeader(v.AsSlice()) // the connection gives whole ones
		v.TrimFront(frame.VNetHeaderLen)
		if o.Flags != 0 {
			if m != nil {
				m.flush() // what came before goes first
			}
			trusted := d.vouch(o, v.AsSlice())
			d.deliver(buffer.MakeWithView(v), 1, trusted)
			return
		}
	}
	if m != nil {
		m.add(v)
		return
	}
	d.deliver(buffer.MakeWithView(v), 1, false)
}

// trusts reports whether the stack can be told of single packets that they need
// not be verified: only while one goroutine delivers. See [Endpoint.Capabilities].
func (d *delivery) trusts() bool { return len(d.procs) == 0 && d.r.alone }

// deliver gives the stack a packet that was so many frames. trusted says that its
// checksums have been verified or need not be.
func (d *delivery) deliver(b buffer.Buffer, frames int, trusted bool) {
	if trusted = trusted && d.trusts(); trusted != d.e.rxTrusted.Load() {
		d.e.rxTrusted.Store(trusted)
	}
	pkt := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: b})
	defer pkt.DecRef()
	hdr, _ := pkt.LinkHeader().Consume(header.EthernetMinimumSize) // a frame from a Conn has a header
	protocol := header.Ethernet(hdr).Type()
	pkt.NetworkProtocolNumber = protocol
	d.r.delivering.Add(1)
	defer d.r.delivering.Add(-1)
	if d.e.deliverLink.Load() {
		d.r.dispatcher.DeliverLinkPacket(protocol, pkt)
	}
	d.r.dispatcher.DeliverNetworkPacket(protocol, pkt)
	d.e.stats.rxDelivered.Add(uint64(frames))
}

// process delivers until close.
func (d *delivery) process(p *processor) {
	m := d.newCoalescer()
	for batch := range p.ch {
		for i, v := range batch {
			batch[i] = nil
			if d.r.stopping.Load() {
				v.Release()
				d.e.stats.rxFiltered.Add(1)
				continue
			}
			d.pass(v, m)
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

// close waits for the processors, which drop what they still hold if the
// endpoint is being detached.
func (d *delivery) close() {
	for i := range d.procs {
		close(d.procs[i].ch)
	}
	d.wg.Wait()
}

// flow chooses the processor of a frame. Everything that is not plain TCP or UDP
// over IP is kept in order by addresses alone, fragments included; what is not
// IP goes to the first.
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
