// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package transport_test

import (
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/internal/transport"
)

// lingering returns a socket whose close takes an hour, unless end is called.
func lingering(t *testing.T) (fd int, end func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().(*net.TCPAddr)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: address.Port, Addr: [4]byte(address.IP.To4())}); err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 1<<16); err == nil; { // which nobody reads
		err = unix.Send(fd, b, unix.MSG_DONTWAIT)
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3600}); err != nil {
		t.Fatal(err)
	}
	return fd, func() { peer.Close() }
}

// TestSlowClose closes descriptors of files that take their time: the caller does
// not wait for them, their number is bounded, and all are closed in the end.
func TestSlowClose(t *testing.T) {
	before := openfiles.Open()
	closed := make(chan struct{})
	var ends []func()
	fds := []int{-1}
	for range 2 {
		fd, end := lingering(t)
		fds, ends = append(fds, fd), append(ends, end)
	}
	go func() {
		defer close(closed)
		transport.CloseDescriptors(fds[:2])
		transport.CloseDescriptors(fds[2:])
	}()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("the caller waits")
	}
	if transport.ClosersBusy() {
		t.Error("two are too many")
	}
	for _, end := range ends {
		end()
	}
	<-closed
	for end := time.Now().Add(time.Minute); openfiles.Open().Since(before) != nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("descriptors left: %v", openfiles.Open().Since(before))
		}
	}
}
