// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/netstack"
)

// echoUDP returns a socket of h on port 53 that sends each datagram back, until the
// test ends.
func echoUDP(t *testing.T, h *netstack.Host) net.PacketConn {
	t.Helper()
	pc, err := h.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				wantErr(t, err, "read", net.ErrClosed)
				return
			}
			if _, err := pc.WriteTo(buf[:n], from); err != nil {
				t.Error(err)
			}
		}
	}()
	t.Cleanup(func() {
		pc.Close()
		<-done
		pc.Close()
	})
	return pc
}

// TestUDPConnected exchanges datagrams of many sizes, fragmented ones too, on
// connected sockets.
func TestUDPConnected(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	pc := echoUDP(t, a)
	for _, to := range []netip.Addr{addr4(a), addr6(a)} {
		c, err := b.Dial("udp", netip.AddrPortFrom(to, 53).String())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 1400, 30000, 65000} {
			msg := bytes.Repeat([]byte{byte(n)}, n)
			if k, err := c.Write(msg); k != n || err != nil {
				t.Fatal(n, k, err)
			}
			buf := make([]byte, 65536)
			k, err := c.Read(buf)
			if err != nil || !bytes.Equal(buf[:k], msg) {
				t.Errorf("%d bytes came back as %d, %v", n, k, err)
			}
		}
		c.Write([]byte("truncated"))
		if n, err := c.Read(make([]byte, 5)); n != 5 || err != nil {
			t.Error(n, err)
		}
		_, err = c.(net.PacketConn).WriteTo([]byte{1}, pc.LocalAddr())
		wantErr(t, err, "write", net.ErrWriteToConnected)
		if _, err := c.Write(make([]byte, 70000)); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("70000 bytes: %v", err)
		}
		c.SetReadDeadline(time.Now())
		_, err = c.Read(make([]byte, 1))
		wantErr(t, err, "read", os.ErrDeadlineExceeded)
		c.Close()
	}
}

func TestUDPRefused(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	c, err := b.Dial("udp", netip.AddrPortFrom(addr4(a), 54).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte{1})
	_, err = c.Read(make([]byte, 1))
	wantErrno(t, err, "read", errRefused)
}

// TestUDPUnconnected broadcasts a datagram on a socket that is not connected, and
// uses it with addresses that are not possible.
func TestUDPUnconnected(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	echoUDP(t, a)
	pc, err := b.ListenPacket("udp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	if _, err := pc.WriteTo([]byte("all"), &net.UDPAddr{IP: net.IPv4bcast, Port: 53}); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 10)
	if n, from, err := pc.ReadFrom(buf); err != nil || string(buf[:n]) != "all" || from.(*net.UDPAddr).AddrPort().Addr().Unmap() != addr4(a) {
		t.Errorf("%q from %v, %v", buf[:n], from, err)
	}
	_, err = pc.WriteTo(nil, &net.TCPAddr{})
	wantErrno(t, err, "write", syscall.EINVAL)
	_, err = pc.(net.Conn).Write(nil)
	wantErrno(t, err, "write", syscall.EDESTADDRREQ)
}
