// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde_test

import (
	"errors"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
)

// notReturned checks that frames which l has sent do not come back to it.
func notReturned(t *testing.T, what string, l link.Link, number byte) {
	t.Helper()
	rx := link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1), NoWait: true}
	for {
		n, err := l.Recv(rx)
		if errors.Is(err, link.ErrEmpty) {
			return
		}
		if n != 1 || rx.Bufs[0][20] == number {
			t.Fatalf("%s: %d frames, %v: the link's own comes back", what, n, err)
		}
	}
}

// TestInterfaceChanges has members go on when the interface that they use is removed and
// made again.
func TestInterfaceChanges(t *testing.T) {
	for _, c := range []struct{ name, a, b string }{
		{"IPv4", "vxvde://", "vxvde:///if=ve0"},
		{"IPv6", "vxvde:///v6", "vxvde:///v6/if=ve0"},
		{"GroupOfTheLink", "vxvde://ff02::42/if=ve0", "vxvde://[ff02::42%ve0]"},
		{"Bound", "vxvde:///bind=" + testpeers.VethA4, "vxvde:///bind=" + testpeers.VethB4},
		{"BoundToTheLink", "vxvde://ff02::42/if=ve0/bind=fe80::a%ve0", "vxvde://ff02::42/if=ve0/bind=fe80::b%ve0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "IPv4" && c.name != "GroupOfTheLink" {
				t.Skip("in the long run")
			}
			t.Parallel()
			a, b := testpeers.NewVeth(t)
			addresses := func() {
				a.IP(t, "addr replace fe80::a/64 dev ve0 nodad")
				b.IP(t, "addr replace fe80::b/64 dev ve0 nodad")
			}
			addresses()
			la, lb := open(t, a, c.a), open(t, b, c.b)
			for i, change := range testpeers.VethChanges() {
				change.Apply(t, a, b)
				addresses()
				testpeers.Arrives(t, change.Name, la, lb, byte(2*i))
				notReturned(t, change.Name, la, byte(2*i))
				testpeers.Arrives(t, change.Name, lb, la, byte(2*i+1))
				notReturned(t, change.Name, lb, byte(2*i+1))
			}
		})
	}
}

// TestRouteChanges has members go on when the route to the group moves to another
// interface, as that of a machine which changes from one network to another.
func TestRouteChanges(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	a.IP(t, "link add ve1 type veth peer name ve1 netns "+b.Path(), "addr add 10.98.0.1/24 dev ve1", "link set dev ve1 up")
	b.IP(t, "addr add 10.98.0.2/24 dev ve1", "link set dev ve1 up")
	la, lb := open(t, a, "vxvde://"), open(t, b, "vxvde://")
	for i, name := range []string{"ve0", "ve1", "ve0"} {
		a.IP(t, "route replace default dev "+name)
		b.IP(t, "route replace default dev "+name)
		testpeers.Arrives(t, name, la, lb, byte(2*i))
		testpeers.Arrives(t, name, lb, la, byte(2*i+1))
	}
	a.IP(t, "link del dev ve0")
	a.IP(t, "route replace default dev ve1")
	b.IP(t, "route replace default dev ve1")
	testpeers.Arrives(t, "removed", la, lb, 100)
	testpeers.Arrives(t, "removed", lb, la, 101)
}
