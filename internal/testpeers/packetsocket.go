// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"os"
	"testing"
	"time"
)

// A PacketSocket is a packet socket of the kernel on one interface: what it sends goes out of the interface, and it
// receives what comes in by it. The kernel's own traffic on the interface comes too.
type PacketSocket struct{ f *os.File }

// OpenPacketSocket opens a packet socket on the named interface of the namespace, until the test ends. It needs root.
// With headers, each frame is behind a virtio-net header in both directions.
func OpenPacketSocket(t testing.TB, n *Namespace, name string, headers bool) *PacketSocket {
	t.Helper()
	needRealPeers(t, "CAP_NET_RAW")
	f, err := openPacketSocket(n, name, headers)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return &PacketSocket{f}
}

// Send sends one frame.
func (s *PacketSocket) Send(frame []byte) error {
	_, err := s.f.Write(frame)
	return err
}

// Recv waits for the next frame, at most 30 seconds.
func (s *PacketSocket) Recv() ([]byte, error) {
	buf := make([]byte, 1<<17)
	if err := s.f.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	n, err := s.f.Read(buf)
	return buf[:n], err
}
