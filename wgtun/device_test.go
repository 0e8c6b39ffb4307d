// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/tun"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/wgtun"
)

// TestTCP sends data there and back between hosts behind two devices. Its segments are
// too long for the tunnel at first.
func TestTCP(t *testing.T) {
	t.Parallel()
	a, b := joined(t)
	for _, to := range []netip.Addr{addr4(2, 2), addr6(2, 2)} {
		transfer(t, a.host, b.host, to, 512<<10)
	}
	for _, d := range []*wgtun.Device{a.device, b.device} {
		if s := d.Stats(); s.Written == 0 || s.Read == 0 || s.Forwarded < s.Read {
			t.Errorf("%+v", s)
		}
	}
}

// TestDatagrams sends datagrams that routers have to fragment in IPv4 and that hosts have
// to fragment in IPv6 when they have been told the MTU of the path. They arrive as they
// were.
func TestDatagrams(t *testing.T) {
	t.Parallel()
	a, b := joined(t)
	for _, to := range []netip.Addr{addr4(2, 2), addr6(2, 2)} {
		for _, size := range []int64{1, 1400, 1460, 4000} {
			in, err := b.host.ListenPacket("udp", netip.AddrPortFrom(to, 7).String())
			if err != nil {
				t.Fatal(err)
			}
			out, err := a.host.Dial("udp", netip.AddrPortFrom(to, 7).String())
			if err != nil {
				t.Fatal(err)
			}
			want, _ := io.ReadAll(payload(size))
			if got := sendUntilReceived(t, out, in, want); string(got) != string(want) {
				t.Errorf("%v: a datagram of %d bytes arrived as %d others", to, size, len(got))
			}
			in.Close()
			out.Close()
		}
	}
}

// sendUntilReceived sends a datagram until one arrives, which it returns. The first can
// be lost, because the sender does not know the MTU of the path.
func sendUntilReceived(t *testing.T, out net.Conn, in net.PacketConn, datagram []byte) []byte {
	t.Helper()
	buf := make([]byte, 1<<16)
	for ctx := bound(t); ctx.Err() == nil; {
		if _, err := out.Write(datagram); err != nil {
			t.Fatal(err)
		}
		in.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		n, _, err := in.ReadFrom(buf)
		if err == nil {
			return buf[:n]
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
	}
	t.Fatal("no datagram arrived")
	return nil
}

// TestPing pings all addresses of the devices and hosts from both sides of the tunnel.
func TestPing(t *testing.T) {
	t.Parallel()
	a, b := joined(t)
	for _, h := range []*netstack.Host{a.host, b.host} {
		for _, number := range []byte{1, 2} {
			for _, to := range []netip.Addr{addr4(number, 1), addr6(number, 1), addr4(number, 2), addr6(number, 2)} {
				if _, err := h.Ping(bound(t), to); err != nil {
					t.Errorf("%v to %v: %v", h.Addrs()[0], to, err)
				}
			}
		}
	}
}

// TestFrameForGroup sends a packet in a frame for everybody. It is not forwarded.
func TestFrameForGroup(t *testing.T) {
	t.Parallel()
	d, from := lone(t, wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
	f := frame.AppendHeader(nil, frame.Broadcast(), strangerMAC, frame.EtherTypeIPv4)
	if _, err := from.conn.Write(append(f, packet{addr4(1, 9), addr4(2, 9), 64, udp, datagram(100), false}.bytes()...)); err != nil {
		t.Fatal(err)
	}
	from.flush()
	if s := d.Stats(); s.Broadcast != 1 || s.Read != 1 {
		t.Errorf("%+v", s)
	}
}

// TestProperties checks what wireguard-go asks a device for.
func TestProperties(t *testing.T) {
	t.Parallel()
	d := newDevice(t, newSwitch(t), wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
	mtu, err := d.MTU()
	name, nameErr := d.Name()
	if mtu != wgtun.DefaultMTU || err != nil || name != "wg0" || nameErr != nil || d.File() != nil || d.BatchSize() < 1 {
		t.Errorf("MTU %d, %v; name %q, %v; file %v; batch %d", mtu, err, name, nameErr, d.File(), d.BatchSize())
	}
	if e := <-d.Events(); e != tun.EventUp {
		t.Errorf("event %v", e)
	}
	d.Close()
	if e, ok := <-d.Events(); ok {
		t.Errorf("event %v after Close", e)
	}
}

// TestClose closes a device in whose Read a call waits.
func TestClose(t *testing.T) {
	t.Parallel()
	d := newDevice(t, newSwitch(t), wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
	done := make(chan error, 2)
	for range cap(done) {
		go func() {
			bufs, sizes := buffers(1)
			_, err := d.Read(bufs, sizes, 0)
			done <- err
		}()
	}
	if d.Err() != nil {
		t.Error(d.Err())
	}
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	for range cap(done) {
		if err := <-done; !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read returned %v", err)
		}
	}
	if n, err := d.Write([][]byte{make([]byte, 20)}, 0); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("Write returned %d, %v", n, err)
	}
	if !errors.Is(d.Err(), os.ErrClosed) {
		t.Error(d.Err())
	}
}

// TestHangup ends the switch of a device in whose Read a call waits.
func TestHangup(t *testing.T) {
	t.Parallel()
	sw := newSwitch(t)
	d := newDevice(t, sw, wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
	done := make(chan error, 1)
	go func() {
		bufs, sizes := buffers(1)
		_, err := d.Read(bufs, sizes, 0)
		done <- err
	}()
	sw.Close()
	if err := <-done; !errors.Is(err, vde.ErrHangup) {
		t.Errorf("Read returned %v", err)
	}
	if n, err := d.Write([][]byte{make([]byte, 20)}, 0); n != 0 || !errors.Is(err, vde.ErrHangup) {
		t.Errorf("Write returned %d, %v", n, err)
	}
	if err := d.Close(); err != nil || !errors.Is(d.Err(), vde.ErrHangup) {
		t.Errorf("Close returned %v, Err %v", err, d.Err())
	}
}
