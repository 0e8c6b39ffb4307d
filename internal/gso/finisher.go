// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import (
	"net"
	"sync"

	"github.com/go-vde/sdk/frame"
)

const (
	// finishBatch is how many ordinary frames a Finisher hands on together.
	finishBatch = 64

	// finishSpace holds what is not passed on as it came: segments, and frames
	// whose checksum was completed. Each fits, and it is small enough for what
	// was written to be still in the processor's cache when it is sent.
	finishSpace = 1 << 16
)

// A Sender takes ordinary frames, given in pieces, which are lent for the call.
// The results are those of link.Link's Send.
type Sender interface {
	SendPieces(frames []net.Buffers, wait bool) (n, calls int, err error)
}

// A Finisher sends frames to a receiver that takes ordinary ones only: it
// completes partial checksums and segments GSO frames. The zero Finisher is
// ready. Sends are serialized; memory is allocated when the first is made.
//
// Frames in pieces are passed on in pieces where nothing has to be done.
type Finisher struct {
	mu     sync.Mutex // held for a whole send, also while it waits; guards what follows
	seg    Segmenter
	space  []byte // of finishSpace bytes
	used   int
	pieces [][]byte      // of the frames in out that were given in pieces
	out    []net.Buffers // ordinary frames to be sent
	ends   []int         // for each frame given, as far as they have come: where it ends in out
	head   [MaxHead]byte // of a frame whose first piece is short
	single []net.Buffers // of Send
	one    [][]byte      // of Send
}

// Send sends frames with their metadata, which have passed [Check]. n counts
// frames as they were given. When a GSO frame could not be sent whole, its first
// segments may have been.
func (s *Finisher) Send(to Sender, frames [][]byte, headers []frame.VNetHeader, wait bool) (n, calls int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() {
		clear(s.one)
		s.one, s.single = s.one[:0], s.single[:0]
	}()
	// Grown first, because single refers to it.
	if cap(s.one) < len(frames) {
		s.one = make([][]byte, 0, roundUp(len(frames)))
	}
	for i, f := range frames {
		s.one = append(s.one, f)
		s.single = append(s.single, s.one[i:i+1:i+1])
	}
	return s.send(to, s.single, headers, wait)
}

// SendPieces is Send for frames in pieces.
func (s *Finisher) SendPieces(to Sender, frames []net.Buffers, headers []frame.VNetHeader, wait bool) (n, calls int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(to, frames, headers, wait)
}

// send is SendPieces with mu held.
func (s *Finisher) send(to Sender, frames []net.Buffers, headers []frame.VNetHeader, wait bool) (n, calls int, err error) {
	if s.space == nil {
		s.space = make([]byte, finishSpace)
		s.out = make([]net.Buffers, 0, finishBatch)
	}
	defer s.forget()
	r := finishRun{s, to, wait, 0, 0}
	for i, pieces := range frames {
		if err := r.add(pieces, headers[i]); err != nil {
			return r.n, r.calls, err
		}
	}
	err = r.flush()
	return r.n, r.calls, err
}

// forget lets go of what was lent.
func (s *Finisher) forget() {
	clear(s.out)
	clear(s.pieces)
	s.out, s.pieces, s.ends, s.used = s.out[:0], s.pieces[:0], s.ends[:0], 0
	s.seg.done = true
}

// A finishRun is one send.
type finishRun struct {
	*Finisher
	to    Sender
	wait  bool
	n     int // frames sent
	calls int
}

// add prepares a frame, and sends what is prepared when there is no more room.
func (r *finishRun) add(pieces net.Buffers, o frame.VNetHeader) error {
	if len(r.out) == 0 {
		clear(r.pieces)
		r.pieces = r.pieces[:0]
	}
	from := len(r.pieces)
	r.pieces = appendPieces(r.pieces, pieces)
	body := r.pieces[from:len(r.pieces):len(r.pieces)]
	var err error
	switch {
	case o.GSOType != frame.GSONone:
		err = r.segment(o, body)
	case o.Flags&frame.VNetNeedsChecksum != 0:
		var dst []byte
		if dst, err = r.room(Length(body)); err == nil {
			Gather(dst, body)
			Finish(o, dst)
			r.put(dst)
		}
	default:
		if len(r.out) == finishBatch {
			err = r.flush()
		}
		r.out = append(r.out, body)
	}
	if err == nil {
		r.ends = append(r.ends, len(r.out))
	}
	return err
}

// segment prepares the segments of a GSO frame.
func (r *finishRun) segment(o frame.VNetHeader, body [][]byte) error {
	size := Length(body)
	head := r.head[:Gather(r.head[:], body)]
	l, _ := parse(head, size) // fails only if it has not passed Check
	headers := head[:l.data]
	for cut := len(headers); cut > 0; {
		k := min(cut, len(body[0]))
		body[0] = body[0][k:]
		cut -= k
		if len(body[0]) == 0 {
			body = body[1:]
		}
	}
	r.seg.ResetPieces(o, headers, body, size)
	for !r.seg.done {
		dst, err := r.room(r.seg.Size())
		if err != nil {
			return err
		}
		r.seg.Next(dst)
		r.put(dst)
	}
	return nil
}

// room returns space for a frame of n bytes, after sending if there was none.
func (r *finishRun) room(n int) ([]byte, error) {
	if r.used+n > len(r.space) || len(r.out) == finishBatch {
		if err := r.flush(); err != nil {
			return nil, err
		}
	}
	return r.space[r.used : r.used+n : r.used+n], nil
}

// put adds f, which is in space, to the ordinary frames to send.
func (r *finishRun) put(f []byte) {
	r.used += len(f)
	from := len(r.pieces)
	r.pieces = append(r.pieces, f) // should they move, the old place stays alive
	r.out = append(r.out, r.pieces[from:from+1:from+1])
}

// flush sends what is prepared.
func (r *finishRun) flush() error {
	if len(r.out) == 0 {
		return nil
	}
	k, calls, err := r.to.SendPieces(r.out, r.wait)
	r.calls += calls
	for _, end := range r.ends {
		if end <= k {
			r.n++
		}
	}
	clear(r.out)
	r.out, r.ends, r.used = r.out[:0], r.ends[:0], 0
	// The pieces stay: a frame that is being segmented may be among them.
	return err
}

// roundUp returns a size for n elements, so that growing batches do not
// reallocate each time.
func roundUp(n int) int {
	size := finishBatch
	for size < n {
		size *= 2
	}
	return size
}
