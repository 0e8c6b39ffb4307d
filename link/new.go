// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/framequeue"
	"github.com/go-vde/sdk/internal/jsonconf"
)

// A FrameConn moves whole frames with calls that wait. It is what [New] makes a
// [Link] of. ReadFrame and WriteFrames are called by one goroutine each.
type FrameConn interface {
	// ReadFrame waits for the next frame and copies it to the front of buf. n is
	// the length of the frame, more than len(buf) if its end was cut off. An
	// error ends the link; [io.EOF] says that the other side has ended it.
	ReadFrame(buf []byte) (n int, err error)

	// WriteFrames writes frames in order. They are lent for the call. n is how
	// many were written whole. If these are fewer than all, err says why and ends
	// the link.
	WriteFrames(frames [][]byte) (n int, err error)

	// Close closes the connection and wakes both. It is called once.
	Close() error
}

// A Config describes a link made by [New]. The zero value has the defaults.
type Config struct {
	Address      string // what the link is connected to, as a locator
	MaxFrameSize int    // longest frame to receive whole, in bytes (default [frame.DefaultMaxSize])

	// Depth is how many frames wait in the queue of each direction (default 256).
	Depth int

	// Linger is how long Close waits for frames that Send has accepted to be
	// written (default 1 second; negative: not at all).
	Linger time.Duration
}

// MarshalJSON writes the duration as text, as in "1s".
func (cfg Config) MarshalJSON() ([]byte, error) {
	type plain Config
	return json.Marshal(struct {
		plain
		Linger jsonconf.Duration
	}{plain(cfg), jsonconf.Duration(cfg.Linger)})
}

// UnmarshalJSON reads what MarshalJSON writes. Fields that b does not mention keep
// their value.
func (cfg *Config) UnmarshalJSON(b []byte) error {
	type plain Config
	v := struct {
		*plain
		Linger *jsonconf.Duration
	}{(*plain)(cfg), (*jsonconf.Duration)(&cfg.Linger)}
	return json.Unmarshal(b, &v)
}

// New returns a link on c, which it owns from then on. One goroutine reads and one
// writes, with a queue in between, so c need not know of batches, deadlines or
// calls that do not wait.
//
// Frames are sent in the sense of [Link] when they are in the queue. Those which
// could not be written before the end are counted as Unsent in [Counters]. A full
// receive queue stops reading: the link learns of its end after that.
func New(c FrameConn, cfg Config) Link {
	cfg.MaxFrameSize = cmp.Or(cfg.MaxFrameSize, frame.DefaultMaxSize)
	cfg.Linger = cmp.Or(cfg.Linger, time.Second)
	depth := cmp.Or(cfg.Depth, 256)
	l := &queued{
		conn: c, cfg: cfg, tx: framequeue.New(depth), rx: framequeue.New(depth),
		done: make(chan struct{}), closing: make(chan struct{}),
		reading: make(chan struct{}), writing: make(chan struct{}),
	}
	l.close, l.counters = sync.OnceValue(c.Close), l.count
	l.running.Go(l.read)
	l.running.Go(l.write)
	return l
}

// A queued is the link that New returns.
type queued struct {
	conn     FrameConn
	close    func() error // of conn, once
	cfg      Config
	tx, rx   *framequeue.Queue
	counters func() Counters // made once, because Caps is called for each send with metadata

	running sync.WaitGroup
	reading chan struct{} // closed when nothing more is read
	writing chan struct{} // closed when nothing more is written

	ending  sync.Once
	done    chan struct{}         // closed when the other side has ended the link, or it has failed
	cause   atomic.Pointer[error] // set before anybody can learn of the end
	closed  atomic.Bool
	closing chan struct{} // closed by Close

	unsent  atomic.Uint64
	dropped int // frames read since Close; the reading goroutine's until it has ended
}

var _ Link = (*queued)(nil)

// read moves frames from the connection to the queue, until the end. What comes
// after Close is counted as unread: the other side may close too, and wait for
// what it has sent to be read.
func (l *queued) read() {
	defer close(l.reading)
	buf := make([]byte, l.cfg.MaxFrameSize)
	for {
		n, err := l.conn.ReadFrame(buf)
		if err != nil {
			l.end(endReason(err))
			return
		}
		if l.rx.PutCut(buf[:min(n, len(buf))], n) != nil {
			l.dropped++
		}
	}
}

// writeBatch is the largest number of frames given to WriteFrames.
const writeBatch = 64

// write moves frames from the queue to the connection, until the end.
func (l *queued) write() {
	slots, frames := make([]framequeue.Slot, writeBatch), make([][]byte, writeBatch)
	for {
		n, err := l.tx.GetSlots(slots)
		if err != nil {
			close(l.writing)
			return
		}
		for i, s := range slots[:n] {
			frames[i] = s.Frame
		}
		sent, err := l.conn.WriteFrames(frames[:n])
		if err != nil {
			cause := endReason(err)
			l.unsent.Add(uint64(n - sent + l.tx.EndGet(cause, cause)))
			close(l.writing)
			l.endAfterReading(cause)
			return
		}
	}
}

// readGrace is how long a link whose connection cannot be written to goes on
// reading what the other side had sent before.
const readGrace = time.Second

// endAfterReading ends the link because its connection cannot be written to.
func (l *queued) endAfterReading(cause error) {
	timer := time.NewTimer(readGrace)
	defer timer.Stop()
	select {
	case <-l.reading:
	case <-l.closing:
	case <-timer.C:
		l.end(cause)
		_ = l.close() // wakes the reading goroutine, and has no more to tell
	}
}

// end notes that the link has ended, unless it was closed before.
func (l *queued) end(cause error) {
	l.ending.Do(func() {
		closed := l.closed.Load()
		if !closed {
			l.cause.Store(&cause)
		}
		l.tx.EndPut(cause, cause)
		l.rx.EndPut(cause, cause)
		if !closed {
			close(l.done)
		}
	})
}

// endReason returns why a link whose connection failed with err has ended.
func endReason(err error) error {
	switch {
	case err == io.EOF:
		return ErrHangup
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe), refused(err):
		return fmt.Errorf("%w: %w", ErrHangup, err)
	}
	return err
}

// Recv implements [Link].
func (l *queued) Recv(r Rx) (n int, err error) {
	return l.rx.Get(r.Bufs, r.Sizes, r.Headers, !r.NoWait)
}

// Send implements [Link].
func (l *queued) Send(t Tx) (n, calls int, err error) {
	n, err = l.tx.Put(framequeue.Batch{Frames: t.Frames, Pieces: t.Pieces}, !t.NoWait)
	return n, min(n, 1), err
}

// AwaitRoom implements [Link].
func (l *queued) AwaitRoom() error { return l.tx.AwaitRoom() }

// SetReadDeadline implements [Link].
func (l *queued) SetReadDeadline(t time.Time) error {
	return l.setDeadline(func() { l.rx.GetDeadline.Set(t) })
}

// SetWriteDeadline implements [Link].
func (l *queued) SetWriteDeadline(t time.Time) error {
	return l.setDeadline(func() { l.tx.PutDeadline.Set(t) })
}

func (l *queued) setDeadline(set func()) error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	set()
	return nil
}

// Done implements [Link].
func (l *queued) Done() <-chan struct{} { return l.done }

// Err implements [Link]. Whoever has the reason from Recv or Send finds it here too.
func (l *queued) Err() error {
	if cause := l.cause.Load(); cause != nil {
		return *cause
	}
	return nil
}

func (l *queued) ended() bool {
	select {
	case <-l.done:
		return true
	default:
		return false
	}
}

// Close implements [Link].
func (l *queued) Close() (unread int, err error) {
	if l.closed.Swap(true) {
		return 0, nil
	}
	close(l.closing)
	l.tx.EndPut(net.ErrClosed, net.ErrClosed)
	unread = l.rx.EndGet(net.ErrClosed, net.ErrClosed)
	if l.cfg.Linger > 0 && !l.ended() {
		timer := time.NewTimer(l.cfg.Linger)
		defer timer.Stop()
		select {
		case <-l.writing:
		case <-l.reading: // nobody takes the rest
		case <-timer.C:
		}
	}
	err = l.close()
	l.running.Wait()
	l.rx.GetDeadline.Stop()
	l.tx.PutDeadline.Stop()
	return unread + l.dropped, err
}

// Caps implements [Link].
func (l *queued) Caps() Caps { return Caps{Address: l.cfg.Address, Counters: l.counters} }

func (l *queued) count() Counters { return Counters{Unsent: l.unsent.Load()} }
