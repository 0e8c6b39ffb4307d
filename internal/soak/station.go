// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/vde"
)

const (
	maxFrame  = frame.DefaultMaxSize
	readDepth = 256 // of channels of frames
)

// A station is one port of a cleanNetwork: one connection at a time, with one
// goroutine that writes and one that reads.
type station struct {
	s    *soak
	name string
	num  int // of its port
	mac  frame.MAC

	dial  func() (*vde.Conn, error)
	line  *impair.Config               // not nil: the connection is behind a bad line
	write func(*station, [][]byte) int // writes frames, writing held, returns how many were sent
	read  func(*station, *vde.Conn)    // reads until the connection ends

	inProcess bool
	abrupt    bool // closes or is disconnected in the middle of writing

	writing sync.Mutex // held by writes, and to stop them
	paused  sync.Mutex // locked and unlocked before each read; held to stop the reader
	reading sync.WaitGroup
	lost    chan struct{} // gets a value, if there is room, when the link goes down
	back    chan struct{} // gets a value, if there is room, when the link is up

	seq  uint64 // of the frame made last; writing held
	sent uint64 // frames that write methods said they sent; writing held
	raw  uint64 // datagrams sent past the connection; writing held
	seen atomic.Uint64

	conn  *vde.Conn // writing held to change it
	inner *vde.Conn // behind the line, or conn
	bad   *impair.Line
	gone  ledger // of the connections before

	order map[frame.MAC]uint64 // the last number from each station; the reader's
}

// A ledger holds the figures of one port's connections.
type ledger struct {
	tx, rx    uint64 // at the socket: taken by the kernel or switch; received, discards included
	delivered uint64 // to the reader
	accepted  uint64 // from the writer
	discarded uint64 // unread at the end
}

// of adds the figures of a station's connection: outer is what the station uses,
// inner what joined the network.
func (b *ledger) of(outer, inner *vde.Conn, inProcess bool) {
	i, o := inner.Stats(), outer.Stats()
	b.tx += i.TxFrames
	b.rx += i.RxFrames + i.RxRunts + i.RxTruncated + i.RxEmpty + i.RxForeign
	if !inProcess {
		b.rx += i.RxDiscarded // they had left the switch
	}
	b.discarded += i.RxDiscarded
	b.delivered += o.RxFrames
	b.accepted += o.TxFrames
}

// join opens the station's connection and starts its reader; writing is held, or
// nobody else knows the station yet.
func (st *station) join() error {
	c, err := st.dial()
	if err != nil {
		return err
	}
	st.lost, st.back = make(chan struct{}, 1), make(chan struct{}, 1)
	lost, back := st.lost, st.back
	c.OnLinkChange(func(l vde.LinkState) {
		ch := lost
		if l.Up {
			ch = back
		} else if l.Attempt > 0 {
			return
		}
		select {
		case ch <- struct{}{}:
		default:
		}
	})
	st.conn, st.inner, st.bad = c, c, nil
	if st.line != nil {
		if st.bad, err = impair.New(c, *st.line); err != nil {
			return err
		}
		st.conn = st.bad.Conn()
	}
	conn := st.conn
	st.reading.Go(func() { st.read(st, conn) })
	return nil
}

// leave closes the connection and keeps its figures; writing is held.
func (st *station) leave() {
	if st.conn == nil {
		return
	}
	if err := st.conn.Close(); err != nil {
		st.s.violate("%s: close: %v", st.name, err)
	}
	st.reading.Wait()
	st.gone.of(st.conn, st.inner, st.inProcess)
	if say := st.lineDiffers(); say != "" {
		st.s.violate("%s", say)
	}
	st.conn, st.inner, st.bad = nil, nil, nil
}

// ledger returns the figures of all the station's connections; writing is held.
func (st *station) ledger() ledger {
	b := st.gone
	if st.conn != nil {
		b.of(st.conn, st.inner, st.inProcess)
	}
	return b
}

// lineDiffers returns where the figures of a bad line do not agree with those of the
// connections at its ends, or "".
func (st *station) lineDiffers() string {
	if st.bad == nil {
		return ""
	}
	out, in := st.bad.Stats()
	i, o := st.inner.Stats(), st.conn.Stats()
	sum := func(w impair.Stats) uint64 {
		return w.Delivered + w.Lost + w.Partitioned + w.Overflowed + w.Refused + w.Pending
	}
	if out.Frames != o.TxFrames || out.Delivered != i.TxFrames || in.Frames != i.RxFrames || in.Delivered != o.RxFrames+o.RxDiscarded ||
		out.Frames+out.Duplicated != sum(out) || in.Frames+in.Duplicated != sum(in) || out.Pending+in.Pending > 0 {
		return fmt.Sprintf("%s: out %+v, in %+v, inside %+v, outside %+v\n", st.name, out, in, i, o)
	}
	return ""
}

// batch returns frames for some of the stations; writing is held.
func (st *station) batch(r *rand.Rand, to []frame.MAC, most int) [][]byte {
	frames := make([][]byte, 1+r.IntN(most))
	for i := range frames {
		dst := to[r.IntN(len(to))]
		if r.IntN(20) == 0 {
			dst = frame.Broadcast()
		}
		frames[i] = st.frame(dst, size(r))
	}
	return frames
}

// frame returns the next frame; writing is held.
func (st *station) frame(dst frame.MAC, size int) []byte {
	st.seq++
	b := make([]byte, size)
	copy(b, dst[:])
	copy(b[6:], st.mac[:])
	testframe.Fill(b, st.seq)
	return b
}

// size returns the size of a frame.
func size(r *rand.Rand) int {
	switch r.IntN(20) {
	case 0:
		return 1515 + r.IntN(9000-1515)
	case 1, 2, 3:
		return 1514
	case 4, 5, 6, 7, 8:
		return testframe.MinSize + r.IntN(1500)
	}
	return 60
}

// run writes until ctx ends.
func (st *station) run(ctx context.Context, r *rand.Rand, to []frame.MAC) {
	for st.s.gov.wait(ctx) {
		st.writing.Lock()
		if st.conn != nil {
			if r.IntN(50) == 0 {
				// A deadline that may pass in the middle of a batch.
				st.conn.SetWriteDeadline(time.Now().Add(time.Duration(r.IntN(200)) * time.Microsecond))
			}
			st.push(st.batch(r, to, 40))
			st.conn.SetWriteDeadline(time.Time{})
		}
		st.writing.Unlock()
	}
}

// push writes frames and counts them; writing is held.
func (st *station) push(frames [][]byte) { st.sent += uint64(st.write(st, frames)) }

// Ways to write.

func (st *station) wrote(err error) {
	switch {
	case err == nil, errors.Is(err, vde.ErrFull), errors.Is(err, os.ErrDeadlineExceeded):
	case st.abrupt && (errors.Is(err, net.ErrClosed) || errors.Is(err, vde.ErrHangup) || errors.Is(err, vde.ErrLinkDown) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ENOTCONN)):
	default:
		st.s.violate("%s: write: %v", st.name, err)
	}
}

func writeSingly(st *station, frames [][]byte) (n int) {
	for _, f := range frames {
		k, err := st.conn.Write(f)
		if k == len(f) {
			n++
		}
		st.wrote(err)
		if err != nil {
			break
		}
	}
	return n
}

func writeBatch(st *station, frames [][]byte) int {
	n, err := st.conn.WriteBatch(frames)
	st.wrote(err)
	return n
}

func tryWriteBatch(st *station, frames [][]byte) int {
	n, err := st.conn.TryWriteBatch(frames)
	if errors.Is(err, vde.ErrLinkDown) {
		err = nil // it never waits
	}
	st.wrote(err)
	return n
}

func writeBuffers(st *station, frames [][]byte) int {
	pieces := make([]net.Buffers, len(frames))
	for i, f := range frames {
		pieces[i] = net.Buffers{f[:14], f[14:20], f[20:]}
	}
	n, err := st.conn.WriteBuffers(pieces)
	st.wrote(err)
	return n
}

// Ways to read.

// stop is called before each read.
func (st *station) stop() {
	st.paused.Lock()
	//lint:ignore SA2001 holding it stops the reader
	st.paused.Unlock()
}

// over reports whether err ends reading.
func (st *station) over(err error) bool {
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false
	case errors.Is(err, net.ErrClosed), errors.Is(err, vde.ErrHangup):
		return true
	}
	st.s.violate("%s: read: %v", st.name, err)
	return errors.Is(err, io.EOF) || st.conn.Err() != nil
}

func readSingly(st *station, c *vde.Conn) {
	b := make([]byte, maxFrame)
	for i := 0; ; i++ {
		st.stop()
		if i%64 == 0 {
			c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
		}
		n, err := c.Read(b)
		if err == nil {
			st.got(b[:n])
		} else if st.over(err) {
			return
		} else {
			i = -1
		}
	}
}

func readBatches(st *station, c *vde.Conn) {
	const n = 32
	slab := make([]byte, n*maxFrame)
	bufs := make([][]byte, n)
	for {
		for i := range bufs {
			bufs[i] = slab[i*maxFrame:][:maxFrame]
		}
		st.stop()
		k, err := c.ReadBatch(bufs)
		for _, b := range bufs[:k] {
			st.got(b)
		}
		if err != nil && st.over(err) {
			return
		}
	}
}

func readFrames(st *station, c *vde.Conn) {
	for f := range c.Frames() {
		st.got(f.Bytes())
		f.Release()
		st.stop()
	}
}

// got checks a frame: the content of every test frame is known, and numbers of
// one sender rise.
func (st *station) got(b []byte) {
	st.seen.Add(1)
	seq, err := testframe.Check(b)
	if errors.Is(err, testframe.ErrNotTestFrame) {
		return // of the TCP/IP hosts
	}
	if err != nil {
		st.s.violate("%s: %v", st.name, err)
		return
	}
	src := frame.Frame(b).Src()
	if kind := src[4]; st.line != nil || kind == unordered {
		return
	}
	if last := st.order[src]; seq <= last {
		st.s.violate("%s: frame %d of %v after %d", st.name, seq, src, last)
	}
	st.order[src] = seq
}

// The fifth byte of an address says whether the station's frames keep their order.
// They do not over bad lines, nor where a station leaves in the middle of writing:
// frames of its old connection and of its new one overtake each other.
const (
	ordered   = 0
	unordered = 1
)
