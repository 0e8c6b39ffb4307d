// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"io"
	"net/netip"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
)

// TestManyStreams sends data over many connections at the same time, between two ports of
// a switch in this process, with the default settings. Each segment that one host sends
// arrives at the other: where queues are full, senders wait. A segment may be sent twice
// all the same, on a machine that is too busy for the timeout of 200 ms.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	const streams = 64
	size := scaled(1<<20, 128<<10)
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	a := host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	b := host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	out, in := dialMany(t, b, a, streams)
	var g errgroup.Group
	for i := range streams {
		g.Go(func() error {
			defer out[i].Close()
			_, err := io.CopyN(out[i], zeros{}, size)
			return err
		})
		g.Go(func() error {
			defer in[i].Close()
			n, err := io.Copy(io.Discard, in[i])
			if n != size {
				t.Errorf("connection %d: %d bytes", i, n)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both hosts have received what the other one has sent", func() bool {
		// What is received is read first: if it is equal, nothing was on its way.
		ra, rb := a.Stats(), b.Stats()
		return ra.TCPSegmentsReceived == b.Stats().TCPSegmentsSent && rb.TCPSegmentsReceived == a.Stats().TCPSegmentsSent
	})
	for _, h := range []*netstack.Host{a, b} {
		if s := h.Stats(); s.Endpoint.TxDropped() != 0 {
			t.Errorf("%+v", s)
		}
	}
}

// zeros is a reader of zeros without end.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
