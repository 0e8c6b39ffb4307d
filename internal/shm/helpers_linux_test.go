// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/link"
)

// dup returns descriptors as they arrive at the other end of a socket.
func dup(tb testing.TB, fds []int) []int {
	tb.Helper()
	var copies []int
	for _, fd := range fds {
		fd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			tb.Fatal(err)
		}
		copies = append(copies, fd)
	}
	return copies
}

// newPair returns the two sides of a region, which are closed when the test ends.
func newPair(tb testing.TB, maxFrame int) (client, sw *End) {
	tb.Helper()
	offer, err := NewOffer(allFeatures, maxFrame)
	if err != nil {
		tb.Fatal(err)
	}
	sw, _, attach, err := Accept(dup(tb, offer.Descriptors()), allFeatures)
	if err != nil || sw == nil {
		tb.Fatal(sw, err)
	}
	client, _, err = offer.Taken(dup(tb, attach))
	if err != nil || client == nil {
		tb.Fatal(client, err)
	}
	tb.Cleanup(func() {
		client.Close()
		sw.Close()
	})
	return client, sw
}

// A slab receives frames into slices of its own.
type slab struct {
	frames  [maxBatch][]byte
	headers [maxBatch]frame.VNetHeader
	sizes   [maxBatch]int
}

func newSlab(size int) *slab {
	s := new(slab)
	for i := range s.frames {
		s.frames[i] = make([]byte, size)
	}
	return s
}

// rx returns where to receive at most n frames, without and with their metadata.
func (s *slab) rx(n int) link.Rx { return link.Rx{Bufs: s.frames[:n], Sizes: s.sizes[:]} }

func (s *slab) rxHeaders(n int) link.Rx {
	r := s.rx(n)
	r.Headers = s.headers[:]
	return r
}

func (s *slab) Place(i, size int, h frame.VNetHeader) []byte {
	s.sizes[i], s.headers[i] = size, h
	return s.frames[i]
}

// short is a short frame to send.
var short = link.Tx{Frames: [][]byte{make([]byte, 60)}}

func sendTx(t *testing.T, e *End, tx link.Tx) {
	t.Helper()
	if _, _, err := e.Send(tx); err != nil {
		t.Fatal(err)
	}
}

// send sends frames of these sizes, each by itself.
func send(t *testing.T, e *End, sizes ...int) {
	t.Helper()
	for _, n := range sizes {
		sendTx(t, e, link.Tx{Frames: [][]byte{make([]byte, n)}})
	}
}

func recv(t *testing.T, e *End) {
	t.Helper()
	if _, err := e.Recv(newSlab(1 << 16).rx(maxBatch)); err != nil {
		t.Fatal(err)
	}
}

// awaitDescriptors waits until no more than want are open: other goroutines close
// some of them.
func awaitDescriptors(tb testing.TB, want int) {
	tb.Helper()
	defer watchdog()()
	for len(openfiles.Open()) > want {
		runtime.Gosched()
	}
}
