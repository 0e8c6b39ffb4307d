// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// An Endpoint is one end of a path. One goroutine may send while another receives.
type Endpoint interface {
	// Send is vde.Conn.WriteBatch: an error unless all frames were sent.
	Send(frames [][]byte) (int, error)

	// Recv waits for frames and returns at least one. They are valid until the
	// next call.
	Recv() ([][]byte, error)

	// Calls returns how many calls the frames received so far took, each of the
	// kind that moves frames on this path; 0 if this is not known.
	Calls() uint64

	// Close ends the endpoint and wakes up its calls.
	io.Closer
}

// A Tally is what a receiver has seen of a run.
type Tally struct {
	Frames, Bytes, Calls uint64
	End                  int64 // by Now, when the marker came
}

// Flood sends n frames of l and then markers of the run until stop is closed.
func Flood(s Endpoint, l *Load, dst, src MAC, n int, run uint64, stop <-chan struct{}) (start int64, err error) {
	l.Rewind()
	start = Now()
	for sent := 0; sent < n; {
		k, err := s.Send(l.Next(n - sent))
		if err != nil {
			return start, fmt.Errorf("frame %d of %d: %w", sent+k, n, err)
		}
		sent += k
	}
	return start, Mark(s, dst, src, run, stop)
}

// Mark sends markers of the run until stop is closed.
func Mark(s Endpoint, dst, src MAC, run uint64, stop <-chan struct{}) error {
	marker := [][]byte{Marker(dst, src, run)}
	again := time.NewTicker(markEvery)
	defer again.Stop()
	for {
		if _, err := s.Send(marker); err != nil {
			return fmt.Errorf("marker: %w", err)
		}
		select {
		case <-stop:
			return nil
		case <-again.C:
		}
	}
}

// Count receives until the marker of the run; those of earlier runs are passed
// over.
func Count(s Endpoint, run uint64) (t Tally, err error) {
	before := s.Calls()
	for {
		fs, err := s.Recv()
		if err != nil {
			return t, err
		}
		for _, f := range fs {
			if f[kindAt] == kindData { // a frame of the benchmark: the network has no other users
				t.Frames++
				t.Bytes += uint64(len(f))
			} else if id, ok := markerOf(f); ok && id == run {
				t.End = Now()
				t.Calls = s.Calls() - before
				return t, nil
			}
		}
	}
}

// Echo sends each frame of a benchmark back to where it came from, until the
// endpoint is closed.
func Echo(s Endpoint) {
	for {
		fs, err := s.Recv()
		if err != nil {
			return
		}
		for _, f := range fs {
			if len(f) < MinSize || f[0]&1 != 0 || f[typeAt] != 0x88 {
				continue // a group's, or the system's own
			}
			var dst MAC
			copy(dst[:], f)
			copy(f, f[6:12])
			copy(f[6:], dst[:])
			if _, err := s.Send([][]byte{f}); err != nil {
				return
			}
		}
	}
}

// A Timing is what a pinger has seen of a run.
type Timing struct {
	RTT  []time.Duration // one for each answer
	Lost int
}

// Ping sends n frames one by one, each when the answer to the one before has
// come.
func Ping(s Endpoint, dst, src MAC, size, n int, run uint64) (t Timing, err error) {
	f := newFrame(dst, src, kindData, size)
	binary.BigEndian.PutUint64(f[runAt:], run)
	out := [][]byte{f}
	t.RTT = make([]time.Duration, 0, n)
	for i := range n {
		binary.BigEndian.PutUint64(f[numberAt:], uint64(i))
		start := time.Now()
		if _, err := s.Send(out); err != nil {
			return t, err
		}
		for answered := false; !answered; {
			fs, err := s.Recv()
			if err != nil {
				return t, err
			}
			for _, f := range fs {
				answered = answered || isAnswer(f, run, uint64(i))
			}
		}
		t.RTT = append(t.RTT, time.Since(start))
	}
	return t, nil
}

func isAnswer(f []byte, run, number uint64) bool {
	return len(f) >= MinSize && f[kindAt] == kindData &&
		binary.BigEndian.Uint64(f[runAt:]) == run && binary.BigEndian.Uint64(f[numberAt:]) == number
}

// PingAt sends n frames at a fixed rate per second, whether answers come or not.
// Each answer's time counts from the moment its frame was due, not from when it
// was sent: a path that stops for a while, and the sender with it, is charged for
// every frame that should have been on its way meanwhile.
func PingAt(s Endpoint, dst, src MAC, size, n, rate int, run uint64) (t Timing, err error) {
	interval := time.Second / time.Duration(rate)
	start := time.Now().Add(interval)
	due := func(i uint64) time.Time { return start.Add(time.Duration(i) * interval) }

	stop := make(chan struct{})
	sent := make(chan error, 1)
	go func() {
		sent <- pace(due, n, func(i uint64) error {
			f := newFrame(dst, src, kindData, size)
			binary.BigEndian.PutUint64(f[runAt:], run)
			binary.BigEndian.PutUint64(f[numberAt:], i)
			_, err := s.Send([][]byte{f})
			return err
		}, func() error { return Mark(s, dst, src, run, stop) })
	}()
	t.RTT = make([]time.Duration, 0, n)
	seen := make([]bool, n)
	for marked := false; !marked; {
		fs, err := s.Recv()
		if err != nil {
			close(stop)
			return t, errors.Join(err, <-sent)
		}
		now := time.Now()
		for _, f := range fs {
			if id, ok := markerOf(f); ok {
				marked = marked || id == run
				continue
			}
			if len(f) < MinSize || f[kindAt] != kindData || binary.BigEndian.Uint64(f[runAt:]) != run {
				continue
			}
			if i := binary.BigEndian.Uint64(f[numberAt:]); i < uint64(n) && !seen[i] {
				seen[i] = true
				t.RTT = append(t.RTT, now.Sub(due(i)))
			}
		}
	}
	close(stop)
	t.Lost = n - len(t.RTT)
	return t, <-sent
}
