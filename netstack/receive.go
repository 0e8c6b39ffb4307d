// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"errors"
	"net"
	"os"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
)

const (
	// rxBatch is the largest number of frames received at once, as many as
	// ReadBatch returns.
	rxBatch = 64

	// rxIdleBatch is how many buffers are held while no frames arrive.
	rxIdleBatch = 2

	// rxIdle is how long no frame must arrive until the other buffers are
	// released.
	rxIdle = time.Second

	// rxLong is the size of buffers if packets of 64 KiB may arrive. For them
	// rxLongIdle replaces rxIdleBatch.
	rxLong     = frame.MaxGSO
	rxLongIdle = 1
)

// A receiver holds the receive buffers of receiveLoop.
type receiver struct {
	e *Endpoint
	r *run

	size      int // of each buffer
	copyBreak int // size of the largest frame that is copied out of its buffer; see fill
	least     int // buffers held while no frames arrive

	want  int                   // frames to receive at once, adapted to the traffic
	views [rxBatch]*buffer.View // the first held are buffers of size bytes, owned
	held  int
	bufs  [rxBatch][]byte // the bytes of views
	metas [rxBatch]frame.VNetHeader

	armed time.Time // the read deadline that is set, or zero
}

// receiveLoop delivers frames until the endpoint is stopped or the connection
// ends.
func (e *Endpoint) receiveLoop(r *run) {
	rx := &receiver{e: e, r: r, want: 1}
	defer rx.shrink(0)
	out := newDelivery(e, r)
	defer out.close()
	for !r.stopping.Load() {
		rx.fill()
		if !rx.arm() {
			return
		}
		n, err := rx.read()
		switch {
		case err == nil:
			rx.deliver(n, out)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.stopping.Load() {
				return
			}
			rx.idle()
		case r.stopping.Load() || e.isEnd(err):
			return
		default:
			e.fail(err)
			return
		}
	}
}

// isEnd reports whether err means that the connection has ended or that the
// endpoint is being detached, and not that one frame failed.
func (e *Endpoint) isEnd(err error) bool {
	return e.conn.Err() != nil || errors.Is(err, vde.ErrHangup) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, os.ErrDeadlineExceeded)
}

// read receives frames into the buffers.
func (rx *receiver) read() (n int, err error) {
	if rx.e.offload {
		return rx.e.conn.ReadPackets(rx.bufs[:rx.held], rx.metas[:rx.held])
	}
	return rx.e.conn.ReadBatch(rx.bufs[:rx.held])
}

// fill allocates buffers until want are held.
func (rx *receiver) fill() {
	size := header.EthernetMinimumSize + int(rx.e.mtu.Load())
	rx.least = rxIdleBatch
	if rx.e.offload && rx.e.conn.Caps().Offload&link.OffloadTSO != 0 {
		size = max(size, rxLong)
		rx.least = rxLongIdle
	}
	if size != rx.size {
		rx.shrink(0)
		rx.size = size
	}
	rx.want = max(rx.want, rx.least)
	for rx.held < rx.want {
		v := buffer.NewView(rx.size)
		// Use all of the buffer: frames longer than the MTU are received as far
		// as they fit.
		v.Grow(v.Capacity())
		// A frame in a socket holds its buffer. A shorter one than half of it is copied,
		// so that a socket takes at most twice the memory that it counts.
		rx.copyBreak = v.Capacity() / 2
		rx.views[rx.held], rx.bufs[rx.held] = v, v.AsSlice()
		rx.held++
	}
}

// shrink releases all but n buffers.
func (rx *receiver) shrink(n int) {
	for rx.held > n {
		rx.held--
		rx.views[rx.held].Release()
		rx.views[rx.held], rx.bufs[rx.held] = nil, nil
	}
}

// arm sets a read deadline while more buffers are held than an idle endpoint
// keeps, and otherwise removes it. It returns false if the endpoint is being
// stopped, and then leaves the deadline that stop has set.
func (rx *receiver) arm() bool {
	if rx.held <= rx.least && rx.armed.IsZero() {
		return true
	}
	var deadline time.Time
	if rx.held > rx.least {
		now := time.Now()
		if rx.armed.Sub(now) > rxIdle/2 {
			return true
		}
		deadline = now.Add(rxIdle)
	}
	rx.r.mu.Lock()
	defer rx.r.mu.Unlock()
	if rx.r.stopping.Load() {
		return false
	}
	rx.armed = deadline
	_ = rx.e.conn.SetReadDeadline(deadline) // fails only if the connection has ended, which the read reports
	return true
}

// idle is called when no frame has arrived for rxIdle.
func (rx *receiver) idle() {
	rx.want = rx.least
	rx.shrink(rx.least)
}

// deliver passes the first n frames of bufs to out, in order, and adapts the size
// of the next batch.
func (rx *receiver) deliver(n int, out *delivery) {
	own, promiscuous := rx.e.addrBits.Load(), rx.e.promiscuous
	kept := 0 // buffers that were not given away; they move to the front
	for i := range rx.held {
		if i < n {
			v := rx.viewOf(i)
			f := rx.bufs[i]
			switch {
			case !promiscuous && f[0]&1 == 0 && bitsOf(f) != own:
				rx.e.stats.rxFiltered.Add(1)
			case len(f) <= rx.copyBreak:
				f, h := withoutPriority(f, rx.metas[i])
				out.frame(rxFrame{buffer.NewViewWithData(f), h})
			default:
				v.CapLength(len(f))
				rest, h := withoutPriority(f, rx.metas[i])
				v.TrimFront(len(f) - len(rest))
				out.frame(rxFrame{v, h})
				rx.views[i], rx.bufs[i] = nil, nil
				continue
			}
		}
		v := rx.views[i]
		rx.views[i], rx.bufs[i] = nil, nil
		rx.views[kept], rx.bufs[kept] = v, v.AsSlice()
		kept++
	}
	batch := rx.held
	rx.held = kept
	out.flush()
	switch {
	case n == batch:
		rx.want = min(2*batch, rxBatch)
	case n <= batch/4:
		rx.want = max(batch/2, rx.least)
	}
	rx.shrink(rx.want)
}

// withoutPriority returns f and its metadata without the priority tag, a VLAN tag of
// identifier 0, if f begins with one: such a frame is of no VLAN but the host's own
// (IEEE 802.1Q, 6.9). It moves the addresses to where the tag was.
func withoutPriority(f []byte, h frame.VNetHeader) ([]byte, frame.VNetHeader) {
	const tpid = frame.HeaderLen - 2
	if f[tpid] != byte(frame.EtherTypeVLAN>>8) || f[tpid+1] != 0 || len(f) < frame.HeaderLen+frame.TagLen {
		return f, h
	}
	if tag, _ := frame.Frame(f).Tag(); tag.ID() != 0 {
		return f, h
	}
	copy(f[frame.TagLen:], f[:tpid])
	if h.Flags&frame.VNetNeedsChecksum != 0 {
		h.CsumStart -= frame.TagLen
	}
	if h.GSOType != frame.GSONone {
		h.HdrLen -= frame.TagLen
	}
	return f[frame.TagLen:], h
}

// viewOf returns the view that holds frame i. ReadBatch exchanges buffers when it
// discards a frame; viewOf exchanges the views in the same way.
func (rx *receiver) viewOf(i int) *buffer.View {
	for j := i; ; j++ {
		if v := rx.views[j]; &v.AsSlice()[0] == &rx.bufs[i][0] {
			rx.views[i], rx.views[j] = v, rx.views[i]
			return v
		}
	}
}
