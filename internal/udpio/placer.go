// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
)

const (
	// maxOrdinary is the length of the longest frame on an Ethernet of the usual MTU,
	// with two tags.
	maxOrdinary = 1514 + 2*frame.TagLen

	// segmentMTU is the MTU for which a long TCP segment is cut: what fits on an Ethernet
	// inside a tunnel over IPv6. The sender's own, which nothing tells, is rarely less,
	// and shorter segments are as good.
	segmentMTU = 1430
)

// A Placer copies frames to where there is room for them. It is given frames that are
// lent, which come without metadata; a [gso.Resolver] asks for frames in memory of its
// own, with their metadata.
//
// Where a kernel makes frames, for a network device that would complete checksums and
// cut long TCP segments, it leaves both undone in what it sends through a tunnel over
// veth devices. The checksum field of such a frame holds the sum of the pseudo-header.
// Where it does so by chance, and the checksum is right, completing it yields the same.
type Placer struct {
	seg gso.Segmenter // of a TCP segment that was not handed over whole
	buf []byte        // of the segment; nil until there was one
}

// Pending returns how many frames are left of the last one that was placed.
func (p *Placer) Pending() int { return p.seg.Left() }

// Place copies frame f to where rx has room for frame i. A checksum to be completed and
// a segment to be cut are handed over as metadata, if the caller takes that and has
// room; otherwise they are completed and cut. It returns how many frames came of f. If
// more are left, they are placed by Rest.
func (p *Placer) Place(rx *link.Rx, i int, f []byte) (placed int) {
	h := gso.Partial(f)
	if len(f) > maxOrdinary && h.Partial() {
		if h = gso.Guess(f, segmentMTU); h.GSOType != frame.GSONone && (rx.Headers == nil || len(f) > len(rx.Bufs[i])) {
			p.buf = append(p.buf[:0], f...)
			p.seg.Reset(h, p.buf)
			return p.Rest(rx, i)
		}
	}
	n := copy(rx.Bufs[i], f)
	rx.Sizes[i] = len(f)
	if n < len(f) {
		h = frame.VNetHeader{}
	} else if h.Partial() && rx.Headers == nil {
		gso.Finish(h, rx.Bufs[i][:n])
	}
	if rx.Headers != nil {
		rx.Headers[i] = h
	}
	return 1
}

// Rest places what is left of the last frame, from where rx has room for frame i on. It
// returns how many frames it has placed. One for which a buffer is too short is lost, as
// its size says.
func (p *Placer) Rest(rx *link.Rx, i int) (placed int) {
	for room := min(len(rx.Bufs), len(rx.Sizes)); i < room; i++ {
		size, ok := p.seg.NextCut(rx.Bufs[i])
		if !ok {
			break
		}
		rx.Sizes[i] = size
		if rx.Headers != nil {
			rx.Headers[i] = frame.VNetHeader{}
		}
		placed++
	}
	return placed
}
