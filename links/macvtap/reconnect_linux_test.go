// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package macvtap_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
)

// Open implements link.Driver: it opens inside n.
func (n network) Open(ctx context.Context, l vnl.Locator, s link.Settings) (opened link.Link, err error) {
	err = n.Do(func() (err error) {
		opened, err = n.Driver.Open(ctx, l, s)
		return err
	})
	return opened, err
}

// limit bounds hangs.
const limit = time.Minute

// A watched is a connection whose changes of state come on a channel.
type watched struct {
	*vde.Conn
	states chan vde.LinkState
}

// reconnecting opens m0 with reconnecting.
func (n network) reconnecting(t *testing.T) watched {
	t.Helper()
	c, err := vde.Open(t.Context(), "macvtap://m0", vde.WithDrivers(link.Mux{"macvtap": n}),
		vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := errors.Join(c.SetReadDeadline(time.Now().Add(limit)), c.SetWriteDeadline(time.Now().Add(limit))); err != nil {
		t.Fatal(err)
	}
	w := watched{c, make(chan vde.LinkState, 1<<16)} // no attempt waits for the test
	t.Cleanup(c.OnLinkChange(func(s vde.LinkState) { w.states <- s }))
	return w
}

// await waits for a change that is as wanted.
func (w watched) await(t *testing.T, what string, want func(vde.LinkState) bool) {
	t.Helper()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case s := <-w.states:
			if want(s) {
				return
			}
		case <-timer.C:
			t.Fatalf("no change to %s; the state is %+v", what, w.LinkState())
		}
	}
}

// exchange has frames cross between w and the other end of the veth.
func (n network) exchange(t *testing.T, w watched) {
	t.Helper()
	p := testpeers.OpenPacketSocket(t, n.Namespace, "v1", false)
	if _, err := w.Write(testFrame(100, 1)); err != nil {
		t.Fatal(err)
	}
	if f, err := p.Recv(); err != nil || !bytes.Equal(f, testFrame(100, 1)) {
		t.Fatalf("the kernel received %x, %v", f, err)
	}
	if err := p.Send(testFrame(200, 2)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2000)
	if k, err := w.Read(b); err != nil || !bytes.Equal(b[:k], testFrame(200, 2)) {
		t.Fatalf("received %x, %v", b[:k], err)
	}
}

// TestReconnect has the interface below go, and with it the interface of macvtap: the
// connection is down and says why, and goes on when both have been made again, though
// the interface has another number and device file then.
func TestReconnect(t *testing.T) {
	n := newNetwork(t)
	file := n.add(t, "m0")
	w := n.reconnecting(t)
	n.exchange(t, w)
	for range 2 {
		n.sh(t, "ip link del dev v0")
		w.await(t, "removed", func(s vde.LinkState) bool {
			return !s.Up && errors.Is(s.Err, vde.ErrHangup) && strings.Contains(s.Err.Error(), "m0 was removed")
		})
		w.await(t, "failing", func(s vde.LinkState) bool { return !s.Up && s.Attempt > 0 && errors.Is(s.Err, syscall.ENODEV) })
		if _, err := w.TryWriteBatch([][]byte{testFrame(60, 9)}); !errors.Is(err, vde.ErrLinkDown) {
			t.Errorf("a write that must not wait: %v", err)
		}
		old := file
		n.sh(t, "ip link add v0 type veth peer name v1", "ip link set dev v0 up", "ip link set dev v1 up")
		file = n.add(t, "m0")
		if file != old {
			_ = os.Remove(old) // as udev does
		}
		w.await(t, "up", func(s vde.LinkState) bool { return s.Up && s.Attempt > 0 })
		n.exchange(t, w)
	}
}
