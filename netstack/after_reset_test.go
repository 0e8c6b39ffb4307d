// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"errors"
	"runtime"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/netstack"
)

// TestAcceptAfterReset accepts a connection that its peer has reset before. As in the
// kernel, it has both addresses: servers call methods of them.
func TestAcceptAfterReset(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	l := listen(t, a, "tcp", ":80")
	c := dial(t, b, addr4(a), 80)
	from, to := c.LocalAddr().String(), c.RemoteAddr().String()
	for a.Stack().Stats().TCP.PassiveConnectionOpenings.Value() == 0 { // the handshake is complete
		runtime.Gosched()
	}
	reset(t, c)
	waitReset(t, a)
	in := accept(t, l)
	if in.RemoteAddr() == nil || in.RemoteAddr().String() != from || in.LocalAddr().String() != to {
		t.Errorf("accepted %v from %v, not %s from %s", in.LocalAddr(), in.RemoteAddr(), to, from)
	}
	if _, err := in.Write([]byte{1}); err == nil {
		t.Error("wrote after a reset")
	}
}

// TestEmptyWriteAfterReset writes nothing to connections that cannot be written to.
func TestEmptyWriteAfterReset(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	l, c, in := connected(t, b, a)
	if n, err := in.Write(nil); n != 0 || err != nil {
		t.Errorf("while connected: %d, %v", n, err)
	}
	reset(t, c)
	waitReset(t, a)
	if _, err := in.Write(nil); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
		t.Errorf("after a reset: %v", err)
	}
	in = dial(t, b, addr4(a), listenPort(l))
	accept(t, l)
	if err := in.(*netstack.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	_, err := in.Write(nil)
	wantErrno(t, err, "write", syscall.EPIPE)
}

// reset resets c.
func reset(t *testing.T, c interface{ Close() error }) {
	t.Helper()
	if err := c.(*netstack.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// waitReset waits until a reset has ended a connection of h. The stack counts in
// ResetsReceived before that.
func waitReset(t *testing.T, h *netstack.Host) {
	t.Helper()
	for h.Stack().Stats().TCP.EstablishedResets.Value() == 0 {
		if err := h.Err(); err != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}
