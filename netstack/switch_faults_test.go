// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// TestSwitchKilledDuringTransfer checks that both ends of a transfer get ErrHangup
// before their deadline when the switch is killed.
func TestSwitchKilledDuringTransfer(t *testing.T) {
	testpeers.Need(t, "vde_switch")
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	a, b := host(t, open(t, sw.VNL()), netstack.HostConfig{}), host(t, open(t, sw.VNL()), netstack.HostConfig{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.Dial("tcp", netip.AddrPortFrom(addr4(a), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	deadline, _ := bound(t).Deadline()
	in.SetDeadline(deadline)
	out.SetDeadline(deadline)
	var wg sync.WaitGroup
	flowing := make(chan struct{})
	wg.Go(func() {
		for {
			if _, err := out.Write(make([]byte, 1<<16)); err != nil {
				wantErr(t, err, "write", vde.ErrHangup)
				return
			}
		}
	})
	wg.Go(func() {
		if _, err := io.CopyN(io.Discard, in, 1<<20); err != nil {
			t.Error(err)
		}
		close(flowing)
		_, err := io.Copy(io.Discard, in)
		wantErr(t, err, "read", vde.ErrHangup)
	})
	<-flowing
	sw.Kill()
	wg.Wait()
	_, err = l.Accept()
	wantErr(t, err, "accept", vde.ErrHangup)
	for _, h := range []*netstack.Host{a, b} {
		if !errors.Is(h.Err(), vde.ErrHangup) {
			t.Error(h.Err())
		}
	}
}

// TestSwitchStoppedDuringTransfer checks that deadlines are kept while the switch is
// stopped, and that the transfer continues afterwards.
func TestSwitchStoppedDuringTransfer(t *testing.T) {
	testpeers.Need(t, "vde_switch")
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	a, b := host(t, open(t, sw.VNL()), netstack.HostConfig{}), host(t, open(t, sw.VNL()), netstack.HostConfig{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.Dial("tcp", netip.AddrPortFrom(addr4(a), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	sw.Pause()
	// More than every queue holds.
	out.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := out.Write(make([]byte, 32<<20))
	if !errors.Is(err, errDeadline) {
		t.Errorf("wrote %d bytes: %v", n, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.DialContext(ctx, "tcp", netip.AddrPortFrom(addr4(a), 80).String()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dialled: %v", err)
	}
	sw.Resume()
	out.SetWriteDeadline(zero)
	go out.Close()
	got, err := io.Copy(io.Discard, in)
	if err != nil || got != int64(n) {
		t.Errorf("%d of %d bytes: %v", got, n, err)
	}
	in.Close()
}
