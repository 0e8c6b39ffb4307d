// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package conntest

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// Patience is how long a watchdog waits. Nothing in the tests takes that long
// unless it hangs.
const Patience = 20 * time.Second

// Quick is a policy of reconnecting with short delays.
var Quick = vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 5 * time.Millisecond}

// Watchdog returns a context that ends what hangs.
func Watchdog(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	t.Cleanup(cancel)
	return ctx
}

// Await waits for ch to be closed or to have a value.
func Await[T any](t testing.TB, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-Watchdog(t).Done():
		t.Fatalf("%s: hung", what)
	}
	return v
}

// Open opens vnl, which must succeed; the end of the test closes the Conn.
func Open(t testing.TB, vnl string, opts ...vde.Option) *vde.Conn {
	t.Helper()
	c, err := vde.Open(Watchdog(t), vnl, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// FailsToOpen opens vnl, which must fail, and returns the error.
func FailsToOpen(t testing.TB, ctx context.Context, vnl string, opts ...vde.Option) error {
	t.Helper()
	c, err := vde.Open(ctx, vnl, opts...)
	if err == nil {
		c.Close()
		t.Fatalf("Open(%q) succeeded", vnl)
	}
	if c != nil {
		t.Errorf("Open(%q) returned a Conn and %v", vnl, err)
	}
	return err
}

// Join opens a port on a fake switch of its own and returns both ends.
func Join(t testing.TB, opts ...vde.Option) (*vde.Conn, *testutil.FakeClient) {
	t.Helper()
	sw := testutil.NewFakeSwitch(t)
	c := Open(t, sw.VNL(), opts...)
	return c, Next(t, sw)
}

// Next returns the switch's end of the next client.
func Next(t testing.TB, sw *testutil.FakeSwitch) *testutil.FakeClient {
	t.Helper()
	client, err := sw.Next(Watchdog(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Frame returns frame number seq of the given length, at least 18.
func Frame(size, seq int) []byte {
	f := make([]byte, size)
	frame.PutHeader(f, frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	binary.BigEndian.PutUint32(f[frame.HeaderLen:], uint32(seq))
	return f
}

// Seq returns the number of a frame made by Frame, and -1 for a shorter one.
func Seq(f []byte) int {
	if len(f) < frame.HeaderLen+4 {
		return -1
	}
	return int(binary.BigEndian.Uint32(f[frame.HeaderLen:]))
}

// Send has the switch send frames of 60 bytes with these numbers.
func Send(t testing.TB, client *testutil.FakeClient, seqs ...int) {
	t.Helper()
	for _, seq := range seqs {
		if err := client.Send(Frame(60, seq)); err != nil {
			t.Fatal(err)
		}
	}
}

// Expect reads frames with these numbers.
func Expect(t testing.TB, c *vde.Conn, seqs ...int) {
	t.Helper()
	buf := make([]byte, frame.DefaultMaxSize)
	for _, want := range seqs {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("reading frame %d: %v", want, err)
		}
		if got := Seq(buf[:n]); got != want {
			t.Fatalf("got frame %d of %d bytes, want frame %d", got, n, want)
		}
	}
}

// Works checks that frames pass both ways.
func Works(t testing.TB, c *vde.Conn, client *testutil.FakeClient) {
	t.Helper()
	f := Frame(60, 1234)
	if _, err := c.Write(f); err != nil {
		t.Fatal(err)
	}
	got, err := client.Recv(Watchdog(t))
	if err != nil || string(got) != string(f) {
		t.Fatalf("the switch got %x, %v", got, err)
	}
	Send(t, client, 4321)
	Expect(t, c, 4321)
}
