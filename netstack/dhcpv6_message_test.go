// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
)

// reply6 is an answer to a SOLICIT message with rapid commit.
var reply6 = []byte{
	7, 0x12, 0x34, 0x56, // REPLY
	0, 1, 0, 10, 0, 3, 0, 1, 2, 0, 0, 0, 0, 1, // client
	0, 2, 0, 14, 0, 1, 0, 1, 0x30, 1, 2, 3, 2, 0, 0, 0, 0, 2, // server
	0, 14, 0, 0, // rapid commit
	0, 3, 0, 40, 0, 0, 0, 1, 0, 0, 0, 60, 0, 0, 0, 105, // IA_NA
	0, 5, 0, 24, 0xfd, 0x98, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, 0, 0, 0, 120, 0, 0, 0, 120,
	0, 13, 0, 9, 0, 0, 's', 'u', 'c', 'c', 'e', 's', 's',
	0, 23, 0, 16, 0xfd, 0x98, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x53,
}

func TestLeaseOf(t *testing.T) {
	m, err := parseDHCP6(reply6)
	if err != nil {
		t.Fatal(err)
	}
	l, err := leaseOf(m, [4]byte{3: 1}, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	want := lease6{
		server: reply6[22:36], addr: netip.MustParseAddr("fd98::50"), got: l.got, preferred: 2 * time.Minute,
		term: leaseTerm{time.Minute, 105 * time.Second, 2 * time.Minute}, dns: []netip.Addr{netip.MustParseAddr("fd98::53")},
	}
	if !reflect.DeepEqual(*l, want) {
		t.Errorf("got %+v, want %+v", *l, want)
	}
	if _, err := leaseOf(m, [4]byte{3: 2}, netip.Addr{}); err == nil {
		t.Error("accepted the lease of another identity")
	}
}

// TestTerm6 checks the times of leases, of which a server may send anything. No lease may
// be renewed more than once in a second.
func TestTerm6(t *testing.T) {
	const forever = uint32(1<<32 - 1)
	for _, tc := range []struct{ t1, t2, preferred, valid, renew, rebind, end uint32 }{
		{60, 105, 120, 120, 60, 105, 120},
		{0, 0, 100, 200, 50, 80, 200},
		{0, 90, 100, 200, 50, 90, 200},
		{60, 0, 100, 200, 60, 80, 200},
		{90, 0, 100, 200, 50, 80, 200},
		{80, 60, 100, 200, 50, 80, 200},
		{60, 60, 100, 200, 50, 80, 200},
		{60, 300, 100, 200, 50, 80, 200},
		{0, 0, 0, 200, 100, 160, 200},
		{0, 0, 1, 1, 1, 1, 2},
		{forever, forever, 100, 200, 50, 80, 200},
		{0, 0, forever, forever, forever / 2, 0, forever},
	} {
		sec := func(s uint32) time.Duration { return time.Duration(s) * time.Second }
		got := term6(sec(tc.t1), sec(tc.t2), sec(tc.preferred), sec(tc.valid))
		if whole := func(d time.Duration) uint32 { return uint32(d / time.Second) }; whole(got.renew) != tc.renew || tc.rebind != 0 && whole(got.rebind) != tc.rebind || whole(got.end) != tc.end {
			t.Errorf("%+v: got %v", tc, got)
		}
		checkTerm(t, got)
	}
}

func checkTerm(t *testing.T, l leaseTerm) {
	t.Helper()
	if l.renew < time.Second || l.rebind <= l.renew || l.end <= l.rebind {
		t.Errorf("out of order: %v", l)
	}
}

// TestRetransmission checks the times of RFC 8415, section 15.
func TestRetransmission(t *testing.T) {
	within := func(d, least, most time.Duration) {
		t.Helper()
		if d < least || d > most {
			t.Errorf("%v is not between %v and %v", d, least, most)
		}
	}
	r := retransmission{first: time.Second, longest: new(30 * time.Second)}
	for range 100 {
		within(r.next(0, true), time.Second, 1100*time.Millisecond)
		within(r.next(0, false), 900*time.Millisecond, 1100*time.Millisecond)
		within(r.next(10*time.Second, false), 19*time.Second, 21*time.Second)
		within(r.next(20*time.Second, false), 27*time.Second, 33*time.Second)
	}
	*r.longest = time.Minute // a server says so during the exchange
	within(r.next(40*time.Second, false), 54*time.Second, 66*time.Second)
	r.longest = nil
	within(r.next(time.Hour, false), 114*time.Minute, 126*time.Minute)
}

// FuzzDHCPv6 parses arbitrary messages of servers. A lease in them must be one that a host
// can have, and the same when it is sent in a message of its own.
func FuzzDHCPv6(f *testing.F) {
	f.Add(reply6, []byte{0, 0, 0, 1})
	f.Add([]byte{7, 1, 2, 3, 0, 13, 0, 2, 0, 2}, []byte{0, 0, 0, 1})
	f.Add([]byte{7, 1, 2, 3, 0, 3, 0, 12}, []byte{0, 0, 0, 1})
	f.Add([]byte{12, 0}, []byte{})
	f.Fuzz(func(t *testing.T, b, id []byte) {
		if len(id) != 4 {
			return
		}
		before := bytes.Clone(b)
		m, err := parseDHCP6(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the message was changed")
		}
		if err != nil {
			return
		}
		maxRT(m, dhcpv6.OptionSolMaxRT, time.Hour)
		l, err := leaseOf(m, [4]byte(id), netip.Addr{})
		if err != nil {
			return
		}
		checkTerm(t, l.term)
		if a := l.addr; !a.Is6() || a.Is4In6() || a.IsMulticast() || a.IsUnspecified() || a.IsLoopback() || a.IsLinkLocalUnicast() || l.preferred > l.term.end || len(l.dns) > maxDNS {
			t.Errorf("%+v", l)
		}
		same := &dhcpv6.Message{MessageType: m.MessageType}
		same.AddOption(serverID(l.server))
		ia := &dhcpv6.OptIANA{IaId: [4]byte(id), T1: l.term.renew, T2: l.term.rebind}
		ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.IP(l.addr.AsSlice()), PreferredLifetime: l.preferred, ValidLifetime: l.term.end})
		same.AddOption(ia)
		again, err := parseDHCP6(same.ToBytes())
		if err != nil {
			t.Fatal(err)
		}
		if r, err := leaseOf(again, [4]byte(id), l.addr); err != nil || r.addr != l.addr || !bytes.Equal(r.server, l.server) {
			t.Errorf("%+v became %+v, %v", l, r, err)
		}
	})
}
