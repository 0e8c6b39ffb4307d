// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gvisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// TestKinds sends data from the one side of each kind of link to the other and back,
// with packets shorter and longer than a piece of shared memory.
func TestKinds(t *testing.T) {
	for _, kind := range Kinds {
		for _, mtu := range []int{1500, 65520} {
			t.Run(fmt.Sprintf("%s/mtu=%d", kind.Name, mtu), func(t *testing.T) {
				size := 256 << 10 // as much as a lossy link carries without a timeout
				if kind.Unbounded {
					size = 2 << 20
				}
				echo(t, kind, mtu, size)
			})
		}
	}
}

func echo(t *testing.T, kind Kind, mtu, size int) {
	link, err := kind.Join(1)
	if errors.Is(err, os.ErrPermission) {
		t.Skip("missing: CAP_NET_ADMIN (run the test as root)")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	var stacks [2]*BareStack
	for side := range stacks {
		ep, err := kind.Endpoint(side, link[side], mtu)
		if err != nil {
			t.Fatal(err)
		}
		addr := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(side + 1)}), 24)
		if stacks[side], err = NewBareStack(ep, addr, kind.Queue); err != nil {
			t.Fatal(err)
		}
		defer stacks[side].Close()
	}
	l, err := stacks[Receiver].Listen(7)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		io.Copy(c, struct{ io.Reader }{c})
	}()
	c, err := stacks[Sender].Dial(context.Background(), netip.MustParseAddrPort("10.0.0.2:7"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	exchange(t, c, size)
}

// exchange sends bytes and expects them back.
func exchange(t *testing.T, c net.Conn, size int) {
	want := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(want)
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(want)
		sent <- err
	}()
	got := make([]byte, size)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("other bytes came back")
	}
}

func TestKindOf(t *testing.T) {
	if k, err := KindOf("sharedmem"); err != nil || !k.Shared {
		t.Errorf("%+v, %v", k, err)
	}
	if _, err := KindOf("none"); err == nil {
		t.Error("a kind was found that is none")
	}
}

// TestDescribe expects a line for each kind of endpoint.
func TestDescribe(t *testing.T) {
	text, err := Describe()
	if errors.Is(err, os.ErrPermission) {
		t.Skip("missing: CAP_NET_ADMIN (run the test as root)")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| `TCPMaxRTO` | 2s | 2s |",
		"| `fdbased` | divided by gVisor | computed and verified | no |",
		"| `fdbased-vnet` | sent undivided | left out | no |",
		"| `sharedmem` | divided by gVisor | left out | no | 8192 KiB of shared memory |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
