// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// IP runs ip(8) in the namespace, once with each of the given lines of arguments.
func (n *Namespace) IP(t testing.TB, lines ...string) {
	t.Helper()
	for _, line := range lines {
		runIn(t, n, append([]string{"ip"}, strings.Fields(line)...)...)
	}
}

// A VethChange is something that happens to the interface below a link in namespace a of
// [NewVeth], after which frames pass as before.
type VethChange struct {
	Name  string
	Apply func(t testing.TB, a, b *Namespace)
}

// VethChanges returns the changes that a link over UDP has to outlive, to be applied one
// after the other.
func VethChanges() []VethChange {
	return []VethChange{
		{"down and up", func(t testing.TB, a, b *Namespace) {
			a.IP(t, "link set dev ve0 down")
			ConfigureVeth(t, a, b)
		}},
		{"another address", func(t testing.TB, a, b *Namespace) {
			a.IP(t, "addr add 10.99.0.9/24 dev ve0", "addr del 10.99.0.1/24 dev ve0", "route replace default dev ve0", "addr add 10.99.0.1/24 dev ve0")
		}},
		{"removed and made again", func(t testing.TB, a, b *Namespace) {
			a.IP(t, "link del dev ve0")
			ConnectVeth(t, a, b)
		}},
		{"moved away and back, with the same number", func(t testing.TB, a, b *Namespace) {
			c := NewNamespace(t)
			a.IP(t, "link set dev ve0 netns "+c.Path())
			c.IP(t, "link set dev ve0 netns "+a.Path())
			ConfigureVeth(t, a, b)
		}},
	}
}

// Arrives sends the broadcast with a number on one link again and again until it arrives
// on the other one.
func Arrives(t testing.TB, what string, from, to link.Link, number byte) {
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
