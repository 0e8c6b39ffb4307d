// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
)

// TestGuest sends to each service of a guest, through QEMU's own network.
func TestGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("an emulated processor takes its time")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := freePort(t)
	testpeers.StartGuest(t, testpeers.GuestConfig{
		Addr: netip.MustParsePrefix("10.0.2.9/24"), Memory: 128,
		Netdev: fmt.Sprintf("user,net=10.0.2.0/24,hostfwd=tcp:127.0.0.1:%d-10.0.2.9:%d,hostfwd=tcp:127.0.0.1:%d-10.0.2.9:%d,hostfwd=tcp:127.0.0.1:%d-10.0.2.9:%d",
			port, testpeers.GuestSum, port+1, testpeers.GuestKeep, port+2, testpeers.GuestSend),
	})
	data := []byte("what the guest is told")
	if got, want := ask(t, port, data), fmt.Sprintf("%x  -\n", sha256.Sum256(data)); got != want {
		t.Errorf("sum %q, want %q", got, want)
	}
	if got := ask(t, port+1, data); got != "kept\n" {
		t.Errorf("keep: %q", got)
	}
	sent := make(chan string, 1)
	go func() {
		c, err := listener.Accept()
		if err != nil {
			sent <- err.Error()
			return
		}
		defer c.Close()
		b, err := io.ReadAll(c)
		sent <- fmt.Sprintf("%s %v", b, err)
	}()
	// 10.0.2.2 is the host.
	if got := ask(t, port+2, fmt.Appendf(nil, "10.0.2.2 %d\n", listener.Addr().(*net.TCPAddr).Port)); got != "sent\n" {
		t.Errorf("send: %q", got)
	}
	if got, want := <-sent, string(data)+" <nil>"; got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}

// freePort returns the first of three ports of which nobody listens on any.
func freePort(t *testing.T) int {
	t.Helper()
	for port := 20_000; port < 60_000; port += 3 {
		var open []net.Listener
		for i := range 3 {
			if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+i)); err == nil {
				open = append(open, l)
			}
		}
		for _, l := range open {
			l.Close()
		}
		if len(open) == 3 {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

// ask sends data to a service of the guest and returns its answer.
func ask(t *testing.T, port int, data []byte) string {
	t.Helper()
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
