// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A cleanNetwork has a switch in this process, whose statistics are compared with
// those of the stations.
type cleanNetwork struct {
	s        *soak
	rand     *rand.Rand
	top, dir string
	sw       *vswitch.Switch
	serving  sync.WaitGroup
	stations []*station
	tcp      *tcpPair
	peers    []*cPeer
	cLedgers map[int]ledger // of C peers that have left, by port
	past     map[int]vswitch.PortStats

	purged, forgotten remainder // of this network

	counted totals // at the last count
}

// reconnect is how stations join again.
var reconnect = vde.WithReconnect(vde.ReconnectPolicy{MinDelay: 5 * time.Millisecond, MaxDelay: 100 * time.Millisecond})

// What a queue of the kernel can hold. Each test frame takes at least 768 bytes of
// it.
const (
	frameCost  = 768
	clientHeld = 212992/frameCost + 1 // sent by a client and not read by the switch
	switchHeld = 2*vswitch.DefaultWriteBuffer/frameCost + 1
)

// runClean loads a network of its own until ctx ends.
func (s *soak) runClean(ctx context.Context, r *rand.Rand, epoch time.Duration) {
	top, err := tempDir()
	if err != nil {
		s.violate("%v", err)
		return
	}
	defer os.RemoveAll(top)
	n := &cleanNetwork{s: s, rand: r, top: top, dir: filepath.Join(top, "sw"), past: make(map[int]vswitch.PortStats), cLedgers: make(map[int]ledger)}
	if err := n.start(); err != nil {
		s.violate("%v", err)
		return
	}
	defer n.close()
	if err := n.populate(); err != nil {
		s.violate("%v", err)
		return
	}
	for round := 1; ctx.Err() == nil; round++ {
		n.startPeers()
		n.load(ctx, epoch)
		n.tcp.rest()
		if !n.count() {
			return
		}
		n.finishPeers()
		if !n.count() {
			return
		}
		if round%3 == 0 {
			n.restart()
			if !n.count() {
				return
			}
		}
	}
}

// start makes the switch.
func (n *cleanNetwork) start() error {
	n.sw = vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
		2: {Policy: vswitch.HeadDrop},
		3: {Policy: vswitch.TailDrop},
	}})
	l, err := n.sw.Listen(n.dir)
	if err != nil {
		return err
	}
	n.serving.Go(func() {
		if err := l.Serve(context.Background()); !errors.Is(err, vswitch.ErrClosed) {
			n.s.violate("serve: %v", err)
		}
	})
	return nil
}

// stop closes the switch, calls resume so that readers receive what has been sent
// to them, and keeps the figures.
func (n *cleanNetwork) stop(resume func()) {
	if err := n.sw.Close(); err != nil {
		n.s.violate("close: %v", err)
	}
	n.serving.Wait()
	resume()
	until(context.Background(), 5*time.Second, n.nothingQueued)
	for _, p := range n.sw.Stats().Ports {
		n.past[p.Port] = addPort(n.past[p.Port], p)
	}
}

func (n *cleanNetwork) nothingQueued() bool {
	for _, p := range n.sw.Stats().Ports {
		if p.Out.Queued > 0 {
			return false
		}
	}
	return true
}

// addPort adds the figures of a port of two switches.
func addPort(a, b vswitch.PortStats) vswitch.PortStats {
	a.Port = b.Port
	a.In.Frames += b.In.Frames
	a.In.Forwarded += b.In.Forwarded
	a.In.Copies += b.In.Copies
	a.In.Dropped = plus(a.In.Dropped, b.In.Dropped)
	a.Out.Offered += b.Out.Offered
	a.Out.Frames += b.Out.Frames
	a.Out.Queued += b.Out.Queued
	a.Out.Dropped = plus(a.Out.Dropped, b.Out.Dropped)
	return a
}

// ports returns the figures of all ports, over all switches.
func (n *cleanNetwork) ports() map[int]vswitch.PortStats {
	sum := make(map[int]vswitch.PortStats)
	for num, p := range n.past {
		sum[num] = p
	}
	for _, p := range n.sw.Stats().Ports {
		sum[p.Port] = addPort(sum[p.Port], p)
	}
	return sum
}

// transport returns an option that makes every other station use a socket where
// the switch would share memory.
func transport(num int) vde.Option {
	if num%2 == 1 {
		return vde.WithSharedMemory(vde.SharedMemoryNever)
	}
	return vde.WithSharedMemory(vde.SharedMemorySameUser)
}

// populate opens the stations.
func (n *cleanNetwork) populate() error {
	socket := func(num int, more ...vde.Option) func() (*vde.Conn, error) {
		return func() (*vde.Conn, error) {
			return vde.Open(context.Background(), n.dir, append(more, vde.WithPort(num), vde.WithFrames(n.s.pool, readDepth), transport(num))...)
		}
	}
	inProcess := func(num int) func() (*vde.Conn, error) {
		return func() (*vde.Conn, error) {
			return n.sw.Attach(vde.WithPort(num), vde.WithFrames(n.s.pool, readDepth))
		}
	}
	bad := &impair.Config{
		Seed: n.rand.Uint64(),
		Out:  impair.Impairment{Delay: 3 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.01, Duplicate: 0.01, Reorder: 0.01},
		In:   impair.Impairment{Delay: time.Millisecond, Loss: 0.01, Duplicate: 0.01, Reorder: 0.01, Rate: 200e6},
	}
	n.stations = []*station{
		{name: "plain", dial: socket(1, reconnect), write: writeSingly, read: readSingly},
		{name: "batches", dial: socket(2, reconnect), write: writeBatch, read: readBatches},
		{name: "frames", dial: socket(3, reconnect), write: writeBuffers, read: readFrames},
		{name: "bad line", dial: socket(4, reconnect), write: writeBatch, read: readFrames, line: bad},
		{name: "in-process, plain", dial: inProcess(5), write: tryWriteBatch, read: readSingly, inProcess: true},
		{name: "in-process, frames", dial: inProcess(6), write: writeBatch, read: readFrames, inProcess: true},
		{name: "departing", dial: socket(7), write: tryWriteBatch, read: readBatches, abrupt: true},
		{name: "evicted", dial: socket(8, reconnect), write: writeBatch, read: readFrames, abrupt: true},
	}
	for i, st := range n.stations {
		st.s, st.num, st.mac = n.s, i+1, frame.MAC{2, 0, 0, 0, ordered, byte(i + 1)}
		st.order = make(map[frame.MAC]uint64)
		if st.line != nil || st.abrupt {
			st.mac[4] = unordered
		}
		if err := st.join(); err != nil {
			return err
		}
	}
	var err error
	n.tcp, err = newTCPPair(n.s, n.dir, 9, 10)
	return err
}

// targets returns the addresses that stations send to: those of all stations and C
// peers, and one that no station has.
func (n *cleanNetwork) targets() []frame.MAC {
	list := []frame.MAC{{2, 0, 0, 0, ordered, 99}}
	for _, st := range n.stations {
		list = append(list, st.mac)
	}
	for _, p := range n.peers {
		list = append(list, p.mac)
	}
	return list
}

// load makes all stations send for an epoch and injects faults meanwhile.
func (n *cleanNetwork) load(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var writers sync.WaitGroup
	to := n.targets()
	for _, st := range n.stations {
		r := rand.New(rand.NewPCG(n.rand.Uint64(), 0))
		writers.Go(func() { st.run(ctx, r, to) })
	}
	r := rand.New(rand.NewPCG(n.rand.Uint64(), 0))
	writers.Go(func() { n.tcp.run(ctx, r) })
	for pause(ctx, time.Duration(50+n.rand.IntN(500))*time.Millisecond) {
		n.fault()
	}
	writers.Wait()
}

// count waits until no frame is under way and compares all ledgers. It returns
// false if they do not agree.
func (n *cleanNetwork) count() bool {
	for _, st := range n.stations {
		st.writing.Lock()
		defer st.writing.Unlock()
	}
	var (
		say   string
		all   map[int]ledger
		ports map[int]vswitch.PortStats
	)
	if !until(context.Background(), patience, func() bool {
		say, all, ports = n.differences()
		return say == ""
	}) {
		n.s.violate("the ledgers do not agree:\n%s", say)
		return false
	}
	n.sum(all, ports)
	return true
}

// close ends the network.
func (n *cleanNetwork) close() {
	n.tcp.close()
	for _, p := range n.peers {
		p.scope.close()
	}
	for _, st := range n.stations {
		st.writing.Lock()
		st.leave()
		st.writing.Unlock()
	}
	n.sw.Close()
	n.serving.Wait()
}
