// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tap_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vswitch"
)

// needUSO skips the test on a kernel without it.
func needUSO(t *testing.T, l link.Link) {
	t.Helper()
	if l.Caps().Offload&link.OffloadUSO == 0 {
		testpeers.Skip(t, "TUN_F_USO4", "run the test on Linux 6.2 or later")
	}
}

// dialUDP returns a socket inside ns that is connected to an address, with datagrams
// of size bytes made of each write.
func dialUDP(t *testing.T, ns *testpeers.Namespace, to netip.AddrPort, size int) *net.UDPConn {
	t.Helper()
	var c *net.UDPConn
	if err := ns.Do(func() (err error) {
		c, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT, size)
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return c
}

// TestUSO has the kernel hand over datagrams together, and a receiver that has not
// asked for that get them one by one.
func TestUSO(t *testing.T) {
	h := newHost(t, "10.77.0.1")
	needUSO(t, h.link)
	ip(t, h.Namespace, "ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev lan0 nud permanent")
	c := dialUDP(t, h.Namespace, netip.MustParseAddrPort("10.77.0.2:9"), 1000)
	data := bytes.Repeat([]byte("0123456789"), 1050)
	rx := link.Rx{Bufs: [][]byte{make([]byte, 1<<16)}, Sizes: make([]int, 1), Headers: make([]frame.VNetHeader, 1), USO: true}
	if _, err := c.Write(data); err != nil {
		t.Fatal(err)
	}
	want := frame.VNetHeader{Flags: needs, GSOType: frame.GSOUDP, HdrLen: 42, GSOSize: 1000, CsumStart: 34, CsumOffset: 6}
	if _, err := h.link.Recv(rx); err != nil || rx.Headers[0] != want || !bytes.Equal(rx.Bufs[0][42:rx.Sizes[0]], data) {
		t.Errorf("%d bytes with %+v, %v", rx.Sizes[0], rx.Headers[0], err)
	}
	for _, headers := range [][]frame.VNetHeader{nil, make([]frame.VNetHeader, 3)} {
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
		expectDatagrams(t, h.link, data, headers)
	}
}

// expectDatagrams receives data in datagrams of 1000 bytes.
func expectDatagrams(t *testing.T, l link.Link, data []byte, headers []frame.VNetHeader) {
	t.Helper()
	for len(data) > 0 {
		bufs, sizes := [][]byte{make([]byte, 1<<16), make([]byte, 1<<16), make([]byte, 1<<16)}, make([]int, 3)
		n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers})
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range bufs[:n] {
			f = f[:sizes[i]]
			size := min(1000, len(data))
			if len(f) != 42+size || !bytes.Equal(f[42:], data[:size]) || headers != nil && headers[i].Partial() {
				t.Fatalf("%d bytes with %d to come", len(f), len(data))
			}
			if udpSum(f) != 0xffff {
				t.Fatalf("checksum of % x", f[:42])
			}
			data = data[size:]
		}
	}
}

// udpSum returns the sum of a datagram over IPv4 with its pseudo-header.
func udpSum(f []byte) uint16 {
	sum := uint32(17 + len(f) - 34)
	add := func(b []byte) {
		if len(b)%2 != 0 {
			b = append(b[:len(b):len(b)], 0)
		}
		for i := 0; i < len(b); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(b[i:]))
		}
	}
	add(f[26:34])
	add(f[34:])
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// TestUSOThroughSwitch has a kernel send datagrams together through a switch, to one
// kernel that takes them so, and to a port that does not.
func TestUSOThroughSwitch(t *testing.T) {
	sw := newSwitch(t)
	a, b := newHost(t, "10.77.0.1"), newHost(t, "10.77.0.2")
	needUSO(t, a.link)
	from := attach(t, sw, a.link)
	attach(t, sw, b.link)
	var ln *net.UDPConn
	if err := b.Do(func() (err error) {
		ln, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(b.addr, 0)))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if err := ln.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	to := ln.LocalAddr().(*net.UDPAddr).AddrPort()
	c := dialUDP(t, a.Namespace, to, 1000)
	const writes, each = 10, 20
	buf := make([]byte, 2000)
	receive := func(i int) {
		for k := range each {
			n, err := ln.Read(buf)
			if want := fmt.Sprint(i, " ", k); err != nil || n != 1000 || string(bytes.TrimRight(buf[:n], "\x00")) != want {
				t.Fatalf("datagram %s: %d bytes %q, %v", want, n, bytes.TrimRight(buf[:n], "\x00"), err)
			}
		}
	}
	send := func(i int) {
		var data []byte
		for k := range each {
			data = append(data, make([]byte, 1000)...)
			copy(data[1000*k:], fmt.Sprint(i, " ", k))
		}
		if _, err := c.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	for i := range writes {
		send(i)
		receive(i)
	}
	in := portStats(t, sw, from).In
	if in.Segments != 0 || in.Frames > writes+5 || in.Bytes < writes*each*1000 {
		t.Errorf("%+v", in)
	}
	// A monitor session takes them one by one, so all get them so.
	mon, err := sw.Monitor(from)
	if err != nil {
		t.Fatal(err)
	}
	defer mon.Close()
	send(77)
	receive(77)
	if in := portStats(t, sw, from).In; in.Segments != each || in.GSOFrames != 1 || in.Dropped != (vswitch.InDropped{}) {
		t.Errorf("%+v", in)
	}
}

func portStats(t *testing.T, sw *vswitch.Switch, num int) vswitch.PortStats {
	t.Helper()
	for _, p := range sw.Stats().Ports {
		if p.Port == num {
			return p
		}
	}
	t.Fatalf("no port %d", num)
	return vswitch.PortStats{}
}
