// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

// A fakeConn is a connection whose other side is the test. It writes frame by
// frame, and each waits until it is taken.
type fakeConn struct {
	in       chan []byte   // to be read
	end      chan error    // what reading then fails with
	out      chan []byte   // written
	broken   chan struct{} // closed: nothing can be written
	writeErr error         // why
	closed   chan struct{}
	once     sync.Once
	closeErr error
}

func newFakeConn() *fakeConn {
	return &fakeConn{
		in: make(chan []byte, 100), end: make(chan error, 1), out: make(chan []byte),
		broken: make(chan struct{}), closed: make(chan struct{}),
	}
}

func (c *fakeConn) ReadFrame(buf []byte) (int, error) {
	select {
	case f := <-c.in:
		return max(copy(buf, f), len(f)), nil
	default:
	}
	select {
	case f := <-c.in:
		return max(copy(buf, f), len(f)), nil
	case err := <-c.end:
		return 0, err
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *fakeConn) WriteFrames(frames [][]byte) (n int, err error) {
	for ; n < len(frames); n++ {
		select {
		case c.out <- slices.Clone(frames[n]):
		case <-c.broken:
			return n, c.writeErr
		case <-c.closed:
			return n, net.ErrClosed
		}
	}
	return n, nil
}

func (c *fakeConn) Close() error {
	err := errors.New("closed twice")
	c.once.Do(func() {
		err = c.closeErr
		close(c.closed)
	})
	return err
}

// taken takes n written frames and returns their numbers.
func (c *fakeConn) taken(n int) (numbers []int) {
	for range n {
		f := <-c.out
		numbers = append(numbers, int(f[frame.HeaderLen]))
	}
	return numbers
}

// newLink runs f with a link in a bubble. f closes it.
func newLink(t *testing.T, cfg link.Config, f func(t *testing.T, c *fakeConn, l link.Link)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := newFakeConn()
		f(t, c, link.New(c, cfg))
	})
}

// fill sends frames until the queue is full, and returns how many.
func fill(t *testing.T, l link.Link) (n int) {
	t.Helper()
	for {
		synctest.Wait()
		k, _, err := l.Send(link.Tx{Frames: [][]byte{number(n)}, NoWait: true})
		if n += k; err == link.ErrFull {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestNewQueues checks that a connection that does not move holds up nothing but
// what has to wait.
func TestNewQueues(t *testing.T) {
	newLink(t, link.Config{Depth: 8, Address: "fake://"}, func(t *testing.T, c *fakeConn, l link.Link) {
		if got := l.Caps().Address; got != "fake://" {
			t.Errorf("address %q", got)
		}
		sent := fill(t, l)
		if sent < 8 {
			t.Errorf("%d frames in a queue of 8", sent)
		}
		waiting := make(chan error)
		go func() { waiting <- l.AwaitRoom() }()
		synctest.Wait()
		numbers := c.taken(sent)
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		for i, n := range numbers {
			if n != i {
				t.Fatalf("written in the order %v", numbers)
			}
		}
		for i := range 30 {
			c.in <- number(i)
		}
		want(t, l, 0, 1, 2)
		if unread, err := l.Close(); unread != 27 || err != nil {
			t.Errorf("%d unread, %v; want 27", unread, err)
		}
		if unread, err := l.Close(); unread != 0 || err != nil {
			t.Errorf("again: %d unread, %v", unread, err)
		}
	})
}

// TestNewCut receives frames longer than the maximum.
func TestNewCut(t *testing.T) {
	newLink(t, link.Config{MaxFrameSize: 100}, func(t *testing.T, c *fakeConn, l link.Link) {
		c.in <- make([]byte, 300)
		c.in <- make([]byte, 100)
		for _, size := range []int{300, 100} {
			sizes := make([]int, 1)
			if n, err := l.Recv(link.Rx{Bufs: [][]byte{make([]byte, 200)}, Sizes: sizes}); n != 1 || sizes[0] != size {
				t.Errorf("%d of size %d, %v; want size %d", n, sizes[0], err, size)
			}
		}
		l.Close()
	})
}

// TestNewClose checks that each frame accepted is either written or counted, in
// the time that Close may take.
func TestNewClose(t *testing.T) {
	for _, linger := range []time.Duration{-1, 0, time.Minute} {
		for _, take := range []int{0, 1, 5, 1000} {
			t.Run(fmt.Sprintf("linger %v, %d taken", linger, take), func(t *testing.T) {
				newLink(t, link.Config{Depth: 4, Linger: linger}, func(t *testing.T, c *fakeConn, l link.Link) {
					sent, written := fill(t, l), 0
					taken := make(chan struct{})
					go func() {
						defer close(taken)
						for written < take {
							select {
							case <-c.out:
								written++
							case <-c.closed:
								return
							}
						}
					}()
					begin := time.Now()
					if _, err := l.Close(); err != nil {
						t.Error(err)
					}
					took := time.Since(begin)
					<-taken
					unsent := int(l.Caps().Counters().Unsent)
					if written+unsent != sent {
						t.Errorf("%d written and %d unsent, of %d", written, unsent, sent)
					}
					limit := map[time.Duration]time.Duration{-1: 0, 0: time.Second}
					switch {
					case linger >= 0 && take > sent && (unsent != 0 || took != 0):
						t.Errorf("%d unsent after %v, although all could be written", unsent, took)
					case linger >= 0 && take < sent && took != max(limit[linger], linger):
						t.Errorf("waited for %v", took)
					case linger < 0 && took != 0:
						t.Errorf("waited for %v", took)
					}
				})
			})
		}
	}
}

// TestNewCloseReads checks that what comes while Close waits for the other side is
// read, so that it does not wait too, and is counted.
func TestNewCloseReads(t *testing.T) {
	newLink(t, link.Config{Depth: 4}, func(t *testing.T, c *fakeConn, l link.Link) {
		sent := fill(t, l)
		unread := make(chan int)
		go func() {
			n, _ := l.Close()
			unread <- n
		}()
		for i := range 50 {
			c.in <- number(i)
		}
		synctest.Wait()
		c.taken(sent)
		if n := <-unread; n != 50 {
			t.Errorf("%d unread, want 50", n)
		}
	})
}

// TestNewEnds checks the reasons of ends, and that what had come is delivered.
func TestNewEnds(t *testing.T) {
	other := errors.New("a wrong checksum")
	for _, test := range []struct {
		err    error
		hangup bool
	}{
		{io.EOF, true}, {io.ErrUnexpectedEOF, true}, {fmt.Errorf("within a frame: %w", io.EOF), true},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, true}, {other, false},
	} {
		newLink(t, link.Config{}, func(t *testing.T, c *fakeConn, l link.Link) {
			c.in <- number(1)
			synctest.Wait()
			c.end <- test.err
			<-l.Done()
			err := l.Err()
			if errors.Is(err, link.ErrHangup) != test.hangup || !test.hangup && err != test.err || test.err == io.EOF && err != link.ErrHangup ||
				test.err != io.EOF && !errors.Is(err, test.err) {
				t.Errorf("%v: ended with %v", test.err, err)
			}
			want(t, l, 1)
			_ = l.SetReadDeadline(time.Unix(1, 0)) // has no effect any more
			if _, e := recv(l, 3, false); e != err {
				t.Errorf("Recv: %v", e)
			}
			if _, _, e := l.Send(link.Tx{Frames: [][]byte{number(0)}}); e != err || l.AwaitRoom() != err {
				t.Errorf("Send: %v", e)
			}
			if _, e := l.Close(); e != nil || l.Err() != err {
				t.Errorf("Close: %v; then Err %v", e, l.Err())
			}
			if _, e := recv(l, 3, false); e != net.ErrClosed {
				t.Errorf("Recv after Close: %v", e)
			}
		})
	}
}

// TestNewWriteFails checks that the link ends, not without what the other side had
// sent, and that frames not written are counted.
func TestNewWriteFails(t *testing.T) {
	for name, readEnds := range map[string]bool{"reading ends": true, "reading waits": false} {
		t.Run(name, func(t *testing.T) {
			newLink(t, link.Config{Depth: 8}, func(t *testing.T, c *fakeConn, l link.Link) {
				sent := fill(t, l)
				written := len(c.taken(3))
				sent += fill(t, l)
				c.writeErr = syscall.EPIPE
				begin := time.Now()
				close(c.broken)
				synctest.Wait()
				if _, _, err := l.Send(link.Tx{Frames: [][]byte{number(0)}}); !errors.Is(err, link.ErrHangup) || !errors.Is(err, syscall.EPIPE) {
					t.Errorf("Send: %v", err)
				}
				for i := range 20 { // more than the queue takes
					c.in <- number(i)
				}
				if readEnds {
					synctest.Wait()
					want(t, l, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19)
					c.end <- io.EOF
				}
				<-l.Done()
				if took := time.Since(begin); readEnds != (took == 0) || took > time.Minute {
					t.Errorf("ended after %v", took)
				}
				if err := l.Err(); !errors.Is(err, link.ErrHangup) {
					t.Errorf("%v", err)
				}
				if c := l.Caps().Counters(); int(c.Unsent) != sent-written {
					t.Errorf("%d unsent, want %d", c.Unsent, sent-written)
				}
				l.Close()
			})
		})
	}
}

// TestNewCloseError checks that the error of the connection is that of Close.
func TestNewCloseError(t *testing.T) {
	newLink(t, link.Config{}, func(t *testing.T, c *fakeConn, l link.Link) {
		c.closeErr = errors.New("cannot close")
		if _, err := l.Close(); err != c.closeErr {
			t.Errorf("%v", err)
		}
		if err := l.Err(); err != nil {
			t.Errorf("Close is an end: %v", err)
		}
	})
}

// pairedConn is one of two connections that are each other's other side.
type pairedConn struct {
	*fakeConn
	peer *fakeConn
}

func (c pairedConn) ReadFrame(buf []byte) (int, error) {
	select {
	case f := <-c.peer.out:
		return max(copy(buf, f), len(f)), nil
	case <-c.peer.closed:
		return 0, io.EOF
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c pairedConn) WriteFrames(frames [][]byte) (n int, err error) {
	for ; n < len(frames); n++ {
		select {
		case c.out <- slices.Clone(frames[n]):
		case <-c.peer.closed:
			return n, io.ErrClosedPipe
		case <-c.closed:
			return n, net.ErrClosed
		}
	}
	return n, nil
}

// TestNewLink holds such links to what is promised of every link. What is on its
// way at Close has not come, and is not counted.
func TestNewLink(t *testing.T) {
	linktest.Test(t, func(testing.TB) (link.Link, link.Link, error) {
		a, b := newFakeConn(), newFakeConn()
		cfg := link.Config{Depth: 16}
		return link.New(pairedConn{a, b}, cfg), link.New(pairedConn{b, a}, cfg), nil
	}, linktest.Options{NoCount: true})
}
