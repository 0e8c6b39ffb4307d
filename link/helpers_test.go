// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

var errRefused = errors.New("nobody there")

// A dialer gives links whose other ends are the test's. It takes a second each
// time.
type dialer struct {
	fail   int                       // so many attempts fail before each that succeeds
	failed int                       // in a row
	wrap   func(link.Link) link.Link // what is given, if not nil
	peers  chan link.Link            // other ends
	times  []time.Time               // of attempts; read it after the last one
	begun  chan struct{}             // if not nil, told of each attempt
}

const dialTime = time.Second

func newDialer(fail int) *dialer { return &dialer{fail: fail, peers: make(chan link.Link, 10)} }

func (d *dialer) dial(ctx context.Context) (link.Link, error) {
	d.times = append(d.times, time.Now())
	if d.begun != nil {
		d.begun <- struct{}{}
	}
	select {
	case <-time.After(dialTime):
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if d.failed < d.fail {
		d.failed++
		return nil, fmt.Errorf("attempt %d: %w", d.failed, errRefused)
	}
	d.failed = 0
	a, b := linktest.Pipe(16)
	d.peers <- b
	if d.wrap != nil {
		a = d.wrap(a)
	}
	return a, nil
}

// policy is one without much chance: pauses are of 5 to 10 seconds.
var policy = link.RedialPolicy{MinDelay: 10 * time.Second, MaxDelay: 10 * time.Second}

// A redialed is a link made by Redial, and the changes of its state.
type redialed struct {
	link.Link
	changes chan link.State
	stop    func()
}

// redial runs f with a link in a bubble.
func redial(t *testing.T, d *dialer, p link.RedialPolicy, f func(t *testing.T, l *redialed)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		d.peers = make(chan link.Link, 10) // of the bubble
		inner, err := link.Redial(t.Context(), d.dial, p)
		if err != nil {
			t.Fatal(err)
		}
		l := &redialed{Link: inner, changes: make(chan link.State, 10_000)}
		l.stop = inner.Caps().State.OnChange(func(s link.State) { l.changes <- s })
		f(t, l)
		if _, err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		close(d.peers)
		for peer := range d.peers {
			peer.Close()
		}
	})
}

// number returns a frame of one number.
func number(n int) []byte {
	return append(frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental), byte(n))
}

// send sends frames with these numbers.
func send(t *testing.T, l link.Link, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		if sent, _, err := l.Send(link.Tx{Frames: [][]byte{number(n)}}); sent != 1 || err != nil {
			t.Fatalf("frame %d: %d, %v", n, sent, err)
		}
	}
}

// recv receives once, at most so many frames.
func recv(l link.Link, most int, noWait bool) (numbers []int, err error) {
	bufs, sizes := make([][]byte, most), make([]int, most)
	for i := range bufs {
		bufs[i] = make([]byte, 100)
	}
	n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: noWait})
	for i := range n {
		numbers = append(numbers, int(bufs[i][frame.HeaderLen]))
	}
	return numbers, err
}

// want receives frames with these numbers.
func want(t *testing.T, l link.Link, numbers ...int) {
	t.Helper()
	for len(numbers) > 0 {
		got, err := recv(l, min(3, len(numbers)), false)
		if err != nil || !slices.Equal(got, numbers[:len(got)]) {
			t.Fatalf("got %v, %v; want %v", got, err, numbers)
		}
		numbers = numbers[len(got):]
	}
}
