// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package framequeue_test

import (
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/framequeue"
)

var errPut, errGet = errors.New("no more puts"), errors.New("no more gets")

// frames returns frames of one byte each, from the first number on.
func frames(from, n int) framequeue.Batch {
	var b framequeue.Batch
	for i := range n {
		b.Frames = append(b.Frames, []byte{byte(from + i)})
	}
	return b
}

// get takes at most limit frames and returns their numbers.
func get(q *framequeue.Queue, limit int, wait bool) (numbers []int, err error) {
	bufs, sizes := make([][]byte, limit), make([]int, limit)
	for i := range bufs {
		bufs[i] = make([]byte, 1)
	}
	n, err := q.Get(bufs, sizes, nil, wait)
	for _, b := range bufs[:n] {
		numbers = append(numbers, int(b[0]))
	}
	return numbers, err
}

func TestOrderAndRoom(t *testing.T) {
	q := framequeue.New(3)
	if n, err := q.Put(frames(0, 5), false); n != 3 || err != framequeue.ErrFull {
		t.Errorf("Put: %d, %v", n, err)
	}
	if got, err := get(q, 2, false); !slices.Equal(got, []int{0, 1}) || err != nil {
		t.Errorf("Get: %v, %v", got, err)
	}
	if n, err := q.Put(frames(3, 2), false); n != 2 || err != nil { // around the end of the ring
		t.Errorf("Put: %d, %v", n, err)
	}
	if got, err := get(q, 9, false); !slices.Equal(got, []int{2, 3, 4}) || err != nil {
		t.Errorf("Get: %v, %v", got, err)
	}
	if got, err := get(q, 9, false); got != nil || err != framequeue.ErrEmpty {
		t.Errorf("Get of nothing: %v, %v", got, err)
	}
}

func TestPiecesHeadersAndSizes(t *testing.T) {
	q := framequeue.New(3)
	h := frame.VNetHeader{Flags: 1, CsumStart: 34}
	if n, err := q.Put(framequeue.Batch{Pieces: []net.Buffers{{{1, 2}, nil, {3}}, {}}, Headers: []frame.VNetHeader{h, {}}}, true); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	bufs, sizes, headers := [][]byte{make([]byte, 2), nil}, make([]int, 2), make([]frame.VNetHeader, 2)
	n, err := q.Get(bufs, sizes, headers, true)
	if n != 2 || err != nil || string(bufs[0]) != "\x01\x02" || !slices.Equal(sizes, []int{3, 0}) || headers[0] != h || !headers[1].IsZero() {
		t.Errorf("%d, %v: % x, %v, %+v", n, err, bufs, sizes, headers)
	}
}

// TestCut puts a frame whose end is missing.
func TestCut(t *testing.T) {
	q := framequeue.New(2)
	if err := q.PutCut([]byte{7, 8, 9}, 5); err != nil {
		t.Fatal(err)
	}
	sizes := make([]int, 1)
	if n, err := q.Get([][]byte{make([]byte, 9)}, sizes, nil, true); n != 1 || err != nil || sizes[0] != 5 {
		t.Errorf("%d, %v: %v", n, err, sizes)
	}
}

// TestSlots takes frames without a copy, and has the memory of others used.
func TestSlots(t *testing.T) {
	q := framequeue.New(1)
	mine := []byte{7, 8, 9}
	slots := []framequeue.Slot{{Frame: mine}, {}}
	q.Put(frames(1, 1), true)
	if n, err := q.GetSlots(slots); n != 1 || err != nil || len(slots[0].Frame) != 1 || slots[0].Frame[0] != 1 {
		t.Errorf("%d, %v: %+v", n, err, slots)
	}
	if q.Put(frames(2, 1), true); mine[0] != 2 {
		t.Error("memory that was given was not used")
	}
}

// TestWaiting checks what ends a call that waits.
func TestWaiting(t *testing.T) {
	for name, test := range map[string]struct {
		end      func(*framequeue.Queue)
		get, put error
	}{
		"deadlines": {func(q *framequeue.Queue) {
			q.GetDeadline.Set(time.Now().Add(time.Second))
			q.PutDeadline.Set(time.Now().Add(time.Second))
		}, os.ErrDeadlineExceeded, os.ErrDeadlineExceeded},
		"putting ends": {func(q *framequeue.Queue) { q.EndPut(errPut, errGet) }, errGet, errPut},
		"getting ends": {func(q *framequeue.Queue) { q.EndGet(errGet, errPut) }, errGet, errPut},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				empty, full := framequeue.New(1), framequeue.New(1)
				full.Put(frames(0, 1), true)
				var gets, puts, rooms error
				go func() { _, gets = get(empty, 1, true) }()
				go func() { _, puts = full.Put(frames(1, 1), true) }()
				go func() { rooms = full.AwaitRoom() }()
				synctest.Wait()
				if gets != nil || puts != nil || rooms != nil {
					t.Fatalf("did not wait: %v, %v, %v", gets, puts, rooms)
				}
				test.end(empty)
				test.end(full)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if gets != test.get || puts != test.put || rooms != test.put {
					t.Errorf("%v, %v, %v; want %v and twice %v", gets, puts, rooms, test.get, test.put)
				}
			})
		})
	}
}

// TestWakes checks that a Put that waits for more room lets what it has put be
// got, and goes on then.
func TestWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := framequeue.New(2)
		var got []int
		done := make(chan struct{})
		go func() {
			defer close(done)
			for len(got) < 9 {
				more, err := get(q, 5, true)
				if err != nil {
					t.Error(err)
				}
				got = append(got, more...)
			}
		}()
		synctest.Wait()
		if n, err := q.Put(frames(0, 9), true); n != 9 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		<-done
		if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8}; !slices.Equal(got, want) {
			t.Errorf("%v", got)
		}
	})
}

// TestEnds checks that what was put before the end is got, and counted if not.
func TestEnds(t *testing.T) {
	q := framequeue.New(4)
	q.Put(frames(0, 3), true)
	q.EndPut(errPut, errGet)
	q.GetDeadline.Set(time.Unix(1, 0)) // has no effect after the end
	if n, err := q.Put(frames(3, 1), false); n != 0 || err != errPut {
		t.Errorf("Put after the end: %d, %v", n, err)
	}
	if got, err := get(q, 2, true); !slices.Equal(got, []int{0, 1}) || err != nil {
		t.Errorf("Get after the end: %v, %v", got, err)
	}
	if n := q.EndGet(net.ErrClosed, errGet); n != 1 {
		t.Errorf("%d unread, want 1", n)
	}
	if got, err := get(q, 2, false); got != nil || err != net.ErrClosed {
		t.Errorf("Get when closed: %v, %v", got, err)
	}
	if q.EndPut(net.ErrClosed, nil); q.AwaitRoom() != net.ErrClosed {
		t.Error("closing does not replace the reason")
	}
	if q.EndPut(errPut, nil); q.AwaitRoom() != net.ErrClosed {
		t.Error("a reason replaces closing")
	}
	if n, err := q.Put(frames(3, 1), false); n != 0 || err != net.ErrClosed {
		t.Errorf("Put keeps its first reason: %d, %v", n, err)
	}
}
