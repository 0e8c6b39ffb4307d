// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestAnnouncement checks, byte by byte, what a host says when its link is up
// again.
func TestAnnouncement(t *testing.T) {
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	e := &embedded{t: t, dir: dir}
	e.Restart()
	c, err := vde.Open(t.Context(), dir, vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	mac := frame.MAC{2, 0, 0, 0, 0, 7}
	host, err := netstack.NewHost(c, netstack.HostConfig{MAC: mac, Addrs: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.7/24"), netip.MustParsePrefix("fd00::7/64"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	e.Kill()
	e.sw = vswitch.New(vswitch.Config{})
	defer e.sw.Close()
	witness, err := e.sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	listener, err := e.sw.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	go listener.Serve(t.Context())

	wantARP := []byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 0x08, 0x06,
		0, 1, 8, 0, 6, 4, 0, 1, // Ethernet, IPv4, request
		2, 0, 0, 0, 0, 7, 10, 0, 0, 7,
		0, 0, 0, 0, 0, 0, 10, 0, 0, 7,
	}
	wantNA := []byte{
		0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 0x86, 0xdd,
		0x60, 0, 0, 0, 0, 32, 58, 255,
		0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
		0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		136, 0, 0, 0, // type, code, checksum
		0x20, 0, 0, 0, // override
		0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
		2, 1, 2, 0, 0, 0, 0, 7, // target link-layer address
	}
	witness.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 2000)
	for arp, na := false, false; !arp || !na; {
		n, err := witness.Read(buf)
		if err != nil {
			t.Fatalf("ARP %v, advertisement %v: %v", arp, na, err)
		}
		f := buf[:n]
		switch {
		case len(f) >= len(wantARP) && slices.Equal(f[:len(wantARP)], wantARP):
			arp = n == frame.MinLen
		case len(f) == len(wantNA) && f[54] == 136:
			if !checksumFits(f) {
				t.Errorf("checksum of %x", f)
			}
			f[56], f[57] = 0, 0
			if slices.Equal(f, wantNA) {
				na = true
			}
		}
	}
	if err := host.Err(); err != nil {
		t.Error(err)
	}
}

// checksumFits verifies the ICMPv6 checksum of a frame without options.
func checksumFits(f []byte) bool {
	ip := header.IPv6(f[frame.HeaderLen:])
	icmp := header.ICMPv6(ip.Payload())
	sum := icmp.Checksum()
	icmp.SetChecksum(0)
	want := header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: ip.SourceAddress(), Dst: ip.DestinationAddress()})
	icmp.SetChecksum(sum)
	return sum == want
}
