// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link_test

import (
	"errors"
	"io"
	"testing"

	"github.com/go-vde/sdk/link"
)

// An endingConn has no frames, and ends when ended is closed.
type endingConn struct{ ended chan struct{} }

func (c endingConn) ReadFrame([]byte) (int, error) {
	<-c.ended
	return 0, io.EOF
}

func (c endingConn) WriteFrames(frames [][]byte) (int, error) { return len(frames), nil }
func (c endingConn) Close() error                             { return nil }

// Whoever learns of the end by Recv finds the reason in Err. Redial takes an error for one
// of the receive otherwise, and does not dial again.
func TestNewEndOrder(t *testing.T) {
	for range 2000 {
		c := endingConn{make(chan struct{})}
		l := link.New(c, link.Config{})
		go close(c.ended)
		_, err := l.Recv(link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1)})
		if reason := l.Err(); reason == nil || !errors.Is(err, reason) {
			t.Fatalf("Recv returns %v, and Err %v", err, reason)
		}
		_, _ = l.Close()
	}
}
