// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun

import (
	"sync"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/link/channel"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

// A tunnel is the interface of the stack on whose other side WireGuard is. What the
// stack sends waits in a queue for Read.
type tunnel struct {
	*channel.Endpoint // what comes in, and the methods that say what the interface is

	mu    sync.Mutex
	ready sync.Cond             // of mu: a packet waits, or err is set
	ring  []*stack.PacketBuffer // guarded by mu; each element that is set owns a reference
	head  int                   // guarded by mu
	n     int                   // guarded by mu: packets that wait
	err   error                 // guarded by mu; why nothing can be read any more
	stats tunnelStats           // guarded by mu
}

type tunnelStats struct {
	read, full, long, closed uint64
}

func newTunnel(mtu, queue int) *tunnel {
	t := &tunnel{Endpoint: channel.New(0, uint32(mtu), ""), ring: make([]*stack.PacketBuffer, queue)}
	t.ready.L = &t.mu
	return t
}

// ARPHardwareType implements stack.LinkEndpoint.
func (t *tunnel) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }

// WritePackets implements stack.LinkWriter. It never waits.
func (t *tunnel) WritePackets(pkts stack.PacketBufferList) (int, tcpip.Error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, pkt := range pkts.AsSlice() {
		left := uint64(pkts.Len() - i)
		switch {
		case t.err != nil:
			t.stats.closed += left
			return i, &tcpip.ErrClosedForSend{}
		case t.n == len(t.ring):
			t.stats.full += left
			return i, &tcpip.ErrNoBufferSpace{}
		}
		t.ring[(t.head+t.n)%len(t.ring)] = pkt.IncRef()
		t.n++
		t.ready.Signal()
	}
	return pkts.Len(), nil
}

// read is [Device.Read].
func (t *tunnel) read(bufs [][]byte, sizes []int, offset int) (n int, err error) {
	if len(bufs) == 0 {
		return 0, t.closeCause()
	}
	var pkts [batchSize]*stack.PacketBuffer
	for n == 0 {
		k, err := t.take(pkts[:min(len(bufs), len(pkts))])
		if err != nil {
			return 0, err
		}
		for _, pkt := range pkts[:k] {
			if size := pkt.Size(); size <= len(bufs[n])-offset {
				sizes[n] = copyPacket(bufs[n][offset:], pkt)
				n++
			}
			pkt.DecRef()
		}
		t.mu.Lock()
		t.stats.read += uint64(n)
		t.stats.long += uint64(k - n)
		t.mu.Unlock()
	}
	return n, nil
}

// take waits for packets and moves as many as there are to dst, references included.
func (t *tunnel) take(dst []*stack.PacketBuffer) (k int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.n == 0 && t.err == nil {
		t.ready.Wait()
	}
	if t.err != nil {
		return 0, t.err
	}
	for k < len(dst) && t.n > 0 {
		dst[k] = t.pop()
		k++
	}
	if t.n > 0 {
		t.ready.Signal() // another call may wait
	}
	return k, nil
}

// pop removes the first packet; t.mu is held.
func (t *tunnel) pop() *stack.PacketBuffer {
	pkt := t.ring[t.head]
	t.ring[t.head] = nil
	t.head = (t.head + 1) % len(t.ring)
	t.n--
	return pkt
}

// copyPacket copies pkt to b, which is long enough.
func copyPacket(b []byte, pkt *stack.PacketBuffer) (n int) {
	views, skip := pkt.AsViewList()
	for v := views.Front(); v != nil; v = v.Next() {
		data := v.AsSlice()
		if skip >= len(data) {
			skip -= len(data)
			continue
		}
		n += copy(b[n:], data[skip:])
		skip = 0
	}
	return n
}

// close drops what waits, and makes calls return err from now on. Calls after the first
// have no effect.
func (t *tunnel) close(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return
	}
	t.err = err
	t.stats.closed += uint64(t.n)
	for t.n > 0 {
		t.pop().DecRef()
	}
	t.ready.Broadcast()
}

// closeCause returns the error given to close.
func (t *tunnel) closeCause() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}
