// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package libtest

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/mdlayher/ndp"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// An ndpConn sends and receives messages of neighbour discovery. The library's own Conn
// cannot be given a connection: it opens an ICMPv6 socket of the kernel, which makes the
// IPv6 headers and checksums, and has no constructor. So this test makes the headers, and
// the library the messages.
type ndpConn struct {
	*vde.PayloadConn
	t *testing.T
}

const (
	ipv6HeaderLen = 40
	icmpv6        = 58
)

// send sends a message from station6.
func (c ndpConn) send(m ndp.Message, dst netip.Addr, mac frame.MAC) {
	c.t.Helper()
	b, err := ndp.MarshalMessageChecksum(m, station6, dst)
	if err != nil {
		c.t.Fatal(err)
	}
	p := make([]byte, ipv6HeaderLen, ipv6HeaderLen+len(b))
	p[0] = 6 << 4
	binary.BigEndian.PutUint16(p[4:], uint16(len(b)))
	p[6], p[7] = icmpv6, ndp.HopLimit
	src, to := station6.As16(), dst.As16()
	copy(p[8:], src[:])
	copy(p[24:], to[:])
	if _, err := c.WriteTo(append(p, b...), vde.Addr{MAC: mac}); err != nil {
		c.t.Fatal(err)
	}
}

// receive returns the next message that wanted accepts, and the datagrams before it are
// skipped.
func (c ndpConn) receive(wanted func(ndp.Message) bool) {
	c.t.Helper()
	for {
		p := c.packet()
		if p[6] != icmpv6 || p[7] != ndp.HopLimit {
			continue
		}
		// Messages that the library does not know are errors: reports of groups.
		if m, err := ndp.ParseMessage(p[ipv6HeaderLen:]); err == nil && wanted(m) {
			return
		}
	}
}

// packet returns the next IPv6 packet.
func (c ndpConn) packet() []byte {
	c.t.Helper()
	p := make([]byte, netstack.DefaultMTU)
	n, _, err := c.ReadFrom(p)
	if err != nil {
		c.t.Fatal(err)
	}
	if n < ipv6HeaderLen {
		c.t.Fatalf("a packet of %d bytes", n)
	}
	return p[:n]
}

// multicastMAC returns the Ethernet address of an IPv6 group (RFC 2464, section 7).
func multicastMAC(group netip.Addr) frame.MAC {
	a := group.As16()
	return frame.MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}
}

// linkAddress returns the Ethernet address in the options of a message.
func linkAddress(options []ndp.Option) string {
	for _, o := range options {
		if a, ok := o.(*ndp.LinkLayerAddress); ok {
			return a.Addr.String()
		}
	}
	return ""
}

// TestNDP solicits the Ethernet address of a Host, and answers when the Host solicits that
// of the library, so that a datagram arrives.
func TestNDP(t *testing.T) {
	c := conns(t, 2)
	h := host(t, c[0], first4, first6)
	payloads, err := vde.NewPayloadConn(c[1], frame.EtherTypeIPv6, stationMAC)
	if err != nil {
		t.Fatal(err)
	}
	deadline, _ := bound(t).Deadline()
	payloads.SetDeadline(deadline)
	station := ndpConn{payloads, t}

	group, err := ndp.SolicitedNodeMulticast(first6)
	if err != nil {
		t.Fatal(err)
	}
	station.send(&ndp.NeighborSolicitation{
		TargetAddress: first6,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: stationMAC.HardwareAddr()}},
	}, group, multicastMAC(group))
	station.receive(func(m ndp.Message) bool {
		na, ok := m.(*ndp.NeighborAdvertisement)
		if !ok || !na.Solicited {
			return false // the host announces its addresses too
		}
		if got := linkAddress(na.Options); na.TargetAddress != first6 || got != h.MAC().String() {
			t.Errorf("advertisement of %v at %s, want %v at %v", na.TargetAddress, got, first6, h.MAC())
		}
		return true
	})

	other := netip.MustParseAddr("fd00::10")
	out, err := h.Dial("udp", netip.AddrPortFrom(other, 9).String())
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if _, err := out.Write([]byte("resolved")); err != nil {
		t.Fatal(err)
	}
	station.receive(func(m ndp.Message) bool {
		ns, ok := m.(*ndp.NeighborSolicitation)
		return ok && ns.TargetAddress == other
	})
	station.send(&ndp.NeighborAdvertisement{
		Solicited: true, Override: true, TargetAddress: other,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: stationMAC.HardwareAddr()}},
	}, first6, h.MAC())
	for {
		if p := station.packet(); p[6] != icmpv6 { // UDP
			if !bytes.HasSuffix(p, []byte("resolved")) {
				t.Errorf("received %q", p)
			}
			return
		}
	}
}
