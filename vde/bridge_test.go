// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"context"
	"errors"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// pipe returns the two ends of a pipe as connections.
func pipe(t *testing.T, opts ...vde.Option) (a, b *vde.Conn) {
	t.Helper()
	var conns [2]*vde.Conn
	left, right := linktest.Pipe(64)
	for i, l := range []link.Link{left, right} {
		c, err := vde.NewConn(t.Context(), l, opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns[i] = c
	}
	return conns[0], conns[1]
}

// TestBridge passes frames in both directions, leaves out what is too long for one
// side, and ends with one side, having passed on what had come from it.
func TestBridge(t *testing.T) {
	testutil.NoLeaks(t)
	for name, opts := range map[string][]vde.Option{
		"packets": nil,
		"hook":    {vde.WithFrameHook(func(vde.Direction, frame.Frame) {})},
	} {
		t.Run(name, func(t *testing.T) {
			left, a := pipe(t, opts...)
			b, right := pipe(t, append(opts, vde.WithMaxFrameSize(1514))...)
			type result struct {
				ab, ba vde.Bridged
				err    error
			}
			ended := make(chan result, 1)
			go func() {
				ab, ba, err := vde.Bridge(t.Context(), a, b)
				ended <- result{ab, ba, err}
			}()
			long := make([]byte, 1515)
			frame.PutHeader(long, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
			if n, err := left.WriteBatch([][]byte{bridged(1), long, bridged(2)}); n != 3 {
				t.Fatal(n, err)
			}
			if n, err := right.WriteBatch([][]byte{bridged(3)}); n != 1 {
				t.Fatal(n, err)
			}
			want(t, right, 1, 2)
			want(t, left, 3)
			if n, err := left.WriteBatch([][]byte{bridged(4), bridged(5)}); n != 2 {
				t.Fatal(n, err)
			}
			left.Close()
			r := <-ended
			if !errors.Is(r.err, vde.ErrHangup) || r.ab != (vde.Bridged{Frames: 4, Lost: 1}) || r.ba != (vde.Bridged{Frames: 1}) {
				t.Errorf("%+v, %+v, %v", r.ab, r.ba, r.err)
			}
			want(t, right, 4, 5)
			if a.Stats().RxFrames != r.ab.Frames+r.ab.Lost || b.Stats().TxFrames != r.ab.Frames || b.Stats().TxInvalid != 1 {
				t.Errorf("%+v\n%+v\n%+v", r.ab, a.Stats(), b.Stats())
			}
		})
	}
}

// want reads frames with these numbers.
func want(t *testing.T, c *vde.Conn, numbers ...byte) {
	t.Helper()
	buf := make([]byte, 2000)
	for _, number := range numbers {
		if n, err := c.Read(buf); err != nil || buf[frame.HeaderLen] != number {
			t.Fatalf("% x, %v, want number %d", buf[:n], err, number)
		}
	}
}

// TestBridgeContext ends a bridge by its context.
func TestBridgeContext(t *testing.T) {
	testutil.NoLeaks(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	_, a := pipe(t)
	b, _ := pipe(t)
	errTold := errors.New("told")
	cancel(errTold)
	if _, _, err := vde.Bridge(ctx, a, b); !errors.Is(err, errTold) {
		t.Error(err)
	}
	if a.Err() != nil || b.Err() != nil {
		t.Errorf("%v, %v: a connection was closed", a.Err(), b.Err())
	}
}

// bridged returns a broadcast frame with n in it.
func bridged(n byte) []byte {
	f := frame.AppendHeader(make([]byte, 0, frame.MinLen), frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, n}, frame.EtherTypeExperimental)
	return append(f, n)[:frame.MinLen]
}
