// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
)

// arrives sends a frame to all again and again until it arrives.
func arrives(t *testing.T, what string, from, to link.Link, number byte) {
	t.Helper()
	f := bytes.Repeat([]byte{number}, 60)
	frame.PutHeader(f, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, number}, frame.EtherTypeExperimental)
	rx := link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1)}
	for end := time.Now().Add(time.Minute); ; {
		if _, _, err := from.Send(link.Tx{Frames: [][]byte{f}}); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if err := to.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil { // then it is sent again
			t.Fatal(err)
		}
		n, err := to.Recv(rx)
		switch {
		case n == 1 && bytes.Equal(rx.Bufs[0][:rx.Sizes[0]], f):
			return
		case n == 0 && !errors.Is(err, os.ErrDeadlineExceeded):
			t.Fatalf("%s: Recv: %v", what, err)
		case time.Now().After(end):
			t.Fatalf("%s: no frame arrives any more", what)
		}
	}
}

// ip runs ip(8) in a namespace with each of the given arguments.
func ip(t *testing.T, n *testpeers.Namespace, commands ...string) {
	t.Helper()
	for _, args := range commands {
		if _, err := n.Exec(context.Background(), append([]string{"ip"}, strings.Fields(args)...)...); err != nil {
			t.Fatal(err)
		}
	}
}

// interfaceChanges are what happens to the interface below a link, after which frames
// pass as before.
var interfaceChanges = []struct {
	name  string
	apply func(t *testing.T, a, b *testpeers.Namespace)
}{
	{"down and up", func(t *testing.T, a, b *testpeers.Namespace) {
		ip(t, a, "link set dev ve0 down")
		testpeers.ConfigureVeth(t, a, b)
	}},
	{"another address", func(t *testing.T, a, b *testpeers.Namespace) {
		ip(t, a, "addr add 10.99.0.9/24 dev ve0", "addr del 10.99.0.1/24 dev ve0", "route replace default dev ve0", "addr add 10.99.0.1/24 dev ve0")
	}},
	{"removed and made again", func(t *testing.T, a, b *testpeers.Namespace) {
		ip(t, a, "link del dev ve0")
		testpeers.ConnectVeth(t, a, b)
	}},
	{"moved away and back, with the same number", func(t *testing.T, a, b *testpeers.Namespace) {
		c := testpeers.NewNamespace(t)
		ip(t, a, "link set dev ve0 netns "+c.Path())
		ip(t, c, "link set dev ve0 netns "+a.Path())
		testpeers.ConfigureVeth(t, a, b)
	}},
}

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
				ip(t, a, "addr replace fe80::a/64 dev ve0 nodad")
				ip(t, b, "addr replace fe80::b/64 dev ve0 nodad")
			}
			addresses()
			la, lb := open(t, a, c.a), open(t, b, c.b)
			for i, change := range interfaceChanges {
				change.apply(t, a, b)
				addresses()
				arrives(t, change.name, la, lb, byte(2*i))
				notReturned(t, change.name, la, byte(2*i))
				arrives(t, change.name, lb, la, byte(2*i+1))
				notReturned(t, change.name, lb, byte(2*i+1))
			}
		})
	}
}

// TestRouteChanges has members go on when the route to the group moves to another
// interface, as that of a machine which changes from one network to another.
func TestRouteChanges(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	ip(t, a, "link add ve1 type veth peer name ve1 netns "+b.Path(), "addr add 10.98.0.1/24 dev ve1", "link set dev ve1 up")
	ip(t, b, "addr add 10.98.0.2/24 dev ve1", "link set dev ve1 up")
	la, lb := open(t, a, "vxvde://"), open(t, b, "vxvde://")
	for i, name := range []string{"ve0", "ve1", "ve0"} {
		ip(t, a, "route replace default dev "+name)
		ip(t, b, "route replace default dev "+name)
		arrives(t, name, la, lb, byte(2*i))
		arrives(t, name, lb, la, byte(2*i+1))
	}
	ip(t, a, "link del dev ve0")
	ip(t, a, "route replace default dev ve1")
	ip(t, b, "route replace default dev ve1")
	arrives(t, "removed", la, lb, 100)
	arrives(t, "removed", lb, la, 101)
}
