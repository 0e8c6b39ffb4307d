// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// NewRawTap makes a tap device with an IPv4 or IPv6 address, such as "10.5.0.1/24", in
// a network namespace, and returns its file: a read or write is one frame, of a
// checksum that is complete. It needs root.
func NewRawTap(t testing.TB, n *Namespace, name, addr string, mtu string) *os.File {
	t.Helper()
	Need(t, "/dev/net/tun")
	var f *os.File
	err := n.Do(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err != nil {
			return err
		}
		ifr, err := unix.NewIfreq(name)
		if err == nil {
			ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
		}
		if err != nil {
			unix.Close(fd)
			return err
		}
		f = os.NewFile(uintptr(fd), name)
		return nil
	})
	if err != nil {
		t.Fatalf("tap %s: %v", name, err)
	}
	t.Cleanup(func() { f.Close() })
	for _, args := range [][]string{
		{"link", "set", "dev", name, "mtu", mtu, "up"},
		{"addr", "add", addr, "dev", name},
	} {
		if _, err := n.Exec(context.Background(), append([]string{"ip"}, args...)...); err != nil {
			t.Fatal(err)
		}
	}
	return f
}
