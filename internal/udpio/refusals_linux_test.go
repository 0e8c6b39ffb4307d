// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/internal/udpio"
	"github.com/go-vde/sdk/link"
)

// namespaceSockets returns n sockets on loopback of a namespace, and their addresses.
func namespaceSockets(t testing.TB, ns *testpeers.Namespace, ip string, n int) (fds []int, addrs []udpio.Addr) {
	t.Helper()
	for range n {
		var fd int
		err := ns.Do(func() (err error) {
			fd, err = udpio.Socket(udpio.AddrOf(netip.AddrPortFrom(netip.MustParseAddr(ip), 0), 0), udpio.Options{Receive: true, TTL: -1})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		a, err := udpio.LocalAddr(fd)
		if err != nil {
			t.Fatal(err)
		}
		fds, addrs = append(fds, fd), append(addrs, a)
	}
	return fds, addrs
}

// TestRefusalsOfOthers sends to one that refuses and to one that does not, in turn, from
// the same socket: everything for the second arrives, in order, and each refusal that
// the kernel was told of is counted once. Sends find out about some, receives about the
// rest.
func TestRefusalsOfOthers(t *testing.T) {
	for ip, counter := range map[string]string{"127.0.0.1": "IcmpInDestUnreachs", "::1": "Icmp6InDestUnreachs"} {
		t.Run(ip, func(t *testing.T) {
			ns := testpeers.NewNamespace(t)
			fds, from := namespaceSockets(t, ns, ip, 1)
			at, to := namespaceSockets(t, ns, ip, 1)
			gone, nobody := namespaceSockets(t, ns, ip, 1)
			unix.Close(gone[0])
			s, _ := udpio.NewBridge(t, "", fds, []udpio.Addr{nobody[0], to[0]})
			r, _ := udpio.NewBridge(t, "", at, from)
			var all [][]byte
			for i := range 200 {
				all = append(all, udpio.Numbered(0, i%2, 60+i%3, i))
			}
			for i := 0; i < len(all); {
				k := min(1+i%7, len(all)-i)
				if n, _, err := s.Send(link.Tx{Frames: all[i : i+k], NoWait: i%2 == 0}); n != k || err != nil {
					t.Fatalf("from frame %d: %d of %d, %v", i, n, k, err)
				}
				i += k
			}
			for i, f := range udpio.RecvAll(t, r, len(all)/2) {
				if !bytes.Equal(f, all[2*i+1]) {
					t.Fatalf("frame %d is another: % x…", i, f[:3])
				}
			}
			for rx := (link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1), NoWait: true}); ; {
				n, err := s.Recv(rx)
				if n == 0 && errors.Is(err, link.ErrEmpty) {
					break
				}
				t.Fatalf("Recv: %d, %v", n, err)
			}
			told := ns.Counter(t, counter)
			if n := s.Caps().Counters().Unsent; told == 0 || n != told {
				t.Errorf("%d refused datagrams are counted, the kernel was told of %d", n, told)
			}
		})
	}
}

// TestRefusalsConnected counts each refusal once, on a socket that is connected.
func TestRefusalsConnected(t *testing.T) {
	ns := testpeers.NewNamespace(t)
	fds, _ := namespaceSockets(t, ns, "127.0.0.1", 1)
	at, to := namespaceSockets(t, ns, "127.0.0.1", 1)
	if err := udpio.Connect(fds[0], to[0]); err != nil {
		t.Fatal(err)
	}
	unix.Close(at[0])
	s, b := udpio.NewBridge(t, "", fds, to)
	b.Connected()
	for i := range 20 {
		if n, _, err := s.Send(link.Tx{Frames: [][]byte{udpio.Numbered(0, 0, 60, i)}}); n != 1 || err != nil {
			t.Fatal(fmt.Errorf("frame %d: %d, %w", i, n, err))
		}
	}
	if _, err := s.Recv(link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1), NoWait: true}); !errors.Is(err, link.ErrEmpty) {
		t.Errorf("Recv: %v", err)
	}
	told := ns.Counter(t, "IcmpInDestUnreachs")
	if n := s.Caps().Counters().Unsent; told == 0 || n != told {
		t.Errorf("%d refused datagrams are counted, the kernel was told of %d", n, told)
	}
}
