// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A hookLog is what a frame hook has seen: for each frame its direction and its
// number.
type hookLog struct {
	mu   sync.Mutex
	seen []string
}

func (s *hookLog) hook(d vde.Direction, f frame.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, d.String()+" "+string('0'+f.Payload()[0]))
}

// TestFrameHook checks that the hooks of both sides see each frame once, whichever
// method moves it.
func TestFrameHook(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testutil.FakeHub(t)
	var ofA, ofB hookLog
	a := conntest.Open(t, sw.VNL(), vde.WithFrameHook(ofA.hook))
	b := conntest.Open(t, sw.VNL(), vde.WithFrameHook(ofB.hook))
	send := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	_, err := a.Write(numbered(1))
	send("Write", err)
	_, err = a.WriteTo(numbered(2), nil)
	send("WriteTo", err)
	_, err = a.WriteBatch([][]byte{numbered(3), numbered(4)})
	send("WriteBatch", err)
	_, err = a.TryWriteBatch([][]byte{numbered(5)})
	send("TryWriteBatch", err)
	_, err = a.WriteBuffers([]net.Buffers{{numbered(6)[:10], numbered(6)[10:]}})
	send("WriteBuffers", err)
	if n, err := a.WriteBatch([][]byte{numbered(7), {1}, numbered(8)}); n != 1 || err == nil {
		t.Fatal(n, err)
	}

	buf := make([]byte, 100)
	if _, err := b.Read(buf); err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.ReadFrom(buf); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < 2; {
		n, err := b.ReadBatch([][]byte{make([]byte, 100), make([]byte, 100)}[:2-got])
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	for range 3 {
		conntest.Await(t, "frame", b.Frames()).Release()
	}
	if want := []string{"sent 1", "sent 2", "sent 3", "sent 4", "sent 5", "sent 6", "sent 7"}; !slices.Equal(ofA.seen, want) {
		t.Errorf("the sender's hook saw %v, want %v", ofA.seen, want)
	}
	b.Close() // no more calls
	if want := []string{"received 1", "received 2", "received 3", "received 4", "received 5", "received 6", "received 7"}; !slices.Equal(ofB.seen, want) {
		t.Errorf("the receiver's hook saw %v, want %v", ofB.seen, want)
	}
	if s := vde.Direction(0).String(); s != "Direction(0)" {
		t.Error(s)
	}
}
