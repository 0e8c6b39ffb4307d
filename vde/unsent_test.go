// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A stuckConn writes some frames and no more until it is closed, or until fail is.
type stuckConn struct {
	takes   int
	fail    chan struct{}
	closed  chan struct{}
	close   sync.Once
	written int // the writing goroutine's until the link is closed
}

// ReadFrame implements link.FrameConn.
func (c *stuckConn) ReadFrame([]byte) (int, error) {
	<-c.closed
	return 0, io.EOF
}

// WriteFrames implements link.FrameConn.
func (c *stuckConn) WriteFrames(frames [][]byte) (int, error) {
	n := min(len(frames), c.takes-c.written)
	c.written += n
	if n == len(frames) {
		return n, nil
	}
	select {
	case <-c.fail:
	case <-c.closed:
	}
	return n, errors.New("stuck")
}

// Close implements link.FrameConn.
func (c *stuckConn) Close() error {
	c.close.Do(func() { close(c.closed) })
	return nil
}

// TestUnsent checks that frames which a link had accepted and lost are counted,
// when the link fails and when it is closed.
func TestUnsent(t *testing.T) {
	testutil.NoLeaks(t)
	for name, fails := range map[string]bool{"link fails": true, "closed": false} {
		t.Run(name, func(t *testing.T) {
			const sent = 20
			fc := &stuckConn{takes: 7, fail: make(chan struct{}), closed: make(chan struct{})}
			c, err := vde.NewConn(context.Background(), link.New(fc, link.Config{Linger: -1}))
			if err != nil {
				t.Fatal(err)
			}
			for range sent {
				if _, err := c.Write(make([]byte, 60)); err != nil {
					t.Fatal(err)
				}
			}
			if fails {
				close(fc.fail)
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			s := c.Stats()
			if s.TxFrames != sent || s.TxUnsent == 0 || uint64(fc.written)+s.TxUnsent != sent || s.TxFull+s.TxRefused+s.TxNoBuffer+s.TxInvalid != 0 {
				t.Errorf("%d frames written, %+v", fc.written, s)
			}
		})
	}
}
