// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde_test

import (
	"bytes"
	"net"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
)

// numbered returns a frame between two stations.
func numbered(dst, src frame.MAC, number, size int) []byte {
	f := bytes.Repeat([]byte{byte(number)}, size)
	frame.PutHeader(f, dst, src, frame.EtherTypeExperimental)
	return f
}

func sendAll(t *testing.T, l link.Link, frames ...[]byte) {
	t.Helper()
	if n, _, err := l.Send(link.Tx{Frames: frames}); n != len(frames) || err != nil {
		t.Fatalf("%d of %d sent, %v", n, len(frames), err)
	}
}

// wantOne receives the next frame, which has to be want.
func wantOne(t *testing.T, l link.Link, want []byte) {
	t.Helper()
	buf, sizes := make([]byte, 2000), make([]int, 1)
	if _, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); err != nil || !bytes.Equal(buf[:sizes[0]], want) {
		t.Fatalf("%d bytes % x, %v, want %d bytes % x", sizes[0], buf[:20], err, len(want), want[:20])
	}
}

// TestRefused has a member die without a goodbye: what is sent to it is refused. The
// link goes on, what goes to another member meanwhile arrives whole and in order, and
// each refusal that the kernel was told of is counted.
func TestRefused(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	if _, err := b.Exec(t.Context(), "sh", "-c", "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit"); err != nil {
		t.Fatal(err)
	}
	la, lb := open(t, a, "vxvde://"), open(t, b, "vxvde://")
	mine, living, dead := frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 3}
	if err := b.Do(func() error {
		c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(testpeers.VethB4)}, &net.UDPAddr{IP: net.IPv4(239, 0, 0, 1), Port: 14789})
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.Write(append([]byte{8, 0, 0, 0, 0, 0, 1, 0}, numbered(frame.Broadcast(), dead, 1, 60)...))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	wantOne(t, la, numbered(frame.Broadcast(), dead, 1, 60))
	wantOne(t, lb, numbered(frame.Broadcast(), dead, 1, 60))
	sendAll(t, lb, numbered(frame.Broadcast(), living, 2, 60))
	wantOne(t, la, numbered(frame.Broadcast(), living, 2, 60))
	const rounds = 100
	for i := range rounds {
		sendAll(t, la, numbered(dead, mine, i, 60), numbered(living, mine, i, 60+i), numbered(dead, mine, i, 61))
	}
	for i := range rounds {
		wantOne(t, lb, numbered(living, mine, i, 60+i))
	}
	var told, counted uint64 // a refusal may still be on its way
	for end := time.Now().Add(time.Minute); told == 0 || told != counted; {
		told, counted = a.Counter(t, "IcmpInDestUnreachs"), la.Caps().Counters().Unsent
		if time.Now().After(end) {
			t.Fatalf("%d refusals are counted, the kernel was told of %d", counted, told)
		}
	}
	if err := la.Err(); err != nil {
		t.Errorf("the link has ended: %v", err)
	}
}
