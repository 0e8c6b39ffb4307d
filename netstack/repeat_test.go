// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"bytes"
	"io"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestRepeat looks, from a hub's third port, for the last segments that a host
// sent before the hub went away: byte for byte they have to come again on the
// next hub. They have been acknowledged, so TCP has no reason to send them.
func TestRepeat(t *testing.T) {
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	hub := func() (*vswitch.Switch, *vde.Conn) {
		sw := vswitch.New(vswitch.Config{Hub: true})
		t.Cleanup(func() { sw.Close() })
		witness, err := sw.Attach()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { witness.Close() })
		witness.SetReadDeadline(time.Now().Add(30 * time.Second))
		listener, err := sw.Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		go listener.Serve(t.Context())
		return sw, witness
	}
	sw, witness := hub()
	var hosts [2]*netstack.Host
	for i := range hosts {
		c := open(t, dir, vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}))
		hosts[i] = host(t, c, netstack.HostConfig{})
	}
	listener, err := hosts[1].Listen("tcp4", ":7")
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() {
		c, err := listener.Accept()
		if err == nil {
			defer c.Close()
			_, err = io.ReadFull(c, make([]byte, 5000))
		}
		answer <- err
		<-t.Context().Done()
	}()
	conn, err := hosts[0].DialContext(t.Context(), "tcp", netip.AddrPortFrom(addr4(hosts[1]), 7).String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(bytes.Repeat([]byte("question "), 556)[:5000]); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
	// Three full segments and the rest.
	segments := func(c *vde.Conn, want int) (list [][]byte) {
		for len(list) < want {
			buf := make([]byte, 2000)
			n, err := c.Read(buf)
			if err != nil {
				t.Fatalf("%d segments of %d: %v", len(list), want, err)
			}
			f := frame.Frame(buf[:n])
			if f.Src() == hosts[0].MAC() && f.EtherType() == frame.EtherTypeIPv4 && n > 100 {
				list = append(list, f)
			}
		}
		return list
	}
	sent := segments(witness, 4)
	sw.Close()
	_, witness = hub()
	for i, again := range segments(witness, 4) {
		if !bytes.Equal(again, sent[i]) {
			t.Errorf("segment %d comes again as\n%x, was\n%x", i, again, sent[i])
		}
	}
	if n := hosts[0].Stats().Endpoint.TxRepeated; n < 4 {
		t.Errorf("%d frames counted as repeated", n)
	}
	for _, h := range hosts {
		h.Close() // while there is a hub to say farewell to
	}
}

// TestLongOutage lets a connection send the same again more often than gVisor
// would by itself: the bound of the timer must not shorten how long a connection
// lasts.
func TestLongOutage(t *testing.T) {
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	e := &embedded{t: t, dir: dir}
	e.Restart()
	var hosts [2]*netstack.Host
	for i := range hosts {
		c := open(t, dir, vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond}))
		hosts[i] = host(t, c, netstack.HostConfig{MaxRTO: tcp.MinRTO})
	}
	s := startStream(t, hosts[0], hosts[1])
	s.progress(1 << 20)
	e.Kill()
	before := hosts[1].Stats().TCPTimeouts
	const more = tcp.MaxRetries + 3
	tick := time.NewTicker(10 * time.Millisecond) // the stack has no event for a timeout
	defer tick.Stop()
	limit := bound(t)
	for hosts[1].Stats().TCPTimeouts < before+more {
		select {
		case <-tick.C:
		case <-limit.Done():
			t.Fatalf("%d timeouts", hosts[1].Stats().TCPTimeouts-before)
		}
	}
	e.Restart()
	s.progress(1 << 20)
	s.finish()
	for _, h := range hosts {
		h.Close()
	}
}
