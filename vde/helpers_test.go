// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// patience is how long a watchdog waits. Nothing here takes that long unless it
// hangs.
const patience = 20 * time.Second

// watchdog returns a context that ends what hangs.
func watchdog(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// awaitDone waits for ch to be closed or to have a value.
func awaitDone[T any](t testing.TB, what string, ch <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-ch:
	case <-watchdog(t).Done():
		t.Fatalf("%s: hung", what)
	}
	return v
}

// open opens vnl, which must succeed; the end of the test closes it.
func open(t testing.TB, vnl string, opts ...vde.Option) *vde.Conn {
	t.Helper()
	c, err := vde.Open(watchdog(t), vnl, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// join opens a port on a switch of its own and returns both ends.
func join(t testing.TB, opts ...vde.Option) (*vde.Conn, *testutil.FakeClient) {
	t.Helper()
	sw := testutil.NewFakeSwitch(t)
	c := open(t, sw.VNL(), opts...)
	return c, next(t, sw)
}

// next returns the switch's end of the next client.
func next(t testing.TB, sw *testutil.FakeSwitch) *testutil.FakeClient {
	t.Helper()
	client, err := sw.Next(watchdog(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// requestOf returns what the next client of sw asked for.
func requestOf(t testing.TB, sw *testutil.FakeSwitch) *testutil.FakeRequest {
	t.Helper()
	r := next(t, sw).Request()
	if r == nil || r.Err != nil {
		t.Fatalf("request %+v", r)
	}
	return r
}

// noStrays checks that clients have left nothing in the switch's directory.
func noStrays(t testing.TB, sw *testutil.FakeSwitch) {
	t.Helper()
	if names, err := sw.Strays(); err != nil || len(names) > 0 {
		t.Errorf("left in the switch's directory: %q, %v", names, err)
	}
}

// testFrame returns frame number seq of the given length, at least 18.
func testFrame(size, seq int) []byte {
	f := make([]byte, size)
	frame.PutHeader(f, frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	binary.BigEndian.PutUint32(f[frame.HeaderLen:], uint32(seq))
	return f
}

// seqOf returns the number of a frame made by testFrame.
func seqOf(f []byte) int {
	if len(f) < frame.HeaderLen+4 {
		return -1
	}
	return int(binary.BigEndian.Uint32(f[frame.HeaderLen:]))
}

// send has the switch send frames of 60 bytes with these numbers.
func send(t testing.TB, client *testutil.FakeClient, seqs ...int) {
	t.Helper()
	for _, seq := range seqs {
		if err := client.Send(testFrame(60, seq)); err != nil {
			t.Fatal(err)
		}
	}
}

// expect reads frames with these numbers.
func expect(t testing.TB, c *vde.Conn, seqs ...int) {
	t.Helper()
	buf := make([]byte, frame.DefaultMaxSize)
	for _, want := range seqs {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("reading frame %d: %v", want, err)
		}
		if got := seqOf(buf[:n]); got != want {
			t.Fatalf("got frame %d of %d bytes, want frame %d", got, n, want)
		}
	}
}

// works checks that frames pass both ways.
func works(t testing.TB, c *vde.Conn, client *testutil.FakeClient) {
	t.Helper()
	f := testFrame(60, 1234)
	if _, err := c.Write(f); err != nil {
		t.Fatal(err)
	}
	got, err := client.Recv(watchdog(t))
	if err != nil || string(got) != string(f) {
		t.Fatalf("the switch got %x, %v", got, err)
	}
	send(t, client, 4321)
	expect(t, c, 4321)
}

// openKinds are the errors by which failures of Open are told apart.
var openKinds = []error{
	vde.ErrNoSwitch, vde.ErrNotSwitch, vde.ErrControlDenied, vde.ErrDataDenied, vde.ErrConnectBackDenied,
	vde.ErrPortRefused, vde.ErrSwitchFull, vde.ErrNoPortGroup, vde.ErrPathTooLong,
	errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
}

// checkOpenError checks that err is what Open returns for a failure of this
// kind and no other, and that its text has these parts.
func checkOpenError(t testing.TB, vnl string, err, kind error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("Open succeeded, want %q", kind)
	}
	var op *net.OpError
	if e, ok := err.(*net.OpError); !ok || e.Op != "open" || e.Net != "vde" || e.Addr == nil || e.Addr.String() != vnl {
		t.Errorf("error %q is %#v, want an OpError of open, vde, %s", err, err, vnl)
	} else {
		op = e
	}
	if !errors.Is(err, kind) {
		t.Errorf("error %q does not match %q", err, kind)
	}
	for _, k := range openKinds {
		if k != kind && errors.Is(err, k) {
			t.Errorf("error %q matches %q too", err, k)
		}
	}
	if op != nil && op.Timeout() != errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Timeout of error %q is %v", err, op.Timeout())
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

// failsToOpen opens vnl, which must fail, and returns the error.
func failsToOpen(t testing.TB, ctx context.Context, vnl string, opts ...vde.Option) error {
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

// needRoot skips the test unless it runs as root.
func needRoot(t testing.TB) {
	t.Helper()
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN", "CAP_DAC_OVERRIDE")
}

// writeFile makes a file in a new directory.
func writeFile(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// cable returns two connections whose data sockets are each other's peers, and
// what makes the network hang up on both.
func cable(t testing.TB, opts ...vde.Option) (a, b *vde.Conn, hangup func()) {
	t.Helper()
	sw := testutil.FakePointToPoint(t)
	other := make(chan *vde.Conn, 1)
	go func() {
		c, err := vde.Open(watchdog(t), sw.VNL(), opts...)
		if err != nil {
			t.Error(err)
		}
		other <- c
	}()
	a = open(t, sw.VNL(), opts...)
	if b = <-other; b == nil {
		t.FailNow()
	}
	t.Cleanup(func() { b.Close() })
	return a, b, sw.HangupAll
}
