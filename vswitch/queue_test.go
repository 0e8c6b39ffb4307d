// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// numberedFrames returns n frames, of which the first byte behind the header is a number.
func numberedFrames(n int, dst frame.MAC) (frames [][]byte) {
	for i := range n {
		frames = append(frames, testFrame(dst, macA, 60, byte(i)))
	}
	return frames
}

// checkNumbers checks that got are frames with the numbers want.
func checkNumbers(t *testing.T, got [][]byte, want []byte) {
	t.Helper()
	var numbers []byte
	for _, f := range got {
		numbers = append(numbers, f[frame.HeaderLen])
	}
	if !bytes.Equal(numbers, want) {
		t.Fatalf("got the frames %d, want %d", numbers, want)
	}
}

// upTo returns the numbers from first to the one before end.
func upTo(first, end byte) (numbers []byte) {
	for i := first; i < end; i++ {
		numbers = append(numbers, i)
	}
	return numbers
}

// stoppedWait is how long a sender may wait for the port of a stoppedPeer,
// stoppedQueue how many frames fit there.
const (
	stoppedWait  = 5 * time.Millisecond
	stoppedQueue = 64
)

// A stoppedPeer is a switch with a port that sends, one that is not read, and
// another one.
type stoppedPeer struct {
	t             *testing.T
	sw            *vswitch.Switch
	a, stopped, c *vde.Conn // stations A, B and C
}

func newStoppedPeer(t *testing.T, policy vswitch.Policy) *stoppedPeer {
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Policy: policy, Queue: stoppedQueue, Wait: stoppedWait}})
	p := &stoppedPeer{t, sw, attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)}
	write(t, p.stopped, testFrame(frame.Broadcast(), macB, 60, 0))
	write(t, p.c, testFrame(frame.Broadcast(), macC, 60, 0))
	received(t, sw, p.a)
	received(t, sw, p.stopped)
	return p
}

// send has A send n frames, and checks that this takes as long as it should.
func (p *stoppedPeer) send(what string, n int, dst frame.MAC, want time.Duration) {
	p.t.Helper()
	start := time.Now()
	if k, err := p.a.WriteBatch(numberedFrames(n, dst)); k != n || err != nil {
		p.t.Fatal(k, err)
	}
	if d := time.Since(start); d != want {
		p.t.Errorf("%s took %v, want %v", what, d, want)
	}
}

// A port that nobody reads delays who sends to it by no more than its time, five times,
// and nobody else at all.
func TestStoppedPeer(t *testing.T) {
	for _, test := range []struct {
		policy vswitch.Policy
		wait   time.Duration // of who sends to a full queue
		want   vswitch.OutDropped
		kept   []byte // the numbers of the frames in the queue
	}{
		{vswitch.Backpressure, stoppedWait, vswitch.OutDropped{Timeout: 10 + 4*64, Stalled: 6 * 64, Full: 20}, upTo(0, 64)},
		{vswitch.TailDrop, 0, vswitch.OutDropped{Full: 670}, upTo(0, 64)},
		{vswitch.HeadDrop, 0, vswitch.OutDropped{HeadDrop: 670}, append(upTo(20, 64), upTo(0, 20)...)},
	} {
		t.Run(test.policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newStoppedPeer(t, test.policy)
				defer p.sw.Close()
				p.send("the first batch", stoppedQueue, macB, 0)
				p.send("the batch too many", 10, macB, test.wait)
				for i := range 10 {
					wait := test.wait
					if i >= 4 {
						wait = 0
					}
					p.send("a later batch", 64, macB, wait)
				}
				p.send("a flood", 20, frame.Broadcast(), 0)
				p.send("a batch for others", 20, macC, 0)
				if n := len(received(t, p.sw, p.c)); n != 41 {
					t.Errorf("others got %d frames, want 41", n)
				}
				if out := p.sw.Stats().Ports[1].Out; out.Dropped != test.want || out.Queued != stoppedQueue {
					t.Errorf("%+v, want dropped %+v", out, test.want)
				}
				checkNumbers(t, received(t, p.sw, p.stopped), test.kept)
				if test.policy == vswitch.Backpressure {
					p.readAgain()
				}
				checkAccounts(t, p.sw.Stats())
			})
		})
	}
}

// readAgain has the port read again: senders wait again, with success.
func (p *stoppedPeer) readAgain() {
	const later = 2 * time.Millisecond
	p.send("the first batch after reading", stoppedQueue, macB, 0)
	read := make(chan struct{})
	time.AfterFunc(later, func() {
		defer close(read)
		received(p.t, p.sw, p.stopped)
	})
	p.send("a batch that waits for room", 30, macB, later)
	<-read
}

// A batch longer than the queue leaves its end there.
func TestHeadDropInOneBatch(t *testing.T) {
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Policy: vswitch.HeadDrop, Queue: 8}})
	defer sw.Close()
	a, b := attach(t, sw, 1), attach(t, sw, 2)
	batch := numberedFrames(50, frame.Broadcast())
	if n, err := a.WriteBatch(batch); n != 50 || err != nil {
		t.Fatal(n, err)
	}
	if got := received(t, sw, b); !slices.EqualFunc(got, batch[42:], bytes.Equal) {
		t.Errorf("got %d frames, first %d", len(got), got[0][14])
	}
	if out := sw.Stats().Ports[1].Out; out.Dropped.HeadDrop != 42 || out.Offered != 50 {
		t.Errorf("%+v", out)
	}
}

// TryWriteBatch takes the frames before the first one for which there is no room.
func TestTryWriteBatchStopsAtAFullPort(t *testing.T) {
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Queue: 8}})
	defer sw.Close()
	a, b, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
	write(t, b, testFrame(frame.Broadcast(), macB, 60, 0))
	write(t, c, testFrame(macB, macC, 60, 0))
	var batch [][]byte
	for i := range 12 {
		dst := macB
		if i%3 == 0 {
			dst = macC
		}
		batch = append(batch, testFrame(dst, macA, 60, byte(i)))
	}
	n, err := a.TryWriteBatch(batch) // b has one already
	if !errors.Is(err, vde.ErrFull) || n != 11 {
		t.Errorf("%d, %v", n, err)
	}
	if st := a.Stats(); st.TxFrames != 11 || st.TxFull != 1 {
		t.Errorf("%+v", st)
	}
	if got := sw.Stats().Ports[0].In; got.Frames != 11 || got.Copies != 11 {
		t.Errorf("%+v", got)
	}
}
