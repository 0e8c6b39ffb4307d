// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/internal/udpio"
)

// TestFollowerMessages takes the messages of the kernel apart, whole and cut off.
func TestFollowerMessages(t *testing.T) {
	message := func(kind uint16, rest ...byte) []byte {
		b := make([]byte, unix.SizeofNlMsghdr)
		binary.NativeEndian.PutUint16(b[4:], kind)
		return append(b, rest...)
	}
	number := func(n uint32) []byte { return binary.NativeEndian.AppendUint32(nil, n) }
	info := func(kind uint16, family byte, index uint32) []byte {
		return append(append(message(kind, family, 0, 0, 0), number(index)...), make([]byte, 8)...)
	}
	for _, c := range []struct {
		name string
		msg  []byte
		want bool
	}{
		{"removed", info(unix.RTM_DELLINK, unix.AF_UNSPEC, 7), true},
		{"another removed", info(unix.RTM_DELLINK, unix.AF_UNSPEC, 8), false},
		{"no port of a bridge any more", info(unix.RTM_DELLINK, unix.AF_BRIDGE, 7), false},
		{"changed", info(unix.RTM_NEWLINK, unix.AF_UNSPEC, 7), false},
	} {
		if got := udpio.Removes(c.msg, 7); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		for n := range c.msg {
			if udpio.Removes(c.msg[:n], 7) {
				t.Errorf("%s, cut off after %d bytes, says so", c.name, n)
			}
		}
	}
	attribute := func(kind uint16, data ...byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(data)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), data...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	route := append(message(unix.RTM_NEWROUTE, make([]byte, unix.SizeofRtMsg)...), attribute(unix.RTA_DST, 1, 2, 3, 4, 5)...)
	route = append(append(route, attribute(unix.RTA_OIF, number(9)...)...), attribute(unix.RTA_PREFSRC, 1, 2, 3, 4)...)
	if got := udpio.OutputInterface(route); got != 9 {
		t.Errorf("the route leads to interface %d, want 9", got)
	}
	for n := range route {
		if got := udpio.OutputInterface(route[:n:n]); got != 0 && got != 9 {
			t.Errorf("cut off after %d bytes it leads to interface %d", n, got)
		}
	}
	binary.NativeEndian.PutUint16(route[unix.SizeofNlMsghdr+unix.SizeofRtMsg:], 0) // an attribute without a length
	if got := udpio.OutputInterface(route); got != 0 {
		t.Errorf("interface %d in a message that makes no sense", got)
	}
}

// TestFollowerStarts finds the interface of a route, and by number; without one there is
// no Follower.
func TestFollowerStarts(t *testing.T) {
	a, _ := testpeers.NewVeth(t)
	group, err := udpio.Resolve(t.Context(), "239.0.0.1", udpio.IPv4)
	if err != nil {
		t.Fatal(err)
	}
	group6, err := udpio.Resolve(t.Context(), "ff05::1", udpio.IPv6)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Do(func() error {
		index, err := udpio.InterfaceIndex(testpeers.VethName)
		if err != nil {
			return err
		}
		for _, group := range []udpio.Addr{group, group6} {
			for _, by := range []int{0, index} {
				f := udpio.NewFollower(group, by)
				if f.Index() != index {
					return fmt.Errorf("%v by %d: interface %d, want %d", group.AddrPort(), by, f.Index(), index)
				}
				f.Close()
				f.Close()
			}
			if udpio.NewFollower(group, index+100) != nil {
				return fmt.Errorf("%v: there is an interface of that number", group.AddrPort())
			}
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	if _, err := a.Exec(context.Background(), "ip", "route", "del", "default"); err != nil {
		t.Fatal(err)
	}
	if err := a.Do(func() error {
		if f := udpio.NewFollower(group, 0); f != nil {
			f.Close()
			return fmt.Errorf("there is a route, to interface %d", f.Index())
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
