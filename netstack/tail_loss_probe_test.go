// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"bytes"
	"io"
	"net"
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

// newHub starts a hub that serves dir, and returns it with a connection on which all
// frames are received.
func newHub(t *testing.T, dir string) (*vswitch.Switch, *vde.Conn) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{Hub: true})
	t.Cleanup(func() { sw.Close() })
	monitor := attach(t, sw)
	monitor.SetReadDeadline(time.Now().Add(watchdog))
	listener, err := sw.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	go listener.Serve(t.Context())
	return sw, monitor
}

// longFrames reads from c until n IPv4 frames of more than 100 bytes from src have
// arrived, and returns them.
func longFrames(t *testing.T, c *vde.Conn, src frame.MAC, n int) (list [][]byte) {
	t.Helper()
	for len(list) < n {
		buf := make([]byte, 2000)
		k, err := c.Read(buf)
		if err != nil {
			t.Fatalf("%d frames of %d: %v", len(list), n, err)
		}
		f := frame.Frame(buf[:k])
		if f.Src() == src && f.EtherType() == frame.EtherTypeIPv4 && k > 100 {
			list = append(list, f)
		}
	}
	return list
}

// TestTailLossProbe checks that the last segments which a host sent before the
// hub was closed arrive again on the next hub, byte for byte. They have been
// acknowledged, so TCP does not retransmit them.
func TestTailLossProbe(t *testing.T) {
	t.Parallel()
	for range 10 {
		if probedAfterHub(t) {
			return
		}
		t.Log("a segment was retransmitted before the hub was closed, as on a busy machine")
	}
	t.Fatal("a segment was retransmitted each time")
}

// probedAfterHub is one try of TestTailLossProbe. It returns false if the segments
// were sent twice before the hub was closed, so that it is not known which are kept.
func probedAfterHub(t *testing.T) (ok bool) {
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	hub, monitor := newHub(t, dir)
	var hosts [2]*netstack.Host
	for i := range hosts {
		c := open(t, dir, vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}))
		hosts[i] = host(t, c, netstack.HostConfig{})
	}
	_, out, in := connected(t, hosts[0], hosts[1])
	for _, c := range [][2]net.Conn{{out, in}, {in, out}} { // what comes back acknowledges all
		if _, err := c[0].Write(bytes.Repeat([]byte("question "), 556)[:5000]); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c[1], make([]byte, 5000)); err != nil {
			t.Fatal(err)
		}
	}
	const segments = 4 // three full ones and the rest
	sent := longFrames(t, monitor, hosts[0].MAC(), segments)
	if hosts[0].Stats().TCPRetransmits > 0 {
		return false
	}
	hub.Close()
	_, monitor = newHub(t, dir)
	for i, again := range longFrames(t, monitor, hosts[0].MAC(), segments) {
		if !bytes.Equal(again, sent[i]) {
			t.Errorf("segment %d arrives again as\n%x, was\n%x", i, again, sent[i])
		}
	}
	for _, h := range hosts {
		h.Close() // while there is a hub that takes the resets
	}
	// A probe is counted after it has arrived; Close waits for that.
	if n := hosts[0].Stats().Endpoint.TxTailProbes; n < segments {
		t.Errorf("%d frames counted as probes", n)
	}
	return true
}

// TestRetransmissionsInLongOutage checks that a TCP connection survives more
// retransmissions than gVisor allows by default: MaxRTO must not shorten the time
// after which a connection is given up.
func TestRetransmissionsInLongOutage(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	e := &inProcessSwitch{t: t, dir: dir}
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
