// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// The cause of an end need not be a hangup, and stays after Close.
func TestEndCause(t *testing.T) {
	reason := errors.New("link cut")
	l := &failingLink{done: make(chan struct{})}
	c := attach(t, l)
	l.cause = reason
	close(l.done)
	conntest.Await(t, "Context", c.Context().Done())
	if c.Err() != reason || context.Cause(c.Context()) != reason {
		t.Errorf("the cause is %v", c.Err())
	}
	if _, err := c.Write(conntest.Frame(60, 1)); !errors.Is(err, reason) {
		t.Errorf("write: %v", err)
	}
	if err := c.Close(); err != nil || c.Err() != reason {
		t.Errorf("after Close (%v) the cause is %v", err, c.Err())
	}
	if _, err := c.Write(conntest.Frame(60, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
}

// TestHangup checks when a hangup ends the context, for each state of the readers
// and writers.
func TestHangup(t *testing.T) {
	for _, how := range []struct {
		name string
		do   func(client *testutil.FakeClient)
	}{
		{"hangup", func(client *testutil.FakeClient) { client.Hangup() }},
		{"half-close", func(client *testutil.FakeClient) { client.HalfClose() }},
	} {
		t.Run(how.name, func(t *testing.T) {
			for _, state := range []struct {
				name string
				test func(t *testing.T, hangup func(*testutil.FakeClient))
			}{
				{"idle", testHangupIdle},
				{"unread frames", testHangupUnreadFrames},
				{"reader waiting", testHangupReaderWaiting},
				{"Frames idle", testHangupFramesIdle},
				{"Frames with a consumer", testHangupFramesWithAConsumer},
				{"Frames and nobody takes them", testHangupFramesAndNobodyTakesThem},
				{"Frames afterwards", testHangupFramesAfterwards},
				{"writer waiting", testHangupWriterWaiting},
				{"deadlines set later", testHangupDeadlinesSetLater},
			} {
				t.Run(state.name, func(t *testing.T) {
					t.Parallel()
					state.test(t, how.do)
				})
			}
		})
	}
}

// checkHungUp waits for the end of the context of c, whose cause is ErrHangup.
func checkHungUp(t *testing.T, c *vde.Conn) {
	t.Helper()
	conntest.Await(t, "Context", c.Context().Done())
	if c.Err() != vde.ErrHangup || context.Cause(c.Context()) != vde.ErrHangup {
		t.Errorf("the cause is %v", c.Err())
	}
}

func testHangupIdle(t *testing.T, hangup func(*testutil.FakeClient)) {
	c, client := conntest.Join(t)
	hangup(client)
	checkHungUp(t, c)
}

func testHangupUnreadFrames(t *testing.T, hangup func(*testutil.FakeClient)) {
	c, client := conntest.Join(t)
	conntest.Send(t, client, 1, 2, 3)
	hangup(client)
	checkHungUp(t, c)
	conntest.Expect(t, c, 1, 2, 3)
	if _, err := c.Read(make([]byte, 100)); !errors.Is(err, vde.ErrHangup) {
		t.Errorf("then: %v", err)
	}
}

func testHangupReaderWaiting(t *testing.T, hangup func(*testutil.FakeClient)) {
	c, client := conntest.Join(t)
	read := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 100))
		read <- err
	}()
	hangup(client)
	if err := conntest.Await(t, "Read", read); !errors.Is(err, vde.ErrHangup) {
		t.Errorf("read: %v", err)
	}
	checkHungUp(t, c)
}

func testHangupFramesIdle(t *testing.T, hangup func(*testutil.FakeClient)) {
	c, client := conntest.Join(t)
	ch := c.Frames()
	hangup(client)
	if f, ok := <-ch; ok {
		t.Errorf("a frame of %d bytes out of nowhere", len(f.Bytes()))
	}
	checkHungUp(t, c)
}

func testHangupFramesWithAConsumer(t *testing.T, hangup func(*testutil.FakeClient)) {
	c, client := conntest.Join(t)
	got := make(chan int, 1)
	go func() {
		n := 0
		for f := range c.Frames() {
			n++
			f.Release()
		}
		got <- n
	}()
	conntest.Send(t, client, make([]int, 200)...)
	hangup(client)
	if n := conntest.Await(t, "the consumer", got); n != 200 {
		t.Errorf("%d of 200 frames", n)
	}
	checkHungUp(t, c)
}

func testHangupFramesAndNobodyTakesThem(t *testing.T, hangup func(*testutil.FakeClient)) {
	p := pool.New(9234, 0)
	testutil.NoLive(t, "buffers", func() int64 { return p.Stats().Live })
	c, client := conntest.Join(t, vde.WithFrames(p, 4))
	sent, err := client.Flood(conntest.Frame(60, 1))
	if err != nil || sent < 50 {
		t.Fatal(sent, err)
	}
	ch := c.Frames()
	hangup(client)
	checkHungUp(t, c)
	// What is left can still be had.
	n := 0
	for f := range ch {
		n++
		f.Release()
	}
	if n != sent || c.Stats().RxFrames != uint64(sent) {
		t.Errorf("%d of %d frames, counted %+v", n, sent, c.Stats())
	}
}

func testHangupFramesAfterwards(t *testing.T, hangup func(*testutil.FakeClient)) {
	c, client := conntest.Join(t)
	conntest.Send(t, client, 1, 2, 3)
	hangup(client)
	checkHungUp(t, c)
	n := 0
	for f := range c.Frames() {
		if n++; conntest.Seq(f.Bytes()) != n {
			t.Errorf("frame %d came as number %d", conntest.Seq(f.Bytes()), n)
		}
		f.Release()
	}
	if n != 3 {
		t.Errorf("%d of 3 frames", n)
	}
}

func testHangupWriterWaiting(t *testing.T, hangup func(*testutil.FakeClient)) {
	c, client := conntest.Join(t)
	fill(t, c)
	written := make(chan error, 1)
	go func() {
		_, err := c.WriteBatch([][]byte{conntest.Frame(60, 1)})
		written <- err
	}()
	hangup(client)
	if err := conntest.Await(t, "WriteBatch", written); !errors.Is(err, vde.ErrHangup) {
		t.Errorf("write: %v", err)
	}
	checkHungUp(t, c)
}

func testHangupDeadlinesSetLater(t *testing.T, hangup func(*testutil.FakeClient)) {
	c, client := conntest.Join(t)
	conntest.Send(t, client, 1)
	hangup(client)
	checkHungUp(t, c)
	for _, at := range []time.Time{time.Unix(1, 0), {}, time.Now().Add(time.Hour)} {
		if err := c.SetDeadline(at); err != nil {
			t.Error(err)
		}
	}
	conntest.Expect(t, c, 1)
	if _, err := c.Read(make([]byte, 100)); !errors.Is(err, vde.ErrHangup) {
		t.Errorf("read: %v", err)
	}
}

// While frames are passed on, the context has not ended yet: who sees its end has
// missed none that a waiting consumer got.
func TestHangupAfterLastFrame(t *testing.T) {
	c, client := conntest.Join(t, vde.WithFrames(nil, 1000))
	ch := c.Frames()
	var sent int
	for range 3 {
		n, err := client.Flood(conntest.Frame(60, 1))
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	if sent > 900 {
		t.Fatalf("%d frames: the channel is to take all of them", sent)
	}
	client.Hangup()
	conntest.Await(t, "Context", c.Context().Done())
	if len(ch) != sent {
		t.Errorf("when the context ended, %d of %d frames had been passed on", len(ch), sent)
	}
	for f := range ch {
		f.Release()
	}
}

// What a switch says on the control socket after its reply means nothing.
func TestControlBytesAreIgnored(t *testing.T) {
	c, client := conntest.Join(t)
	for _, b := range [][]byte{[]byte("x"), make([]byte, 110), make([]byte, 20_000)} {
		if err := client.WritePieces(b); err != nil {
			t.Fatal(err)
		}
		conntest.Works(t, c, client)
	}
	if c.Err() != nil {
		t.Error(c.Err())
	}
	client.Hangup()
	conntest.Await(t, "Context", c.Context().Done())
}
