// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tap_test

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/tapio"
	"github.com/go-vde/sdk/internal/testpeers"
)

// openPlain opens a tap device without headers, as programs that know of none do.
func openPlain(t *testing.T, ns *testpeers.Namespace, name string) *os.File {
	t.Helper()
	fd := -1
	if err := ns.Do(func() (err error) {
		// The descriptor is of the namespace in which it is opened.
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err != nil {
			return err
		}
		_, err = tapio.FD(fd).SetInterface(name, unix.IFF_TAP|unix.IFF_NO_PI)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { f.Close() })
	if err := f.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return f
}
