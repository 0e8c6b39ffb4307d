// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
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

// TestInterfaceChanges has links go on when the interface that they use is removed and
// made again: those to a group, which has to be joined again, and those to one endpoint.
func TestInterfaceChanges(t *testing.T) {
	for _, c := range []struct{ name, a, b string }{
		{"Group", "vxlan://", "vxlan://"},
		{"GroupByInterface", "vxlan:///if=ve0", "vxlan:///if=ve0"},
		{"GroupIPv6", "vxlan:///v6", "vxlan:///v6/if=ve0"},
		{"GroupOfTheLink", "vxlan://ff02::42/if=ve0", "vxlan://[ff02::42%ve0]"},
		{"Unicast", "vxlan://" + testpeers.VethB4 + "/if=ve0", "vxlan://" + testpeers.VethA4},
		{"UnicastIPv6", "vxlan://" + testpeers.VethB6 + "/if=ve0", "vxlan://" + testpeers.VethA6},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "Group" && c.name != "GroupOfTheLink" {
				t.Skip("in the long run")
			}
			t.Parallel()
			a, b := testpeers.NewVeth(t)
			var as, bs []link.Link // two, which share the port and the group
			for vni := range 2 {
				as = append(as, open(t, a, fmt.Sprintf("%s/vni=%d", c.a, vni)))
				bs = append(bs, open(t, b, fmt.Sprintf("%s/vni=%d", c.b, vni)))
			}
			number := byte(0)
			for _, change := range interfaceChanges {
				change.apply(t, a, b)
				for i := range as {
					number += 2
					arrives(t, change.name, as[i], bs[i], number)
					arrives(t, change.name, bs[i], as[i], number+1)
				}
			}
		})
	}
}

// TestZoneAndInterface refuses an address with a zone that is not the interface.
func TestZoneAndInterface(t *testing.T) {
	n, _ := testpeers.NewVeth(t)
	if _, err := tryOpen(n, "vxlan://ff02::42%ve0/if=lo"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("two interfaces: %v, want EINVAL", err)
	}
	open(t, n, "vxlan://ff02::42%ve0/if=ve0")
}
