// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package linktest_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/recordtb"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

// redialed returns a pair whose second link is down when the first was closed.
func redialed(tb testing.TB) (a, b link.Link, err error) {
	a, first := linktest.Pipe(16)
	tb.Cleanup(func() { a.Close() })
	b, err = link.Redial(context.Background(), func(ctx context.Context) (link.Link, error) {
		if l := first; l != nil {
			first = nil
			return l, nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}, link.RedialPolicy{})
	if err == nil {
		tb.Cleanup(func() { b.Close() })
	}
	return a, b, err
}

// TestDown holds a link made by Redial to the promise, and finds links that break it.
func TestDown(t *testing.T) {
	linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) { return redialed(t) },
		linktest.Options{NoHangup: true, Down: true, Reason: "the second link waits for the next"})
	over := make(upForEver)
	defer close(over)
	for name, with := range map[string]*broken{
		"no state": {caps: func(l link.Link) link.Caps {
			c := l.Caps()
			c.State = nil
			return c
		}},
		"stays up": {caps: func(l link.Link) link.Caps {
			c := l.Caps()
			c.State = over
			return c
		}},
		"no reason": {caps: func(l link.Link) link.Caps {
			c := l.Caps()
			c.State = withoutReason{c.State}
			return c
		}},
		"send is full": {send: func(l link.Link, t link.Tx) (int, int, error) {
			n, calls, err := l.Send(t)
			if err == link.ErrDown {
				err = link.ErrFull
			}
			return n, calls, err
		}},
		"frames are lost": {recv: func(l link.Link, r link.Rx) (int, error) {
			_, _ = l.Recv(r)
			return l.Recv(r)
		}},
		"a receive does not wait": {recv: func(l link.Link, r link.Rx) (int, error) {
			n, err := l.Recv(r)
			if err == os.ErrDeadlineExceeded {
				err = link.ErrEmpty
			}
			return n, err
		}},
		"ends": {err: func(link.Link) error { return link.ErrHangup }},
	} {
		t.Run(name, func(t *testing.T) {
			opts := linktest.Options{NoHangup: true, Down: true, Watchdog: 200 * time.Millisecond}
			r := recordtb.Run(t, func(tb testing.TB) {
				linktest.CheckPromise(t, tb, "Down", func(testing.TB) (link.Link, link.Link, error) {
					a, b, err := redialed(t)
					with.Link = b
					return a, with, err
				}, opts)
			})
			if !r.Failed() {
				t.Errorf("not found: %s", strings.TrimSpace(r.Text()))
			}
		})
	}
}

// upForEver is a State that does not change before the channel is closed.
type upForEver chan struct{}

func (u upForEver) State() link.State {
	select {
	case <-u:
		return link.State{}
	default:
		return link.State{Up: true}
	}
}

func (u upForEver) OnChange(f func(link.State)) func() {
	go func() {
		<-u
		f(link.State{})
	}()
	return func() {}
}

// withoutReason is a State that does not say why the link is down.
type withoutReason struct{ link.Stateful }

func (w withoutReason) State() link.State {
	s := w.Stateful.State()
	s.Err = nil
	return s
}
