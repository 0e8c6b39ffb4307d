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

// The announcements of a host with the MAC address 02:00:00:00:00:07 and the
// addresses 10.0.0.7 and fd00::7. The ARP frame is padded; the checksum of the
// advertisement is left out.
var (
	wantARP = []byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 0x08, 0x06,
		0, 1, 8, 0, 6, 4, 0, 1, // Ethernet, IPv4, request
		2, 0, 0, 0, 0, 7, 10, 0, 0, 7,
		0, 0, 0, 0, 0, 0, 10, 0, 0, 7,
	}
	wantAdvertisement = []byte{
		0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 0x86, 0xdd,
		0x60, 0, 0, 0, 0, 32, 58, 255,
		0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
		0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		136, 0, 0, 0, // type, code, checksum
		0x20, 0, 0, 0, // override
		0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
		2, 1, 2, 0, 0, 0, 0, 7, // target link-layer address
	}
)

// TestAnnouncement checks the frames that a host sends when its link is up again.
func TestAnnouncement(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	e := &inProcessSwitch{t: t, dir: dir}
	e.Restart()
	c := open(t, dir, vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}))
	h := host(t, c, netstack.HostConfig{MAC: frame.MAC{2, 0, 0, 0, 0, 7}, Addrs: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.7/24"), netip.MustParsePrefix("fd00::7/64"),
	}})
	e.Kill()
	e.sw = vswitch.New(vswitch.Config{})
	defer e.sw.Close()
	monitor := attach(t, e.sw) // before the host can join
	listener, err := e.sw.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	go listener.Serve(t.Context())

	monitor.SetReadDeadline(time.Now().Add(watchdog))
	buf := make([]byte, 2000)
	for arp, advertised := false, false; !arp || !advertised; {
		n, err := monitor.Read(buf)
		if err != nil {
			t.Fatalf("ARP %v, advertisement %v: %v", arp, advertised, err)
		}
		f := buf[:n]
		switch {
		case len(f) >= len(wantARP) && slices.Equal(f[:len(wantARP)], wantARP):
			arp = n == frame.MinLen
		case len(f) == len(wantAdvertisement) && f[54] == 136:
			if !checksumFits(f) {
				t.Errorf("checksum of %x", f)
			}
			f[56], f[57] = 0, 0
			advertised = advertised || slices.Equal(f, wantAdvertisement)
		}
	}
	if err := h.Err(); err != nil {
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
