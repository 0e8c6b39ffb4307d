// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil_test

import (
	"io"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/testutil"
)

func TestFakeHub(t *testing.T) {
	testutil.NoLeaks(t)
	s := testutil.FakeHub(t)
	a, b, c := joinRaw(t, s), joinRaw(t, s), joinRaw(t, s)
	a.send("short")
	a.send(fakeFrame1)
	b.send(fakeFrame2)
	if got := b.recv(); got != fakeFrame1 {
		t.Errorf("b received %q", got)
	}
	if got := a.recv(); got != fakeFrame2 {
		t.Errorf("a received %q", got)
	}
	if got := []string{c.recv(), c.recv()}; !slices.Contains(got, fakeFrame1) || !slices.Contains(got, fakeFrame2) {
		t.Errorf("c received %q", got)
	}

	// A client that does not read holds up the sender; leaving frees it.
	for a.fill() > 0 {
	}
	c.close()
	const n = 1000
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range n {
			b.trySend(fakeFrame2, 0)
		}
	}()
	for range n {
		for a.recv() != fakeFrame2 {
		}
	}
	<-sent
}

func TestFakePointToPoint(t *testing.T) {
	testutil.NoLeaks(t)
	s := testutil.FakePointToPoint(t)
	a, b := dialRaw(t, filepath.Join(s.Dir(), "ctl")), dialRaw(t, filepath.Join(s.Dir(), "ctl"))
	a.request(0, "")
	b.request(0, "")
	for _, p := range []*rawClient{a, b} { // the second after the first has removed its name
		r, err := p.reply()
		if err != nil {
			t.Fatal(err)
		}
		p.connect(r)
	}
	a.send(fakeFrame1)
	if got := b.queued(); !slices.Equal(got, []string{fakeFrame1}) {
		t.Errorf("b has %q", got)
	}
	b.send(fakeFrame2)
	if got := a.queued(); !slices.Equal(got, []string{fakeFrame2}) {
		t.Errorf("a has %q", got)
	}
	c := dialRaw(t, filepath.Join(s.Dir(), "ctl"))
	c.request(0, "")
	if r, err := c.reply(); err != io.EOF {
		t.Errorf("third client: %q, %v", r, err)
	}
	a.send(fakeFrame1)
	s.HangupAll()
	for _, p := range []*rawClient{a, b} {
		if _, err := p.reply(); err != io.EOF {
			t.Errorf("after HangupAll: %v", err)
		}
	}
	if got := b.queued(); !slices.Equal(got, []string{fakeFrame1}) {
		t.Errorf("b still has %q", got)
	}
}

// TestFakeServeInTurn checks that a client that cannot be reached is refused only after
// the client that came before it has been served.
func TestFakeServeInTurn(t *testing.T) {
	serve := make(chan struct{})
	s := newFake(t, func(c *testutil.FakeClient) {
		c.Wait(serve)
		testutil.FakeServe(c)
	}, testutil.FakeServe)
	first := dialRaw(t, s.Dir()+"/ctl")
	first.request(0, "first")
	second := dialRaw(t, s.Dir()+"/ctl")
	second.path = s.Dir() + "/none"
	second.request(0, "second")
	refused := make(chan error, 1)
	go func() {
		refused <- uninterrupted(func() error {
			_, err := unix.Read(second.ctl, make([]byte, 1))
			return err
		})
	}()
	select {
	case err := <-refused:
		t.Errorf("refused first: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(serve)
	if err := nextClient(t, s).Err(); err != nil {
		t.Error(err)
	}
	if !t.Failed() {
		<-refused
	}
}
