// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso

import (
	"net"
	"sync"

	"github.com/go-vde/sdk/frame"
)

const (
	// softBatch is how many ordinary frames Soft hands on together.
	softBatch = 64

	// softSpace holds what is not passed on as it came: segments, and frames
	// whose checksum was completed. Each fits, and it is small enough for what
	// was written to be still in the processor's cache when it is sent.
	softSpace = 1 << 16
)

// A Sender takes ordinary frames, as link.Link's method of that name does.
type Sender interface {
	SendBuffers(frames []net.Buffers, wait bool) (n, calls int, err error)
}

// Soft sends frames with offload headers to somebody who takes ordinary ones: it
// does itself what is left undone. The zero Soft is ready. Sends are serialized;
// memory is allocated when the first is made.
//
// Frames in pieces are passed on in pieces where nothing is to be done.
type Soft struct {
	mu     sync.Mutex // held for a whole send, also while it waits
	seg    Segmenter
	space  []byte // of softSpace bytes
	used   int
	pieces [][]byte      // of the frames in out that were given in pieces
	out    []net.Buffers // ordinary frames to be sent
	ends   []int         // for each frame given, as far as they have come: where it ends in out
	head   [MaxHead]byte // of a frame whose first piece is short
	single []net.Buffers // of Send
	one    [][]byte      // likewise
}

// Send sends frames, each with its header, which have passed [Check]. n counts
// frames as they were given. When one to be segmented could not be sent whole,
// its first segments may have been.
func (s *Soft) Send(to Sender, frames [][]byte, wait bool) (n, calls int, err error) {
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
	return s.send(to, s.single, wait)
}

// SendBuffers is Send for frames in pieces, the first beginning with the header
// or with a part of it.
func (s *Soft) SendBuffers(to Sender, frames []net.Buffers, wait bool) (n, calls int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.send(to, frames, wait)
}

// send is SendBuffers with mu held.
func (s *Soft) send(to Sender, frames []net.Buffers, wait bool) (n, calls int, err error) {
	if s.space == nil {
		s.space = make([]byte, softSpace)
		s.out = make([]net.Buffers, 0, softBatch)
	}
	defer s.forget()
	b := softRun{s, to, wait, 0, 0}
	for _, pieces := range frames {
		if err := b.add(pieces); err != nil {
			return b.n, b.calls, err
		}
	}
	err = b.flush()
	return b.n, b.calls, err
}

// forget lets go of what was lent.
func (s *Soft) forget() {
	clear(s.out)
	clear(s.pieces)
	s.out, s.pieces, s.ends, s.used = s.out[:0], s.pieces[:0], s.ends[:0], 0
	s.seg.done = true
}

// A softRun is one send.
type softRun struct {
	*Soft
	to    Sender
	wait  bool
	n     int // frames sent
	calls int
}

// add prepares a frame, and sends what is prepared when there is no more room.
func (b *softRun) add(pieces net.Buffers) error {
	var hdr [frame.VNetHeaderLen]byte
	Gather(hdr[:], pieces)
	o, _ := frame.ParseVNetHeader(hdr[:])
	if len(b.out) == 0 {
		clear(b.pieces)
		b.pieces = b.pieces[:0]
	}
	from := len(b.pieces)
	b.pieces = appendFrom(b.pieces, pieces, frame.VNetHeaderLen)
	body := b.pieces[from:len(b.pieces):len(b.pieces)]
	var err error
	switch {
	case o.GSOType != frame.GSONone:
		err = b.segment(o, body)
	case o.Flags&frame.VNetNeedsChecksum != 0:
		size := Length(body)
		var dst []byte
		if dst, err = b.room(size); err == nil {
			Gather(dst, body)
			Finish(o, dst)
			b.put(dst)
		}
	default:
		if len(b.out) == softBatch {
			err = b.flush()
		}
		b.out = append(b.out, body)
	}
	if err == nil {
		b.ends = append(b.ends, len(b.out))
	}
	return err
}

// segment prepares what a frame is cut into.
func (b *softRun) segment(o frame.VNetHeader, body [][]byte) error {
	size := Length(body)
	headers := b.head[:min(int(o.HdrLen), MaxHead, size)]
	Gather(headers, body)
	// appendFrom cannot be used to cut the headers off: it would append.
	for cut := len(headers); cut > 0; {
		k := min(cut, len(body[0]))
		body[0] = body[0][k:]
		cut -= k
		if len(body[0]) == 0 {
			body = body[1:]
		}
	}
	b.seg.ResetPieces(o, headers, body, size)
	for !b.seg.done {
		dst, err := b.room(b.seg.Size())
		if err != nil {
			return err
		}
		b.seg.Next(dst)
		b.put(dst)
	}
	return nil
}

// room returns space for a frame of n bytes, after sending if there was none.
func (b *softRun) room(n int) ([]byte, error) {
	if b.used+n > len(b.space) || len(b.out) == softBatch {
		if err := b.flush(); err != nil {
			return nil, err
		}
	}
	return b.space[b.used : b.used+n : b.used+n], nil
}

// put takes f, which is in space, for an ordinary frame to send.
func (b *softRun) put(f []byte) {
	b.used += len(f)
	from := len(b.pieces)
	b.pieces = append(b.pieces, f) // should they move, the old place stays alive
	b.out = append(b.out, b.pieces[from:from+1:from+1])
}

// flush sends what is prepared.
func (b *softRun) flush() error {
	if len(b.out) == 0 {
		return nil
	}
	k, calls, err := b.to.SendBuffers(b.out, b.wait)
	b.calls += calls
	for _, end := range b.ends {
		if end <= k {
			b.n++
		}
	}
	clear(b.out)
	b.out, b.ends, b.used = b.out[:0], b.ends[:0], 0
	// The pieces stay: a frame that is being segmented may be among them.
	return err
}

// roundUp returns a size for n elements, so that growing batches do not
// reallocate each time.
func roundUp(n int) int {
	size := softBatch
	for size < n {
		size *= 2
	}
	return size
}
