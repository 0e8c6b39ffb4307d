// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
)

// TestHeaderStride checks the layout that the kernel steps through: struct
// msghdr, an unsigned int, and the padding that C puts behind it.
func TestHeaderStride(t *testing.T) {
	var h mmsghdr
	word := unsafe.Sizeof(uintptr(0))
	if got, want := unsafe.Offsetof(h.len), unsafe.Sizeof(unix.Msghdr{}); got != want {
		t.Errorf("len is at %d, want %d", got, want)
	}
	if got, want := unsafe.Sizeof(h), unsafe.Sizeof(unix.Msghdr{})+word; got != want {
		t.Errorf("size is %d, want %d", got, want)
	}
}

// TestNothingIsRetained checks that no buffer stays reachable after a call.
func TestNothingIsRetained(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(fds[0], "a", false)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := New(fds[1], "b", false)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	msgs := [][]byte{{1}, {2}, {3}}
	if n, _, err := a.Send(link.Tx{Frames: msgs}); n != 3 {
		t.Fatal(err)
	}
	if n, err := b.Recv(link.Rx{Bufs: [][]byte{{0}, {0}, {0}}, Sizes: make([]int, 3)}); n != 3 {
		t.Fatal(err)
	}
	for _, v := range append(a.tx.iovs, b.rx.iovs...) {
		if v.Base != nil || v.Len != 0 {
			t.Fatal("a header still points at a buffer")
		}
	}
}
