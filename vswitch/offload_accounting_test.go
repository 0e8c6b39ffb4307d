// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// randomPacket returns a frame among few stations, offloaded or not, and sometimes
// not what it claims to be.
func randomPacket(r *rand.Rand) packet {
	if r.IntN(3) == 0 {
		return packet{data: randomFrame(r)}
	}
	dst := frame.MAC{2, 0, 0, 0, 0, byte(r.IntN(8))}
	if r.IntN(20) == 0 {
		dst = frame.Broadcast()
	}
	h := segment(dst, frame.MAC{2, 0, 0, 0, 0, byte(r.IntN(8))}, r.IntN(2) == 0, r.Uint32(), make([]byte, r.IntN([]int{100, 10000, 65000}[r.IntN(3)])), 500+r.IntN(1400))
	if r.IntN(4) == 0 {
		h = withTag(h, uint16(r.IntN(4)))
	}
	if r.IntN(50) == 0 {
		h.header.CsumOffset++
	}
	return h
}

// checkPacket reports whether h is what whoever gets it may expect.
func checkPacket(t *testing.T, h packet) {
	at := ipAt(h.data) - 2
	if len(h.data) <= at+40 || h.data[at] == 0x88 {
		return
	}
	if _, _, err := payloadOf(h); err != nil {
		t.Error(err)
	}
}

// Ports of an offloadLoad: 1 to offloadPorts take partial frames, those up to
// loadPorts do not, and neither does visitorPort.
const (
	offloadPorts = 3
	loadPorts    = 5
	visitorPort  = 6
)

// An offloadLoad is a switch whose ports send and receive random frames, with and
// without virtio-net headers.
type offloadLoad struct {
	t       *testing.T
	seed    uint64
	sw      *vswitch.Switch
	conns   []*vde.Conn   // port n is conns[n-1]
	packets []*packetPort // of the ports that take partial frames

	sent, got []uint64 // frames of each port
}

// newOffloadLoad returns a load of ports with a policy.
func newOffloadLoad(t *testing.T, policy vswitch.Policy) *offloadLoad {
	sw := vswitch.New(vswitch.Config{
		MaxFrameSize: 2000,
		DefaultPort:  vswitch.PortConfig{Policy: policy, Queue: 64, Wait: 100 * time.Microsecond, Tagged: []uint16{1, 2}},
		Ports:        map[int]vswitch.PortConfig{3: {VLAN: 1, Policy: policy, Queue: 16, StormLimit: 1000, Wait: time.Millisecond}},
	})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	t.Cleanup(func() { sw.Close() })
	l := &offloadLoad{
		t: t, seed: randomSeed(t), sw: sw, conns: attachMany(t, sw, loadPorts),
		sent: make([]uint64, loadPorts), got: make([]uint64, loadPorts),
	}
	for _, c := range l.conns[:offloadPorts] {
		l.packets = append(l.packets, packetsOn(t, sw, c))
	}
	return l
}

// read reads from connection i until it is closed.
func (l *offloadLoad) read(i int) {
	b := make([]byte, 1<<16)
	for {
		var err error
		n, h := 0, packet{}
		if i < offloadPorts {
			h, err = recvPacket(l.packets[i].l, b)
		} else if n, err = l.conns[i].Read(b); err == nil {
			h.data = b[:n]
		}
		if err != nil {
			return
		}
		checkPacket(l.t, h)
		l.got[i]++
	}
}

// write sends random batches from connection i.
func (l *offloadLoad) write(i int) {
	r := rand.New(rand.NewPCG(l.seed, uint64(i)))
	send := l.writeFrames
	if i < offloadPorts {
		send = l.writePackets
	}
	batches := 60
	if testing.Short() {
		batches = 20
	}
	for range batches {
		var batch []packet
		for range 1 + r.IntN(100) {
			batch = append(batch, randomPacket(r))
		}
		n, err := send(i, batch, r.IntN(3) > 0)
		if err != nil && !errors.Is(err, link.ErrFull) && !errors.Is(err, os.ErrDeadlineExceeded) {
			l.t.Error(err)
		}
		l.sent[i] += uint64(n)
	}
}

// writePackets sends a batch as it is. A Conn refuses what is not what it claims to
// be; a client with shared memory may send it.
func (l *offloadLoad) writePackets(i int, batch []packet, wait bool) (sent int, err error) {
	injected := 0
	batch = slices.DeleteFunc(batch, func(h packet) bool {
		bad := gso.Check(h.header, h.data) != nil
		if bad {
			inject(l.sw, i+1, h)
			injected++
		}
		return bad
	})
	n, err := l.packets[i].trySend(wait, batch...)
	return injected + n, err
}

// writeFrames sends a batch as ordinary frames, the first of each GSO frame.
func (l *offloadLoad) writeFrames(i int, batch []packet, _ bool) (sent int, err error) {
	var all [][]byte
	for _, h := range batch {
		if h.header == (frame.VNetHeader{}) {
			all = append(all, h.data)
		} else if h.header.CsumOffset == 16 {
			all = append(all, ordinary(h)[0])
		}
	}
	return l.conns[i].WriteBatch(all)
}

// visit attaches one connection after the other to visitorPort until done is closed.
// They read a little, and are mirrors now and then.
func (l *offloadLoad) visit(done <-chan struct{}) {
	r := rand.New(rand.NewPCG(l.seed, visitorPort))
	for {
		select {
		case <-done:
			return
		default:
		}
		c, err := l.sw.Attach(vde.WithPort(visitorPort))
		if err != nil {
			l.t.Error(err)
			return
		}
		src := 1 + r.IntN(loadPorts)
		if r.IntN(2) == 0 {
			err = l.sw.Mirror(src, visitorPort)
		}
		b := make([]byte, 1<<16)
		for range r.IntN(50) {
			if e := c.SetReadDeadline(time.Now().Add(time.Millisecond)); e != nil {
				l.t.Error(e)
			}
			if n, e := c.Read(b); e == nil {
				checkPacket(l.t, packet{data: b[:n]})
			}
		}
		checkAccounts(l.t, l.sw.Stats())
		if err = errors.Join(err, l.sw.Unmirror(src, visitorPort), c.Close()); err != nil {
			l.t.Error(err)
		}
	}
}

// Offloaded frames are accounted for whatever the policies, while ports come and
// go that take ordinary frames only, and whoever gets one gets it right.
func TestOffloadAccounting(t *testing.T) {
	for _, policy := range policies {
		t.Run(policy.String(), func(t *testing.T) { testOffloadAccounting(t, policy) })
	}
}

func testOffloadAccounting(t *testing.T, policy vswitch.Policy) {
	l := newOffloadLoad(t, policy)
	var readers, writers, visitor sync.WaitGroup
	for i := range loadPorts {
		readers.Go(func() { l.read(i) })
		writers.Go(func() { l.write(i) })
	}
	done := make(chan struct{})
	visitor.Go(func() { l.visit(done) })
	writers.Wait()
	close(done)
	visitor.Wait()
	until(t, "queues read", func() bool {
		return !slices.ContainsFunc(l.sw.Stats().Ports, func(p vswitch.PortStats) bool { return p.Out.Queued != 0 })
	})
	for _, c := range l.conns {
		c.Close()
	}
	readers.Wait()
	s := l.sw.Stats()
	checkAccounts(t, s)
	var in vswitch.InStats
	for i, p := range s.Ports[:loadPorts] {
		in.GSOFrames += p.In.GSOFrames
		in.Segments += p.In.Segments
		in.Dropped.Offload += p.In.Dropped.Offload
		if n := p.In.Frames - p.In.Segments + p.In.GSOFrames; n != l.sent[i] {
			t.Errorf("port %d sent %d frames, the switch counts %d: %+v", p.Port, l.sent[i], n, p.In)
		}
		// A Conn skips what it does not take for a frame, and what is longer than it
		// asked for.
		st := l.conns[i].Stats()
		if n := l.got[i] + st.RxRunts + st.RxTruncated + st.RxDiscarded; n != p.Out.Frames {
			t.Errorf("port %d got %d frames, the switch counts %+v", p.Port, n, p.Out)
		}
	}
	t.Logf("%d frames cut into %d, %d not what they claimed", in.GSOFrames, in.Segments, in.Dropped.Offload)
	if in.GSOFrames == 0 || in.Dropped.Offload == 0 {
		t.Errorf("%+v", in)
	}
}
