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

// A port that nobody reads delays who sends to it by no more than its time, five times,
// and nobody else at all.
func TestStoppedPeer(t *testing.T) {
	for _, policy := range []vswitch.Policy{vswitch.Backpressure, vswitch.TailDrop, vswitch.HeadDrop} {
		t.Run(policy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const wait = 5 * time.Millisecond
				sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Policy: policy, Queue: 64, Wait: wait}})
				defer sw.Close()
				a, stopped, c := attach(t, sw, 1), attach(t, sw, 2), attach(t, sw, 3)
				write(t, stopped, testFrame(frame.Broadcast(), macB, 60, 0))
				write(t, c, testFrame(frame.Broadcast(), macC, 60, 0))
				received(t, sw, a)
				received(t, sw, stopped)
				batch := func(n int, dst frame.MAC) (frames [][]byte) {
					for i := range n {
						frames = append(frames, testFrame(dst, macA, 60, byte(i)))
					}
					return frames
				}
				send := func(frames [][]byte) time.Duration {
					t.Helper()
					start := time.Now()
					if n, err := a.WriteBatch(frames); n != len(frames) || err != nil {
						t.Fatal(n, err)
					}
					return time.Since(start)
				}
				if d := send(batch(64, macB)); d != 0 {
					t.Errorf("the first batch took %v", d)
				}
				first := time.Duration(0)
				if policy == vswitch.Backpressure {
					first = wait
				}
				if d := send(batch(10, macB)); d != first {
					t.Errorf("the batch too many took %v, want %v", d, first)
				}
				for i := range 10 {
					want := time.Duration(0)
					if i < 4 {
						want = first
					}
					if d := send(batch(64, macB)); d != want {
						t.Errorf("later one %d took %v, want %v", i, d, want)
					}
				}
				if d := send(batch(20, frame.Broadcast())); d != 0 {
					t.Errorf("a flood took %v", d)
				}
				if d := send(batch(20, macC)); d != 0 || len(received(t, sw, c)) != 41 {
					t.Errorf("others are slowed: %v", d)
				}
				out := sw.Stats().Ports[1].Out
				want := map[vswitch.Policy]vswitch.OutDropped{
					vswitch.Backpressure: {Timeout: 10 + 4*64, Stalled: 6 * 64, Full: 20},
					vswitch.TailDrop:     {Full: 670},
					vswitch.HeadDrop:     {HeadDrop: 670},
				}[policy]
				if out.Dropped != want || out.Queued != 64 {
					t.Errorf("%+v, want dropped %+v", out, want)
				}
				// What is left is the first or the last 64.
				got := received(t, sw, stopped)
				for i, f := range got {
					w := byte(i)
					if policy == vswitch.HeadDrop {
						w = byte(i + 20)
						if i >= 44 {
							w = byte(i - 44)
						}
					}
					if f[14] != w {
						t.Fatalf("frame %d is number %d, want %d", i, f[14], w)
					}
				}
				// It reads again: senders wait again, with success.
				if policy == vswitch.Backpressure {
					send(batch(64, macB))
					read := make(chan struct{})
					time.AfterFunc(2*time.Millisecond, func() {
						defer close(read)
						received(t, sw, stopped)
					})
					if d := send(batch(30, macB)); d != 2*time.Millisecond {
						t.Errorf("waited %v for room that came after 2 ms", d)
					}
					<-read
				}
				checkAccounts(t, sw.Stats())
			})
		})
	}
}

// A batch longer than the queue leaves its end there.
func TestHeadDropInOneBatch(t *testing.T) {
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Policy: vswitch.HeadDrop, Queue: 8}})
	defer sw.Close()
	a, b := attach(t, sw, 1), attach(t, sw, 2)
	var batch [][]byte
	for i := range 50 {
		batch = append(batch, testFrame(frame.Broadcast(), macA, 60, byte(i)))
	}
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
