// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/udp"
	"github.com/go-vde/sdk/vnl"
)

// TestInterfaceRemoved has links between addresses of one interface go on when that is
// removed and made again with another number.
func TestInterfaceRemoved(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	ip := func(n *testpeers.Namespace, args string) {
		t.Helper()
		if _, err := n.Exec(context.Background(), append([]string{"ip"}, strings.Fields(args)...)...); err != nil {
			t.Fatal(err)
		}
	}
	addresses := func() {
		ip(a, "addr add fe80::a/64 dev ve0 nodad")
		ip(b, "addr add fe80::b/64 dev ve0 nodad")
	}
	open := func(n *testpeers.Namespace, locator string) (l link.Link) {
		t.Helper()
		if err := n.Do(func() (err error) {
			l, err = udp.Driver{}.Open(context.Background(), vnl.Parse(locator), link.Settings{})
			return err
		}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		return l
	}
	addresses()
	links := [2]link.Link{open(a, "udp://[fe80::a%ve0]:2000->[fe80::b%ve0]:2000"), open(b, "udp://fe80::b%ve0:2000->fe80::a%ve0:2000")}
	rx := link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1)}
	for round := range byte(2) {
		if round > 0 {
			ip(a, "link del dev ve0")
			testpeers.ConnectVeth(t, a, b)
			addresses()
		}
		for i, to := range links {
			f := bytes.Repeat([]byte{2*round + byte(i)}, 60)
			for end := time.Now().Add(time.Minute); ; {
				if _, _, err := links[1-i].Send(link.Tx{Frames: [][]byte{f}}); err != nil {
					t.Fatal(err)
				}
				if err := to.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil { // then it is sent again
					t.Fatal(err)
				}
				n, err := to.Recv(rx)
				if n == 1 && bytes.Equal(rx.Bufs[0][:rx.Sizes[0]], f) {
					break
				}
				if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
					t.Fatalf("round %d, to %d: no frame arrives: %v", round, i, err)
				}
			}
		}
	}
}
