// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package linktest_test

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/recordtb"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

// A broken link does what the link below it does, but for the functions that are
// not nil. They are given that link.
type broken struct {
	link.Link
	recv             func(l link.Link, r link.Rx) (int, error)
	send             func(l link.Link, t link.Tx) (int, int, error)
	awaitRoom        func(l link.Link) error
	setReadDeadline  func(l link.Link, t time.Time) error
	setWriteDeadline func(l link.Link, t time.Time) error
	done             func(l link.Link) <-chan struct{}
	err              func(l link.Link) error
	close            func(l link.Link) (int, error)
	caps             func(l link.Link) link.Caps
}

func (b *broken) Recv(r link.Rx) (int, error) {
	if b.recv != nil {
		return b.recv(b.Link, r)
	}
	return b.Link.Recv(r)
}

func (b *broken) Send(t link.Tx) (int, int, error) {
	if b.send != nil {
		return b.send(b.Link, t)
	}
	return b.Link.Send(t)
}

func (b *broken) AwaitRoom() error {
	if b.awaitRoom != nil {
		return b.awaitRoom(b.Link)
	}
	return b.Link.AwaitRoom()
}

func (b *broken) SetReadDeadline(t time.Time) error {
	if b.setReadDeadline != nil {
		return b.setReadDeadline(b.Link, t)
	}
	return b.Link.SetReadDeadline(t)
}

func (b *broken) SetWriteDeadline(t time.Time) error {
	if b.setWriteDeadline != nil {
		return b.setWriteDeadline(b.Link, t)
	}
	return b.Link.SetWriteDeadline(t)
}

func (b *broken) Done() <-chan struct{} {
	if b.done != nil {
		return b.done(b.Link)
	}
	return b.Link.Done()
}

func (b *broken) Err() error {
	if b.err != nil {
		return b.err(b.Link)
	}
	return b.Link.Err()
}

func (b *broken) Close() (int, error) {
	if b.close != nil {
		return b.close(b.Link)
	}
	return b.Link.Close()
}

func (b *broken) Caps() link.Caps {
	if b.caps != nil {
		return b.caps(b.Link)
	}
	return b.Link.Caps()
}

var errOther = errors.New("another error")

// A fault is a way to break a promise.
type fault struct {
	promise, name string
	hangs         bool // only the watchdog can find it
	with          func(hang <-chan struct{}) broken
}

// recvFault is a fault of Recv alone; the others are like it.
func recvFault(promise, name string, f func(l link.Link, r link.Rx) (int, error)) fault {
	return fault{promise, name, false, func(<-chan struct{}) broken { return broken{recv: f} }}
}

func sendFault(promise, name string, f func(l link.Link, t link.Tx) (int, int, error)) fault {
	return fault{promise, name, false, func(<-chan struct{}) broken { return broken{send: f} }}
}

func closeFault(promise, name string, f func(l link.Link) (int, error)) fault {
	return fault{promise, name, false, func(<-chan struct{}) broken { return broken{close: f} }}
}

// hangFault is a fault that only the watchdog finds.
func hangFault(promise, name string, with func(hang <-chan struct{}) broken) fault {
	return fault{promise, name, true, with}
}

var closedChannel = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// whole returns frame i of t in one piece.
func whole(t link.Tx, i int) []byte {
	if t.Pieces != nil {
		return slices.Concat(t.Pieces[i]...)
	}
	return slices.Clone(t.Frames[i])
}

// recvMapped is Recv whose first frame goes through f.
func recvMapped(l link.Link, r link.Rx, f func(frame []byte)) (int, error) {
	n, err := l.Recv(r)
	if n > 0 {
		f(r.Bufs[0][:min(len(r.Bufs[0]), r.Sizes[0])])
	}
	return n, err
}

// instead returns err in place of each error that is what.
func instead(err, what, other error) error {
	if errors.Is(err, what) {
		return other
	}
	return err
}

var frameFaults = []fault{
	sendFault("Batches", "a frame is lost", func(l link.Link, t link.Tx) (int, int, error) {
		if t.Len() < 2 {
			return l.Send(t)
		}
		n, c, err := l.Send(t.From(1))
		return n + 1, c, err
	}),
	sendFault("Batches", "a frame comes twice", func(l link.Link, t link.Tx) (int, int, error) {
		if t.Len() > 0 {
			l.Send(link.Tx{Frames: [][]byte{whole(t, 0)}})
		}
		return l.Send(t)
	}),
	sendFault("Batches", "frames change places", func(l link.Link, t link.Tx) (int, int, error) {
		t.Frames = slices.Clone(t.Frames)
		slices.Reverse(t.Frames)
		return l.Send(t)
	}),
	recvFault("Batches", "a bit is wrong", func(l link.Link, r link.Rx) (int, error) {
		return recvMapped(l, r, func(f []byte) { f[len(f)-1] ^= 1 })
	}),
	recvFault("Batches", "frames beside an error", func(l link.Link, r link.Rx) (int, error) {
		n, _ := l.Recv(r)
		return n, errOther
	}),
	sendFault("Batches", "fewer than all and no error", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		return max(n-1, 0), c, err
	}),
	sendFault("Batches", "no transfer is counted", func(l link.Link, t link.Tx) (int, int, error) {
		n, _, err := l.Send(t)
		return n, 0, err
	}),
	sendFault("Batches", "nothing costs a transfer", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		return n, max(c, 1), err
	}),
	sendFault("Pieces", "the last piece is lost", func(l link.Link, t link.Tx) (int, int, error) {
		pieces := slices.Clone(t.Pieces)
		for i, p := range pieces {
			pieces[i] = p[:len(p)-1]
		}
		return l.Send(link.Tx{Pieces: pieces})
	}),
	recvFault("Sizes", "the size of what fits", func(l link.Link, r link.Rx) (int, error) {
		n, err := l.Recv(r)
		for i := range n {
			r.Sizes[i] = min(r.Sizes[i], len(r.Bufs[i]))
		}
		return n, err
	}),
	recvFault("Sizes", "written beyond the length", func(l link.Link, r link.Rx) (int, error) {
		for i, b := range r.Bufs {
			r.Bufs[i] = b[:cap(b)]
		}
		n, err := l.Recv(r)
		r.Sizes[0] += 1000
		return n, err
	}),
	recvFault("Sizes", "the beginning is missing", func(l link.Link, r link.Rx) (int, error) {
		return recvMapped(l, r, func(f []byte) { copy(f, f[min(len(f), 1):]) })
	}),
	recvFault("Headers", "left as they were", func(l link.Link, r link.Rx) (int, error) {
		r.Headers = nil
		return l.Recv(r)
	}),
	recvFault("Offload", "metadata lost", func(l link.Link, r link.Rx) (int, error) {
		n, err := l.Recv(r)
		if r.Headers != nil {
			clear(r.Headers[:n])
		}
		return n, err
	}),
	recvFault("Offload", "given unfinished to a caller without Headers", func(l link.Link, r link.Rx) (int, error) {
		r.Headers = make([]frame.VNetHeader, len(r.Bufs))
		return l.Recv(r)
	}),
	sendFault("Lent", "modified", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		t.Frames[0][0] ^= 1
		return n, c, err
	}),
	sendFault("Lent", "the slice is used up", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		t.Frames[0] = t.Frames[0][1:]
		return n, c, err
	}),
	recvFault("Concurrent", "a torn frame", func(l link.Link, r link.Rx) (int, error) {
		return recvMapped(l, r, func(f []byte) { f[len(f)-1]++ })
	}),
	hangFault("Concurrent", "Recv of a closed link waits", func(hang <-chan struct{}) broken {
		return broken{recv: func(l link.Link, r link.Rx) (int, error) {
			n, err := l.Recv(r)
			if errors.Is(err, net.ErrClosed) {
				<-hang
			}
			return n, err
		}}
	}),
}

var stateFaults = []fault{
	{"Open", "Done is closed", false, func(<-chan struct{}) broken {
		return broken{done: func(link.Link) <-chan struct{} { return closedChannel }}
	}},
	{"Open", "Err is not nil", false, func(<-chan struct{}) broken { return broken{err: func(link.Link) error { return errOther }} }},
	{"Caps", "another address each time", false, func(<-chan struct{}) broken {
		var asked atomic.Int32
		return broken{caps: func(l link.Link) link.Caps {
			c := l.Caps()
			c.Address = strings.Repeat("x", int(asked.Add(1)))
			return c
		}}
	}},
	{"Caps", "no counters after the end", false, func(<-chan struct{}) broken {
		return broken{caps: func(l link.Link) link.Caps {
			c := l.Caps()
			if l.Err() != nil {
				c.Counters = nil
			}
			return c
		}}
	}},
	recvFault("Closed", "Recv says that it is empty", func(l link.Link, r link.Rx) (int, error) {
		n, err := l.Recv(r)
		return n, instead(err, net.ErrClosed, link.ErrEmpty)
	}),
	sendFault("Closed", "Send with NoWait says that it is full", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		if t.NoWait {
			err = instead(err, net.ErrClosed, link.ErrFull)
		}
		return n, c, err
	}),
	{"Closed", "AwaitRoom succeeds", false, func(<-chan struct{}) broken {
		return broken{awaitRoom: func(link.Link) error { return nil }}
	}},
	{"Closed", "a read deadline can be set", false, func(<-chan struct{}) broken {
		return broken{setReadDeadline: func(link.Link, time.Time) error { return nil }}
	}},
	{"Closed", "a write deadline can be set", false, func(<-chan struct{}) broken {
		return broken{setWriteDeadline: func(link.Link, time.Time) error { return nil }}
	}},
	closeFault("CloseCounts", "one too few", func(l link.Link) (int, error) {
		n, err := l.Close()
		return max(n-1, 0), err
	}),
	closeFault("CloseCounts", "counted again", func(l link.Link) (int, error) {
		l.Close()
		return 3, nil
	}),
	closeFault("Open", "a second Close fails", func(l link.Link) (int, error) {
		_, err := l.Recv(link.Rx{Bufs: make([][]byte, 1), Sizes: make([]int, 1), NoWait: true})
		n, _ := l.Close()
		return n, instead(err, link.ErrEmpty, nil)
	}),
	recvFault("CloseWakesRecv", "another error", func(l link.Link, r link.Rx) (int, error) {
		n, err := l.Recv(r)
		return n, instead(err, net.ErrClosed, errOther)
	}),
	sendFault("CloseWakesSend", "another error", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		return n, c, instead(err, net.ErrClosed, errOther)
	}),
	hangFault("CloseWakesRecv", "Recv goes on waiting", func(hang <-chan struct{}) broken {
		return broken{recv: func(l link.Link, r link.Rx) (int, error) { <-hang; return l.Recv(r) }}
	}),
	hangFault("CloseWakesSend", "Send goes on waiting", func(hang <-chan struct{}) broken {
		return broken{send: func(l link.Link, t link.Tx) (int, int, error) {
			if !t.NoWait {
				<-hang
			}
			return l.Send(t)
		}}
	}),
	hangFault("Closed", "Close does not return", func(hang <-chan struct{}) broken {
		return broken{close: func(l link.Link) (int, error) { <-hang; return l.Close() }}
	}),
	{"Hangup", "no reason", false, func(<-chan struct{}) broken { return broken{err: func(link.Link) error { return nil }} }},
	{"Hangup", "what had come is lost", false, func(<-chan struct{}) broken {
		return broken{recv: func(l link.Link, r link.Rx) (int, error) {
			if err := l.Err(); err != nil {
				return 0, err
			}
			return l.Recv(r)
		}}
	}},
	recvFault("Hangup", "another error than Err", func(l link.Link, r link.Rx) (int, error) {
		n, err := l.Recv(r)
		return n, instead(err, link.ErrHangup, errOther)
	}),
	sendFault("Hangup", "Send has no error", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		return n, c, instead(err, link.ErrHangup, nil)
	}),
	hangFault("Hangup", "Done stays open", func(hang <-chan struct{}) broken {
		return broken{done: func(link.Link) <-chan struct{} { return hang }}
	}),
	recvFault("HangupWakesRecv", "another error than Err", func(l link.Link, r link.Rx) (int, error) {
		n, err := l.Recv(r)
		return n, instead(err, link.ErrHangup, errOther)
	}),
	{"HangupWakesRecv", "Err is late", false, func(<-chan struct{}) broken {
		var asked atomic.Bool
		return broken{err: func(l link.Link) error {
			if !asked.Swap(true) {
				return nil
			}
			return l.Err()
		}}
	}},
	hangFault("HangupWakesRecv", "Recv goes on waiting", func(hang <-chan struct{}) broken {
		return broken{recv: func(l link.Link, r link.Rx) (int, error) { <-hang; return l.Recv(r) }}
	}),
	sendFault("HangupWakesSend", "no error", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		return n, c, instead(err, link.ErrHangup, nil)
	}),
	hangFault("HangupWakesSend", "Done stays open", func(hang <-chan struct{}) broken {
		return broken{done: func(link.Link) <-chan struct{} { return hang }}
	}),
}

var waitFaults = []fault{
	recvFault("RecvNoWait", "another error", func(l link.Link, r link.Rx) (int, error) {
		n, err := l.Recv(r)
		return n, instead(err, link.ErrEmpty, errOther)
	}),
	{"RecvNoWait", "the deadline counts", false, func(<-chan struct{}) broken {
		var past atomic.Bool
		return broken{
			recv: func(l link.Link, r link.Rx) (int, error) {
				if past.Load() {
					return 0, os.ErrDeadlineExceeded
				}
				return l.Recv(r)
			},
			setReadDeadline: func(l link.Link, t time.Time) error {
				past.Store(!t.IsZero())
				return l.SetReadDeadline(t)
			},
		}
	}},
	hangFault("RecvNoWait", "it waits", func(hang <-chan struct{}) broken {
		return broken{recv: func(l link.Link, r link.Rx) (int, error) {
			r.NoWait = false
			return l.Recv(r)
		}}
	}),
	sendFault("SendNoWait", "another error", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		return n, c, instead(err, link.ErrFull, errOther)
	}),
	{"SendNoWait", "sent although it says full", false, func(<-chan struct{}) broken {
		var sent atomic.Int32
		return broken{send: func(l link.Link, t link.Tx) (int, int, error) {
			n, c, err := l.Send(t)
			if sent.Add(1) == 5 {
				return 0, 0, link.ErrFull
			}
			return n, c, err
		}}
	}},
	hangFault("SendNoWait", "it waits", func(hang <-chan struct{}) broken {
		return broken{send: func(l link.Link, t link.Tx) (int, int, error) {
			t.NoWait = false
			return l.Send(t)
		}}
	}),
	hangFault("AwaitRoom", "it does not return", func(hang <-chan struct{}) broken {
		return broken{awaitRoom: func(l link.Link) error { <-hang; return l.AwaitRoom() }}
	}),
	{"AwaitRoom", "it fails", false, func(<-chan struct{}) broken { return broken{awaitRoom: func(link.Link) error { return link.ErrFull }} }},
	{"WriteDeadline", "AwaitRoom does not wait", false, func(<-chan struct{}) broken {
		return broken{awaitRoom: func(link.Link) error { return nil }}
	}},
	sendFault("WriteDeadline", "another error", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		return n, c, instead(err, os.ErrDeadlineExceeded, errOther)
	}),
	sendFault("WriteDeadline", "Send with NoWait looks at it", func(l link.Link, t link.Tx) (int, int, error) {
		n, c, err := l.Send(t)
		if t.NoWait {
			err = instead(err, link.ErrFull, os.ErrDeadlineExceeded)
		}
		return n, c, err
	}),
	hangFault("WriteDeadline", "a pending call does not notice", func(hang <-chan struct{}) broken {
		return broken{setWriteDeadline: func(l link.Link, t time.Time) error {
			if t.After(time.Now().Add(-time.Hour)) {
				return nil
			}
			return l.SetWriteDeadline(t)
		}}
	}),
	recvFault("ReadDeadline", "another error", func(l link.Link, r link.Rx) (int, error) {
		n, err := l.Recv(r)
		return n, instead(err, os.ErrDeadlineExceeded, errOther)
	}),
	{"ReadDeadline", "one that has passed does not count", false, func(<-chan struct{}) broken {
		return broken{setReadDeadline: func(l link.Link, t time.Time) error {
			if t.Unix() == 1 {
				return nil
			}
			return l.SetReadDeadline(t)
		}}
	}},
	{"ReadDeadline", "it stays", false, func(<-chan struct{}) broken {
		return broken{setReadDeadline: func(l link.Link, t time.Time) error {
			if t.IsZero() {
				return nil
			}
			return l.SetReadDeadline(t)
		}}
	}},
	hangFault("ReadDeadline", "a pending call does not notice", func(hang <-chan struct{}) broken {
		return broken{setReadDeadline: func(l link.Link, t time.Time) error {
			if t.After(time.Now().Add(-time.Hour)) {
				return nil
			}
			return l.SetReadDeadline(t)
		}}
	}),
}

// TestDetects runs the suite on links that break one promise each.
func TestDetects(t *testing.T) {
	var covered []string
	for _, f := range slices.Concat(frameFaults, stateFaults, waitFaults) {
		covered = append(covered, f.promise)
		t.Run(f.promise+"/"+f.name, func(t *testing.T) {
			t.Parallel()
			f.detected(t)
		})
	}
	for _, name := range linktest.PromiseNames() {
		if !slices.Contains(covered, name) && name != "Down" { // see TestDown
			t.Errorf("no link breaks the promise %s", name)
		}
	}
}

// detected checks that the suite finds the fault, by the watchdog or before it.
func (f *fault) detected(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	var opts linktest.Options
	if f.hangs {
		opts.Watchdog = 200 * time.Millisecond
	}
	r := recordtb.Run(t, func(tb testing.TB) {
		linktest.CheckPromise(t, tb, f.promise, func(testing.TB) (link.Link, link.Link, error) {
			a, b := linktest.Pipe(16)
			t.Cleanup(func() { a.Close(); b.Close() })
			return f.wrap(a, hang), f.wrap(b, hang), nil
		}, opts)
	})
	text, _, hung := strings.Cut(r.Text(), "goroutine ")
	if !r.Failed() || hung != f.hangs {
		t.Errorf("failed %v, hung %v; want a failure and hung %v; the log:\n%s", r.Failed(), hung, f.hangs, text)
	}
	t.Logf("%s", text)
}

func (f *fault) wrap(l link.Link, hang <-chan struct{}) link.Link {
	b := f.with(hang)
	b.Link = l
	return &b
}
