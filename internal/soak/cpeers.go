// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
)

// A cPeer is a C program on libvdeplug, for one epoch: it leaves while no station
// writes, so that no frame is under way to it when it closes its socket.
type cPeer struct {
	*testpeers.CPeer
	scope *scope
	role  testpeers.CPeerRole
	num   int
	mac   frame.MAC
	last  testpeers.CPeerResult
}

// cPorts are the ports of the C peers.
var cPorts = map[testpeers.CPeerRole]int{testpeers.CSource: 11, testpeers.CSink: 12, testpeers.CEcho: 13}

// startPeers starts the C peers, unless this machine cannot.
func (n *cleanNetwork) startPeers() {
	for _, role := range []testpeers.CPeerRole{testpeers.CSink, testpeers.CEcho, testpeers.CSource} {
		num := cPorts[role]
		p := &cPeer{scope: n.s.scope(), role: role, num: num, mac: frame.MAC{2, 0, 0, 0, ordered, byte(num)}}
		cfg := testpeers.CPeerConfig{Role: role, Network: n.dir, Port: num, MAC: p.mac}
		if role == testpeers.CSource {
			cfg.Peer = n.stations[n.rand.IntN(len(n.stations))].mac
			cfg.First = n.cLedgers[num].tx + 1
			cfg.Count = uint64(100 + n.rand.IntN(2000))
			cfg.Size = size(n.rand)
			cfg.Burst, cfg.Gap = 16, time.Duration(1+n.rand.IntN(20))*time.Millisecond
		}
		if role == testpeers.CEcho {
			p.mac[4] = unordered // it echoes the numbers of several stations
		}
		cfg.MAC = p.mac
		err := p.scope.try(func() { p.CPeer = testpeers.StartCPeer(p.scope, cfg) })
		if errors.Is(err, errors.ErrUnsupported) {
			p.scope.close()
			return
		}
		if err == nil && role == testpeers.CSource {
			err = p.Begin()
		}
		if err != nil {
			n.s.violate("C peer %s: %v", role, err)
			p.scope.close()
			return
		}
		n.peers = append(n.peers, p)
	}
	n.s.totals.fault("C peers started")
}

// report returns the peer's figures, or the last ones if it does not answer.
func (p *cPeer) report() testpeers.CPeerResult {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if r, err := p.Report(ctx); err == nil || p.role == testpeers.CSource {
		p.last = r
	}
	return p.last
}

// pausePeer stops a C peer for a moment.
func (n *cleanNetwork) pausePeer() {
	if len(n.peers) == 0 {
		return
	}
	n.s.totals.fault("C peer stopped")
	p := n.peers[n.rand.IntN(len(n.peers))]
	p.Pause()
	pause(context.Background(), time.Duration(n.rand.IntN(300))*time.Millisecond)
	p.Resume()
}

// finishPeers lets the C peers leave, and keeps their figures.
func (n *cleanNetwork) finishPeers() {
	for _, p := range n.peers {
		r, err := p.Finish(context.Background())
		if err != nil {
			n.s.violate("C peer %s: %v", p.role, err)
		}
		if r.Corrupt+r.SendErrors > 0 {
			n.s.violate("C peer %s: %+v", p.role, r)
		}
		b := n.cLedgers[p.num]
		b.tx += r.Sent
		b.rx += r.Frames + r.Duplicates + r.Corrupt + r.Other
		n.cLedgers[p.num] = b
		p.scope.close()
	}
	n.peers = nil
}
