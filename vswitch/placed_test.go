// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"fmt"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/vswitch"
)

// A placingLink is a notifyingLink whose last frame is placed and does not come.
type placingLink struct{ notifyingLink }

func (l *placingLink) Caps() link.Caps { return link.Caps{Notifier: l} }

func (l *placingLink) RecvPlaced(p link.Placer, limit int) (int, error) {
	n, _ := l.notifyingLink.RecvPlaced(p, limit)
	if n--; n == 0 {
		return 0, link.ErrEmpty
	}
	return n, nil
}

// TestPlacedAndNotReceived has a link ask where to put a frame that then does not come:
// it is not counted, and its buffer is released.
func TestPlacedAndNotReceived(t *testing.T) {
	for frames := range 3 {
		t.Run(fmt.Sprintf("after %d", frames), func(t *testing.T) {
			sw := vswitch.New(vswitch.Config{})
			defer sw.Close()
			a, b := linktest.Pipe(1)
			defer b.Close()
			in := &placingLink{notifyingLink{Link: a, served: make(chan link.Receiver, 1), over: make(chan struct{})}}
			for i := range frames + 1 {
				in.frames = append(in.frames, testFrame(macB, macA, 9000, byte(i)))
				in.headers = append(in.headers, frame.VNetHeader{})
			}
			if _, err := sw.AttachLink(in, vswitch.LinkConfig{Port: 1}); err != nil {
				t.Fatal(err)
			}
			if r := <-in.served; r.Ready(func() {}) != (frames > 0) {
				t.Error("ready, or not, without reason")
			}
			if n := vswitch.Live(sw); n != 0 {
				t.Errorf("%d buffers in use", n)
			}
			if n := sw.Stats().Ports[0].In.Frames; n != uint64(frames) {
				t.Errorf("%d frames counted, want %d", n, frames)
			}
			close(in.over)
		})
	}
}
