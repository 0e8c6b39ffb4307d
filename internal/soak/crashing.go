// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/vde"
)

// window is how many frames of one flow may be under way. It bounds what is lost
// with a killed switch. It is so small that few queues of vde_switch overflow: that
// switch does not count what it drops when a client's queue is full, and floods of
// the TCP/IP hosts add to what it has for a client. While it runs, a flow may
// therefore lose one window between two marks. A frame that is missing at any other
// time is a violation.
const window = 16

// markType is the EtherType of marks, and helloType that of greetings.
const (
	markType  = 0x88b6
	helloType = 0x88b7
)

// A crashingNetwork is one whose switch is a process that gets killed.
type crashingNetwork struct {
	s        *soak
	rand     *rand.Rand
	programs *programs
	stations []*member
	tcp      *tcpPair
	writing  sync.RWMutex // held for reading by writes, for writing to silence all
	told     uint64       // number of what tell sent last
	mixedUp  bool         // vde_switch has mixed up two ports
}

// A member is a station of a crashingNetwork.
type member struct {
	m       *crashingNetwork
	name    string
	mac     frame.MAC
	conn    *vde.Conn
	read    func(*member)
	reading sync.WaitGroup
	back    chan struct{}
	flows   []*flow // to the others
	from    map[frame.MAC]*flow
	sent    atomic.Uint64 // frames of all kinds that the write methods sent
	seen    atomic.Uint64 // frames of all kinds that the reader received
}

// A flow is what one member sends to another.
type flow struct {
	to       *member
	sent     uint64        // by the sender; m.writing held
	received atomic.Uint64 // number of the latest, or of the mark
	arrived  atomic.Uint64 // frames since the last mark
	lost     atomic.Uint64 // frames that did not arrive since the last mark
	marked   atomic.Uint64 // number of the mark or greeting that came last
}

// runKilled and runUpgraded load networks whose switch is killed: the former with a
// switch of this repository, the latter with that and vde_switch in turn, in the
// same directory.
func (s *soak) runKilled(ctx context.Context, r *rand.Rand, _ time.Duration) {
	s.runCrashing(ctx, r, false)
}

func (s *soak) runUpgraded(ctx context.Context, r *rand.Rand, _ time.Duration) {
	for s.runCrashing(ctx, r, true) {
	}
}

// runCrashing loads one network until ctx ends. It returns true if another is to be
// made in its place, because vde_switch has mixed up two ports of this one.
func (s *soak) runCrashing(ctx context.Context, r *rand.Rand, both bool) (again bool) {
	p, err := newPrograms(s, both)
	if errors.Is(err, errors.ErrUnsupported) {
		return false
	}
	if err != nil {
		s.violate("%v", err)
		return false
	}
	defer p.close()
	m := &crashingNetwork{s: s, rand: r, programs: p}
	defer m.close()
	if err := m.populate(); err != nil {
		if !m.mixedUp {
			s.violate("%v", err)
		}
		return m.mixedUp
	}
	loading, cancel := context.WithCancel(ctx)
	var writers sync.WaitGroup
	for _, st := range m.stations {
		r := rand.New(rand.NewPCG(r.Uint64(), 0))
		writers.Go(func() { st.run(loading, r) })
	}
	tr := rand.New(rand.NewPCG(r.Uint64(), 0))
	writers.Go(func() { m.tcp.run(loading, tr) })
	good := true
	for good && pause(ctx, time.Duration(500+r.IntN(2500))*time.Millisecond) {
		good = m.fault()
	}
	cancel()
	if !good {
		m.close() // writers would wait for a switch that is not there
	}
	hung := time.AfterFunc(patience, func() {
		s.violate("%s: writers do not end", p.name)
		m.close()
	})
	writers.Wait()
	good = good && hung.Stop()
	if good {
		m.tcp.rest()
		m.count()
	}
	return m.mixedUp
}

func (m *crashingNetwork) populate() error {
	for i, read := range []func(*member){(*member).readSingly, (*member).readBatches, (*member).readFrames} {
		st := &member{m: m, name: m.programs.name, mac: frame.MAC{2, 0, 0, 1, 0, byte(i + 1)}, read: read, back: make(chan struct{}, 1), from: make(map[frame.MAC]*flow)}
		c, err := vde.Open(context.Background(), m.programs.dir, reconnect, vde.WithFrames(m.s.pool, readDepth), transport(i))
		if err != nil {
			return err
		}
		st.conn = c
		c.OnLinkChange(func(l vde.LinkState) {
			if l.Up {
				select {
				case st.back <- struct{}{}:
				default:
				}
			}
		})
		m.stations = append(m.stations, st)
	}
	for _, a := range m.stations {
		for _, b := range m.stations {
			if a != b {
				f := &flow{to: b}
				a.flows = append(a.flows, f)
				b.from[a.mac] = f
			}
		}
	}
	for _, st := range m.stations {
		st.reading.Go(func() { st.read(st) })
	}
	if !m.greet() {
		return errors.New("a new network does not carry greetings")
	}
	var err error
	m.tcp, err = newTCPPair(m.s, m.programs.dir, 0, 0)
	return err
}

// close ends the network.
func (m *crashingNetwork) close() {
	if m.tcp != nil {
		m.tcp.close()
	}
	for _, st := range m.stations {
		st.conn.Close()
		st.reading.Wait()
	}
}

// run sends on all flows as far as their windows allow.
func (st *member) run(ctx context.Context, r *rand.Rand) {
	for st.m.s.gov.wait(ctx) {
		st.m.writing.RLock()
		f := st.flows[r.IntN(len(st.flows))]
		room := window - int(f.sent-f.received.Load())
		if room > 0 {
			frames := make([][]byte, 1+r.IntN(room))
			for i := range frames {
				frames[i] = st.frame(f.to.mac, testframe.MinSize+34+r.IntN(1514-59), f.sent+uint64(i)+1)
			}
			f.sent += uint64(st.write(frames))
		}
		st.m.writing.RUnlock()
	}
}

func (st *member) frame(dst frame.MAC, size int, seq uint64) []byte {
	b := make([]byte, size)
	copy(b, dst[:])
	copy(b[6:], st.mac[:])
	testframe.Fill(b, seq)
	return b
}

// write sends frames. While there is no switch it waits.
func (st *member) write(frames [][]byte) int {
	n, err := st.conn.WriteBatch(frames)
	st.sent.Add(uint64(n))
	if err != nil && !errors.Is(err, net.ErrClosed) {
		st.m.s.violate("%s: write: %v", st.name, err)
	}
	return n
}

func (st *member) readSingly() {
	b := make([]byte, maxFrame)
	for {
		n, err := st.conn.Read(b)
		if err != nil {
			st.ended(err)
			return
		}
		st.got(b[:n])
	}
}

func (st *member) readBatches() {
	const n = 16
	slab := make([]byte, n*maxFrame)
	bufs := make([][]byte, n)
	for {
		for i := range bufs {
			bufs[i] = slab[i*maxFrame:][:maxFrame]
		}
		k, err := st.conn.ReadBatch(bufs)
		if err != nil {
			st.ended(err)
			return
		}
		for _, b := range bufs[:k] {
			st.got(b)
		}
	}
}

func (st *member) readFrames() {
	for f := range st.conn.Frames() {
		st.got(f.Bytes())
		f.Release()
	}
	st.ended(st.conn.Err())
}

func (st *member) ended(err error) {
	if !errors.Is(err, net.ErrClosed) {
		st.m.s.violate("%s: read: %v", st.name, err)
	}
}

// got checks a frame. Up to the mark before a kill, no number may be missing.
func (st *member) got(b []byte) {
	st.seen.Add(1)
	v := frame.Frame(b)
	f := st.from[v.Src()]
	switch {
	case f == nil:
		return // of the TCP/IP hosts
	case v.EtherType() == helloType && v.Dst() == frame.Broadcast():
		f.marked.Store(binary.BigEndian.Uint64(b[frame.HeaderLen:]))
		return
	case v.Dst() != st.mac:
		return // flooded: the switch does not know its station yet
	case v.EtherType() == markType:
		sent := binary.BigEndian.Uint64(b[frame.HeaderLen:])
		f.lost.Add(sent - f.received.Load())
		f.received.Store(sent)
		f.marked.Store(binary.BigEndian.Uint64(b[frame.HeaderLen+8:]))
		return
	}
	seq, err := testframe.Check(b)
	if err != nil {
		st.m.s.violate("%s: %v", st.name, err)
		return
	}
	last := f.received.Load()
	if seq <= last {
		st.m.s.violate("%s: frame %d of %v after %d", st.name, seq, v.Src(), last)
		return
	}
	// Only a kill may lose frames. The next mark checks how many; see mark.
	f.lost.Add(seq - last - 1)
	f.arrived.Add(1)
	f.received.Store(seq)
}
