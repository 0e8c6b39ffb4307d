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
	"github.com/go-vde/sdk/vde"
)

const (
	// rxBatch is the largest number of frames received at once, as many as
	// ReadBatch returns.
	rxBatch = 64

	// rxIdleBatch buffers are held while nothing comes.
	rxIdleBatch = 2

	// rxIdle is how long nothing must come for the other buffers to go.
	rxIdle = time.Second

	// rxCopy is the size up to which a frame is copied out of its buffer: a
	// small packet would otherwise pin a buffer of the MTU's size for as long
	// as it waits for its reader, and getting a new one costs more than this.
	rxCopy = 256

	// rxLong is the size of buffers where packets of 64 KiB may come. For them
	// rxLongIdle takes the place of rxIdleBatch, and rxLongCopy that of rxCopy: a
	// receive buffer full of frames of the usual size would otherwise take dozens
	// of times what it is allowed.
	rxLong     = frame.VNetHeaderLen + frame.MaxGSO
	rxLongIdle = 1
	rxLongCopy = rxLong / 2

	// rxAlign is where in a buffer a frame begins whose offload header is put in
	// front by the connection: the kernel copies to a cache line's beginning
	// faster than to anywhere else.
	rxAlign = 64
)

// A receiver is receiveLoop's state: buffers for frames to come.
type receiver struct {
	e *Endpoint
	r *run

	size   int // of each buffer
	at     int // where in it a frame with its header begins
	copied int // size of the largest frame that does not keep its buffer
	least  int // buffers held while nothing comes

	want  int                   // frames to receive at once, follows the traffic
	views [rxBatch]*buffer.View // the first held are buffers of size bytes, owned
	held  int
	bufs  [rxBatch][]byte // the bytes of views

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
		n, err := e.conn.ReadBatch(rx.bufs[:rx.held])
		switch {
		case err == nil:
			rx.deliver(n, out)
		case errors.Is(err, os.ErrDeadlineExceeded):
			if r.stopping.Load() {
				return
			}
			rx.idle()
		case r.stopping.Load() || e.over(err):
			return
		default:
			e.fail(err)
			return
		}
	}
}

// over reports whether err says that the connection has ended or is being
// detached, rather than that one frame failed.
func (e *Endpoint) over(err error) bool {
	return e.conn.Err() != nil || errors.Is(err, vde.ErrHangup) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, os.ErrDeadlineExceeded)
}

// fill sees to it that want buffers are there.
func (rx *receiver) fill() {
	size, at, copied := rx.e.headerLen+header.EthernetMinimumSize+int(rx.e.mtu.Load()), 0, rxCopy
	rx.least = rxIdleBatch
	switch {
	case rx.e.headerLen == 0:
	case rx.e.conn.OffloadAgreed():
		size, copied = max(size, rxLong), rxLongCopy
		rx.least = rxLongIdle
	case size+rxAlign <= rxLong:
		at = rxAlign - rx.e.headerLen
		size += at
	}
	if size != rx.size {
		rx.shrink(0)
		rx.size, rx.at, rx.copied = size, at, copied
	}
	rx.want = max(rx.want, rx.least)
	for rx.held < rx.want {
		v := buffer.NewView(rx.size)
		// The whole of what the pool gives: frames longer than the MTU are
		// welcome as far as they fit.
		v.Grow(v.Capacity())
		rx.views[rx.held], rx.bufs[rx.held] = v, v.AsSlice()[rx.at:]
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
// should keep, and none otherwise. It returns false if the endpoint is being
// stopped, whose own deadline must stay.
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

// idle is called when nothing has come for a while.
func (rx *receiver) idle() {
	rx.want = rx.least
	rx.shrink(rx.least)
}

// deliver passes on the n frames at the front of bufs, in order, and adapts the
// size of the next batch.
func (rx *receiver) deliver(n int, out *delivery) {
	station, promiscuous := rx.e.addrBits.Load(), rx.e.promiscuous
	kept := 0 // buffers not given away, moved to the front
	for i := range rx.held {
		if i < n {
			v := rx.viewOf(i)
			b := rx.bufs[i]
			f := b[rx.e.headerLen:]
			switch {
			case !promiscuous && f[0]&1 == 0 && bitsOf(f) != station:
				rx.e.stats.rxFiltered.Add(1)
			case len(b) <= rx.copied:
				out.frame(buffer.NewViewWithData(b))
			default:
				v.CapLength(rx.at + len(b))
				v.TrimFront(rx.at)
				out.frame(v)
				rx.views[i], rx.bufs[i] = nil, nil
				continue
			}
		}
		v := rx.views[i]
		rx.views[i], rx.bufs[i] = nil, nil
		rx.views[kept], rx.bufs[kept] = v, v.AsSlice()[rx.at:]
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

// viewOf returns the view that frame i lies in. ReadBatch may have exchanged
// buffers to skip a frame it discarded; the views then follow.
func (rx *receiver) viewOf(i int) *buffer.View {
	for j := i; ; j++ {
		if v := rx.views[j]; &v.AsSlice()[rx.at] == &rx.bufs[i][0] {
			rx.views[i], rx.views[j] = v, rx.views[i]
			return v
		}
	}
}
