// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A mirror and a monitor session get what comes from a port and what goes to it.
func TestMirror(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{2: {VLAN: 5}, 3: {Tagged: []uint16{5}}, 9: {VLAN: vswitch.NoVLAN}}})
	defer sw.Close()
	b, c, m := attach(t, sw, 2), attach(t, sw, 3), attach(t, sw, 9)
	tap, err := sw.Monitor(2)
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	if err := errors.Join(sw.Mirror(2, 9), sw.Mirror(2, 9)); err != nil { // twice is once
		t.Fatal(err)
	}
	sent := testFrame(frame.Broadcast(), macB, 60, 1)
	write(t, b, sent) // from the port
	f := testFrame(macB, macC, 60, 2)
	write(t, c, tagged(f, 5))    // to the port, alone
	write(t, c, tagged(f, 9))    // not to the port
	write(t, b, tagged(sent, 3)) // dropped for its VLAN
	want := [][]byte{sent, f, tagged(sent, 3)}
	for name, conn := range map[string]*vde.Conn{"tap": tap, "port": m} {
		if got := received(t, sw, conn); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("%s got\n%x, want\n%x", name, got, want)
		}
	}
	if got := received(t, sw, b); !slices.EqualFunc(got, [][]byte{f}, bytes.Equal) {
		t.Errorf("the port itself got %x", got)
	}
	if _, err := tap.Write(sent); err == nil {
		t.Error("a tap sends")
	}
	checkAccounts(t, sw.Stats())
	if err := sw.Unmirror(2, 9); err != nil {
		t.Fatal(err)
	}
	tap.Close()
	write(t, b, sent)
	if got := received(t, sw, m); len(got) != 0 {
		t.Errorf("after Unmirror: %x", got)
	}
	checkAccounts(t, sw.Stats())
}
