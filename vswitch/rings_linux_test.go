// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestSharedMemoryUsers: memory is shared with the same user, and with others only
// where both sides were told so.
func TestSharedMemoryUsers(t *testing.T) {
	testutil.Need(t, "CAP_SETUID", "CAP_SETGID")
	root := who{}
	for _, test := range []struct {
		name         string
		client, here vde.SharedMemory
		user         who
		want         bool
	}{
		{"same user", vde.SharedMemorySameUser, vde.SharedMemorySameUser, root, true},
		{"client never", vde.SharedMemoryNever, vde.SharedMemoryAlways, root, false},
		{"switch never", vde.SharedMemoryAlways, vde.SharedMemoryNever, root, false},
		{"another user", vde.SharedMemorySameUser, vde.SharedMemorySameUser, nobody, false},
		{"another user, client always", vde.SharedMemoryAlways, vde.SharedMemorySameUser, nobody, false},
		{"another user, switch always", vde.SharedMemorySameUser, vde.SharedMemoryAlways, nobody, false},
		{"another user, both always", vde.SharedMemoryAlways, vde.SharedMemoryAlways, nobody, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			sw := vswitch.New(vswitch.Config{Mode: 0o777, SharedMemory: test.here})
			dir := serve(t, sw)
			defer sw.Close()
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			var c *vde.Conn
			if err := test.user.do(func() (err error) {
				c, err = vde.Open(t.Context(), dir, vde.WithSharedMemory(test.client))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := c.SharedMemory(); got != test.want {
				t.Errorf("shared memory: %v, want %v", got, test.want)
			}
			kind := vswitch.KindSocket
			if test.want {
				kind = vswitch.KindSharedMemory
			}
			if got := sw.Ports()[0].Cables[0].Kind; got != kind {
				t.Errorf("the cable is %q, want %q", got, kind)
			}
			if n := sw.Stats().Serve.BadOffers; n != 0 {
				t.Errorf("%d bad offers", n)
			}
		})
	}
}

// TestWriterAndLeaver: a write without a deadline that waits for a client with
// shared memory goes on when that client leaves; what it waited for is counted as
// refused.
func TestWriterAndLeaver(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
		1: {Stations: []vswitch.Station{{MAC: macB}}, Wait: vswitch.Forever},
	}})
	dir := serve(t, sw)
	defer sw.Close()
	c := open(t, dir, vde.WithPort(1))
	if !c.SharedMemory() {
		t.Fatal("no shared memory")
	}
	a := attach(t, sw, 2)
	f := frame.AppendHeader(nil, macB, macA, frame.EtherTypeExperimental)
	f = append(f, make([]byte, 1400)...)
	for {
		if _, err := a.TryWriteBatch([][]byte{f}); err != nil {
			break // full
		}
	}
	written := make(chan error, 1)
	go func() {
		_, err := a.WriteBatch([][]byte{f, f, f})
		written <- err
	}()
	until(t, "waiting", func() bool { return vswitch.WaitingOutside(sw, 1) })
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-written; err != nil {
		t.Errorf("the write: %v", err)
	}
	until(t, "counted", func() bool {
		d := counts(t, sw, 1).Out.Dropped
		return d.Refused+d.Closed >= 3 && d.Timeout == 0
	})
}

// TestBrokenRings has a client break the rules: it loses its port, that is
// counted, and others notice nothing.
func TestBrokenRings(t *testing.T) {
	testutil.NoLeaks(t)
	news := newNews()
	sw := vswitch.New(vswitch.Config{Logger: slog.New(news)})
	defer sw.Close()
	wreck, unplug, err := vswitch.PlugBrokenRings(sw, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer unplug()
	a, b := attach(t, sw, 2), attach(t, sw, 3)
	wreck()
	for deadline := time.Now().Add(time.Minute); ; {
		changed := news.next()
		if sw.Stats().Serve.Broken == 1 && len(sw.Ports()[0].Cables) == 0 {
			break
		}
		select {
		case <-changed:
		case <-time.After(time.Until(deadline)):
			t.Fatalf("still plugged in: %+v", sw.Stats().Serve)
		}
	}
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 2}, frame.EtherTypeExperimental)
	f = append(f, make([]byte, 46)...)
	if _, err := a.Write(f); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 100)
	if n, err := b.Read(buf); n != len(f) || err != nil {
		t.Errorf("the others: %d bytes, %v", n, err)
	}
}
