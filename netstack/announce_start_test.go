// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// hub returns a switch that sends each frame to every port, until the test ends.
func hub(t *testing.T) *vswitch.Switch {
	sw := vswitch.New(vswitch.Config{Hub: true})
	t.Cleanup(func() { sw.Close() })
	return sw
}

// arpFrame returns an ARP packet from sender, with a MAC ending in mac, as a frame to all.
func arpFrame(op byte, mac frame.MAC, sender, target string) []byte {
	f := frame.AppendHeader(nil, frame.Broadcast(), mac, frame.EtherTypeARP)
	f = append(f, 0, 1, 8, 0, 6, 4, 0, op)
	spa, tpa := netip.MustParseAddr(sender).As4(), netip.MustParseAddr(target).As4()
	f = append(append(f, mac[:]...), spa[:]...)
	f = append(append(f, make([]byte, 6)...), tpa[:]...)
	return append(f, make([]byte, frame.MinLen-len(f))...)
}

// awaitFrame reads from c until want accepts a frame, which it returns.
func awaitFrame(t *testing.T, c *vde.Conn, what string, want func(f frame.Frame) bool) frame.Frame {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(watchdog))
	buf := make([]byte, 2000)
	for {
		n, err := c.Read(buf)
		if err != nil {
			t.Fatalf("no %s: %v", what, err)
		}
		if want(frame.Frame(buf[:n])) {
			return frame.Frame(buf[:n])
		}
	}
}

// isARP reports whether f is an ARP packet of an operation with the given addresses.
func isARP(f frame.Frame, op byte, sender, target string) bool {
	if f.EtherType() != frame.EtherTypeARP || f[21] != op {
		return false
	}
	spa, tpa := netip.MustParseAddr(sender).As4(), netip.MustParseAddr(target).As4()
	return [4]byte(f[28:32]) == spa && [4]byte(f[38:42]) == tpa
}

// TestAnnounceAtStart restarts a host with another MAC, and expects a host that knew
// the old one to reach it at once, without a timeout of neighbour discovery.
func TestAnnounceAtStart(t *testing.T) {
	t.Parallel()
	for _, family := range []struct{ name, client, server, url string }{
		{"IPv4", "10.0.0.2/24", "10.0.0.1/24", "10.0.0.1:80"},
		{"IPv6", "fd00::2/64", "fd00::1/64", "[fd00::1]:80"},
	} {
		t.Run(family.name, func(t *testing.T) {
			t.Parallel()
			sw := hub(t)
			client := host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix(family.client)}})
			monitor := attach(t, sw)
			serve := func() *netstack.Host {
				h := host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix(family.server)}})
				listen(t, h, "tcp", ":80")
				return h
			}
			server := serve()
			c, err := client.DialContext(bound(t), "tcp", family.url)
			if err != nil {
				t.Fatal(err)
			}
			c.Close()
			server.Close()
			server = serve()
			// Unannounced, the new host is sent nothing for twenty seconds or more.
			go func() {
				if c, err := client.DialContext(t.Context(), "tcp", family.url); err == nil {
					c.Close()
				}
			}()
			old := 0
			awaitFrame(t, monitor, "frame of the client to the new MAC", func(f frame.Frame) bool {
				tcp := f.EtherType() == frame.EtherTypeIPv4 && f[23] == 6 || f.EtherType() == frame.EtherTypeIPv6 && f[20] == 6
				if tcp && f.Src() == client.MAC() && f.Dst() != server.MAC() {
					old++
				}
				return tcp && f.Src() == client.MAC() && f.Dst() == server.MAC()
			})
			if old > 10 { // the connection to the first host takes a few frames
				t.Errorf("the client sent %d segments to the old MAC before", old)
			}
		})
	}
}

// TestAnnouncedTwice checks that a host announces its address again after a while, for
// those that have missed the first announcement (RFC 5227, section 2.3).
func TestAnnouncedTwice(t *testing.T) {
	t.Parallel()
	sw := hub(t)
	monitor := attach(t, sw)
	h := host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	for range 2 {
		awaitFrame(t, monitor, "announcement", func(f frame.Frame) bool {
			return isARP(f, 1, "10.0.0.1", "10.0.0.1") && f.Src() == h.MAC()
		})
	}
}

// TestGratuitousARP moves a neighbour to other Ethernet addresses, and expects the host
// to follow at once whatever ARP packet says so (RFC 826).
func TestGratuitousARP(t *testing.T) {
	t.Parallel()
	sw := hub(t)
	neighbour := attach(t, sw)
	h := host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	conn, err := h.Dial("udp", "10.0.0.9:9")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	mac := func(n byte) frame.MAC { return frame.MAC{2, 0, 0, 0, 0, n} }
	// A reply to the ping shows that the host has handled what was sent before it.
	sync := func(n byte) {
		neighbour.Write(arpFrame(1, mac(100+n), "10.0.0.100", "10.0.0.1"))
		awaitFrame(t, neighbour, "reply", func(f frame.Frame) bool { return isARP(f, 2, "10.0.0.1", "10.0.0.100") && f.Dst() == mac(100+n) })
	}
	sendsTo := func() (to frame.MAC) {
		conn.Write([]byte("x"))
		f := awaitFrame(t, neighbour, "datagram", func(f frame.Frame) bool {
			if isARP(f, 1, "10.0.0.1", "10.0.0.9") {
				neighbour.Write(arpFrame(2, mac(1), "10.0.0.9", "10.0.0.1"))
			}
			return f.EtherType() == frame.EtherTypeIPv4 && f[23] == 17
		})
		return f.Dst()
	}
	if to := sendsTo(); to != mac(1) {
		t.Fatalf("sent to %v", to)
	}
	for i, a := range []struct {
		what string
		op   byte
		to   string
	}{
		{"announcement", 1, "10.0.0.9"},
		{"gratuitous reply", 2, "10.0.0.9"},
		{"request for a third address", 1, "10.0.0.77"},
		{"request for the host's address", 1, "10.0.0.1"},
	} {
		n := byte(i + 2)
		neighbour.Write(arpFrame(a.op, mac(n), "10.0.0.9", a.to))
		sync(n)
		if to := sendsTo(); to != mac(n) {
			t.Errorf("%s from %v: the host sends to %v", a.what, mac(n), to)
		}
	}
	before := len(neighbours(t, h))
	neighbour.Write(arpFrame(1, mac(50), "10.0.0.50", "10.0.0.50"))
	sync(50)
	if after := len(neighbours(t, h)); after != before {
		t.Errorf("an announcement of a stranger made an entry: %d, then %d", before, after)
	}
}

// neighbours returns the addresses in the ARP cache of h.
func neighbours(t *testing.T, h *netstack.Host) (addrs []string) {
	t.Helper()
	entries, err := h.Stack().Neighbors(1, 0x0800)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		addrs = append(addrs, e.Addr.String())
	}
	return addrs
}

// TestDefend lets another host claim an address: the owner announces it once more, but
// does not answer a flood with a flood (RFC 5227, section 2.4).
func TestDefend(t *testing.T) {
	t.Parallel()
	sw := hub(t)
	other := attach(t, sw)
	h := host(t, attach(t, sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	announced := func(f frame.Frame) bool { return isARP(f, 1, "10.0.0.1", "10.0.0.1") && f.Src() == h.MAC() }
	for range 2 {
		awaitFrame(t, other, "announcement", announced)
	}
	const claims = 100
	mac := frame.MAC{2, 0, 0, 0, 0, 9}
	for range claims {
		other.Write(arpFrame(1, mac, "10.0.0.1", "10.0.0.1"))
	}
	other.Write(arpFrame(1, mac, "10.0.0.9", "10.0.0.1"))
	defended := 0
	awaitFrame(t, other, "reply", func(f frame.Frame) bool {
		if announced(f) {
			defended++
		}
		return isARP(f, 2, "10.0.0.1", "10.0.0.9")
	})
	if defended != 1 {
		t.Errorf("%d announcements for %d claims", defended, claims)
	}
	if got := h.Stats().AddressConflicts; got != claims {
		t.Errorf("%d conflicts counted, want %d", got, claims)
	}
}

// TestDetectConflicts starts hosts whose address another host has or probes. The
// connection of a host that could not start is still of use to another.
func TestDetectConflicts(t *testing.T) {
	t.Parallel()
	sw := hub(t)
	cfg := netstack.HostConfig{DetectConflicts: true, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}}
	first := host(t, attach(t, sw), cfg)
	if got := first.Addrs(); len(got) != 1 || got[0] != cfg.Addrs[0] {
		t.Errorf("got %v", got)
	}
	conn := attach(t, sw)
	h, err := netstack.NewHost(conn, cfg)
	if err == nil {
		h.Close()
	}
	if !errors.Is(err, netstack.ErrAddressConflict) {
		t.Errorf("a second host with the address: %v", err)
	}
	third := host(t, conn, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.3/24")}})
	if _, err := third.Ping(bound(t), cfg.Addrs[0].Addr()); err != nil {
		t.Errorf("on the connection of the second host: %v", err)
	}
	cfg.Addrs[0] = netip.MustParsePrefix("10.0.0.2/24")
	other := attach(t, sw)
	done := make(chan error)
	go func() {
		h, err := netstack.NewHost(attach(t, sw), cfg)
		if err == nil {
			h.Close()
		}
		done <- err
	}()
	awaitFrame(t, other, "probe", func(f frame.Frame) bool { return isARP(f, 1, "0.0.0.0", "10.0.0.2") })
	other.Write(arpFrame(1, frame.MAC{2, 0, 0, 0, 0, 9}, "0.0.0.0", "10.0.0.2"))
	if err := <-done; !errors.Is(err, netstack.ErrAddressConflict) {
		t.Errorf("two hosts that probe for one address: %v", err)
	}
}

// TestStableMAC checks that the MAC of a name is the same each time, unicast and
// locally administered.
func TestStableMAC(t *testing.T) {
	t.Parallel()
	a, b := netstack.StableMAC("web"), netstack.StableMAC("db")
	if a != netstack.StableMAC("web") || a == b {
		t.Errorf("%v, %v", a, b)
	}
	for _, m := range []frame.MAC{a, b, netstack.StableMAC("")} {
		if m[0]&3 != 2 {
			t.Errorf("%v is not a locally administered unicast address", m)
		}
	}
}
