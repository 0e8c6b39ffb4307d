// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
)

// TestAgainstQEMU sends frames through a QEMU from one of its dgram back ends of type
// inet to another, kills it, and does so again with the next one. Both links stay open,
// and what the kernel refuses meanwhile ends nothing.
func TestAgainstQEMU(t *testing.T) {
	t.Parallel()
	var netdevs []string
	var ends []link.Link
	for range 2 {
		theirs, ours := nextPort(), nextPort()
		netdevs = append(netdevs, fmt.Sprintf("dgram,local.type=inet,local.host=%s,local.port=%d,remote.type=inet,remote.host=%s,remote.port=%d", host, theirs, host, ours))
		ends = append(ends, open(t, fmt.Sprintf("udp://%s:%d->%s:%d", host, ours, host, theirs)))
	}
	for round := range 2 {
		q := testpeers.StartQEMU(t, netdevs...)
		for i := range ends {
			from, to := ends[i], ends[1-i]
			awaitQEMU(t, from, to)
			for n := range 200 {
				f := bytes.Repeat([]byte{byte(n)}, 60+7*n)
				send(t, from, f)
				if got := recv(t, to); !bytes.Equal(got, f) {
					t.Fatalf("round %d: frame %d is %d bytes % x…", round, n, len(got), got[:min(len(got), 20)])
				}
			}
		}
		q.Kill()
		for range 10 {
			send(t, ends[0], make([]byte, 60))
		}
	}
	for _, l := range ends {
		if c := l.Caps().Counters(); l.Err() != nil || c.Foreign > 0 {
			t.Errorf("%v, %+v", l.Err(), c)
		}
	}
	if n := ends[0].Caps().Counters().Unsent; n == 0 {
		t.Error("no refusal was counted")
	}
}

// awaitQEMU waits until frames pass. QEMU may not have bound its sockets yet, so the
// first one is sent until it comes, and what comes late is received.
func awaitQEMU(t *testing.T, from, to link.Link) {
	t.Helper()
	end := time.Now().Add(time.Minute)
	first, last := bytes.Repeat([]byte{0xaa}, 60), bytes.Repeat([]byte{0xbb}, 60)
	buf, sizes := make([]byte, 100), make([]int, 1)
	defer to.SetReadDeadline(time.Time{})
	for {
		send(t, from, first)
		_ = to.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		n, err := to.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes})
		if n == 1 {
			break
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
			t.Fatalf("nothing passes QEMU: %v", err)
		}
	}
	send(t, from, last)
	_ = to.SetReadDeadline(end)
	for f := first; bytes.Equal(f, first); {
		if f = recv(t, to); !bytes.Equal(f, first) && !bytes.Equal(f, last) {
			t.Fatalf("a frame of %d bytes", len(f))
		}
	}
}
