// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// A tcpPair is two TCP/IP hosts on one network.
type tcpPair struct {
	s       *soak
	nums    [2]int
	hosts   [2]*netstack.Host
	conns   [2]*vde.Conn
	serving sync.WaitGroup
	closing atomic.Bool // failures from here on are no violations
}

// newTCPPair makes hosts at ports a and b; 0 is any.
func newTCPPair(s *soak, dir string, a, b int) (*tcpPair, error) {
	p := &tcpPair{s: s, nums: [2]int{a, b}}
	for i, addr := range []string{"10.0.0.1/24", "10.0.0.2/24"} {
		c, err := vde.Open(context.Background(), dir, reconnect, vde.WithPort(p.nums[i]), transport(i))
		if err == nil {
			p.conns[i] = c
			p.hosts[i], err = netstack.NewHost(c, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
			if err != nil {
				c.Close()
			}
		}
		if err != nil {
			p.close()
			return nil, err
		}
	}
	l, err := p.hosts[0].Listen("tcp", ":7")
	if err != nil {
		p.close()
		return nil, err
	}
	p.serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.serving.Go(func() { p.receive(c) })
		}
	})
	return p, nil
}

// receive answers with the SHA-256 sum of what it has received.
func (p *tcpPair) receive(c net.Conn) {
	defer c.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, c)
	if err != nil {
		p.failed("received %d bytes: %v", n, err)
		return
	}
	if _, err := c.Write(sum.Sum(nil)); err != nil {
		p.failed("answer: %v", err)
	}
}

// failed says what failed, unless the pair is being closed.
func (p *tcpPair) failed(format string, args ...any) {
	if !p.closing.Load() {
		p.s.violate("TCP: "+format, args...)
	}
}

// run makes one connection after the other until ctx ends.
func (p *tcpPair) run(ctx context.Context, r *rand.Rand) {
	for p.s.gov.wait(ctx) {
		if err := p.transfer(ctx, r, 100+r.IntN(2000)); err != nil {
			p.failed("%v", err)
		}
	}
}

// transfer sends some blocks, fewer if ctx ends, and compares.
func (p *tcpPair) transfer(ctx context.Context, r *rand.Rand, blocks int) error {
	dialling, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := p.hosts[1].DialContext(dialling, "tcp", "10.0.0.1:7")
	if err != nil {
		return err
	}
	defer c.Close()
	sum := sha256.New()
	block := make([]byte, 16<<10)
	sent := uint64(0)
	for range blocks {
		for i := range 64 {
			block[r.IntN(len(block))] = byte(i)
		}
		part := block[:1+r.IntN(len(block))]
		sum.Write(part)
		n, err := c.Write(part)
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", sent, err)
		}
		sent += uint64(n)
		if !p.s.gov.wait(ctx) {
			break
		}
	}
	if err := c.(*netstack.TCPConn).CloseWrite(); err != nil {
		return err
	}
	c.SetReadDeadline(time.Now().Add(3 * patience))
	got, err := io.ReadAll(c)
	switch {
	case err != nil:
		return fmt.Errorf("waiting for the sum of %d bytes: %w", sent, err)
	case !bytes.Equal(got, sum.Sum(nil)):
		return fmt.Errorf("%d bytes arrived changed", sent)
	}
	p.s.totals.add(func(t *totals) { t.tcp += sent })
	return nil
}

// rest waits until TCP has closed all connections.
func (p *tcpPair) rest() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for _, h := range p.hosts {
		if err := h.Shutdown(ctx); err != nil {
			p.s.violate("TCP: %v", err)
		}
	}
}

// ledger returns the figures of the hosts' connections.
func (p *tcpPair) ledger() map[int]ledger {
	m := make(map[int]ledger)
	for i, c := range p.conns {
		var b ledger
		b.of(c, c, false)
		m[p.nums[i]] = b
	}
	return m
}

// differences returns where a host's figures do not agree with its connection's.
func (p *tcpPair) differences() (text string) {
	for i, h := range p.hosts {
		s := h.Endpoint().Stats()
		if s.Conn.RxFrames != s.RxDelivered+s.RxFiltered {
			text += fmt.Sprintf("host %d: %+v\n", i, s)
		}
	}
	return text
}

// close ends both hosts.
func (p *tcpPair) close() {
	p.closing.Store(true)
	for _, h := range p.hosts {
		if h != nil {
			h.Close()
		}
	}
	p.serving.Wait()
}
