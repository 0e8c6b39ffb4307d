// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
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

// newPair returns the two sides of a region, closed at the end.
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
	frames [maxBatch][]byte
	offs   [maxBatch]frame.VNetHeader
	sizes  [maxBatch]int
}

func newSlab(size int) *slab {
	s := new(slab)
	for i := range s.frames {
		s.frames[i] = make([]byte, size)
	}
	return s
}

func (s *slab) Place(i, size int, o frame.VNetHeader) []byte {
	s.sizes[i], s.offs[i] = size, o
	return s.frames[i]
}
