// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/udp"
	"github.com/go-vde/sdk/vnl"
)

// TestRefusedWhileReceiving sends to a peer that is not there while a receive waits, which
// goes on to wait, however many frames are refused, and receives what comes at last.
func TestRefusedWhileReceiving(t *testing.T) {
	n := testpeers.NewNamespace(t)
	if _, err := n.Exec(context.Background(), "sh", "-c", "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv4/icmp_ratemask"); err != nil {
		t.Fatal(err)
	}
	open := func(locator string) (l link.Link) {
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
	a := open("udp://127.0.0.1:2001->127.0.0.1:2002")
	f := bytes.Repeat([]byte{1}, 60)
	received := make(chan error, 1)
	go func() {
		rx := link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1)}
		k, err := a.Recv(rx)
		if err == nil && (k != 1 || !bytes.Equal(rx.Bufs[0][:rx.Sizes[0]], f)) {
			err = fmt.Errorf("%d frames, of %d bytes", k, rx.Sizes[0])
		}
		received <- err
	}()
	for range 300 {
		if _, _, err := a.Send(link.Tx{Frames: [][]byte{f}}); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-received:
			t.Fatalf("Recv: %v", err)
		case <-time.After(100 * time.Microsecond): // that the receive learns of it, and not the next send
		}
	}
	if k, _, err := open("udp://127.0.0.1:2002->127.0.0.1:2001").Send(link.Tx{Frames: [][]byte{f}}); k != 1 || err != nil {
		t.Fatal(err)
	}
	if err := <-received; err != nil {
		t.Errorf("Recv: %v", err)
	}
	if told, c := n.Counter(t, "IcmpInDestUnreachs"), a.Caps().Counters(); c.Unsent != told || told < 300 {
		t.Errorf("%d refusals are counted, the kernel was told of %d", c.Unsent, told)
	}
}
