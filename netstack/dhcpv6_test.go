// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// The M and O flags of a router advertisement.
const managedFlag, otherFlag = 0x80, 0x40

// duid6 is the identifier of a host with macA: type 3, Ethernet, MAC.
var duid6 = append([]byte{0, 3, 0, 1}, macA[:]...)

// A dhcp6Server is a router with a DHCPv6 server.
type dhcp6Server struct {
	*ndpRouter
	requests chan *dhcpv6.Message // every message, after it was answered
	answer   func(s *dhcp6Server, m *dhcpv6.Message)
}

// startDHCP6 starts a server on c that advertises itself with advert, calls answer for
// each message, and claims the address lost.
func startDHCP6(t *testing.T, c *vde.Conn, advert []byte, lost netip.Addr, answer func(s *dhcp6Server, m *dhcpv6.Message)) *dhcp6Server {
	s := &dhcp6Server{requests: make(chan *dhcpv6.Message, 1000), answer: answer}
	s.ndpRouter = startRouter(t, c, func(r *ndpRouter, m ndpMessage) {
		switch {
		case m.typ == routerSolicit:
			r.send(advert)
		case m.typ == neighborSolicit && m.target == lost:
			r.claim(lost)
		}
	}, func(r *ndpRouter, f frame.Frame) {
		(&dhcp6Server{r, s.requests, s.answer}).handle(f) // s may have no router yet
	})
	return s
}

// handle answers f if it is a message to a DHCPv6 server.
func (s *dhcp6Server) handle(f frame.Frame) {
	if f.EtherType() != frame.EtherTypeIPv6 || len(f) < 14+40+8 {
		return
	}
	ip := header.IPv6(f[14:])
	u := header.UDP(f[54:])
	if ip.NextHeader() != 17 || u.DestinationPort() != 547 {
		return
	}
	src := netip.AddrFrom16(ip.SourceAddress().As16())
	if dst := netip.AddrFrom16(ip.DestinationAddress().As16()); dst.String() != "ff02::1:2" || src != eui64("fe80::/64", macA) || u.SourcePort() != 546 {
		s.t.Errorf("from %v port %d to %v", src, u.SourcePort(), dst)
	}
	if !u.IsChecksumValid(ip.SourceAddress(), ip.DestinationAddress(), checksum.Checksum(u.Payload(), 0)) {
		s.t.Errorf("bad checksum in %x", []byte(f))
	}
	m, err := dhcpv6.MessageFromBytes(u.Payload())
	if err != nil {
		s.t.Errorf("%v in %x", err, u.Payload())
		return
	}
	if id := m.Options.ClientID(); id == nil || !slices.Equal(id.ToBytes(), duid6) || m.GetOneOption(dhcpv6.OptionElapsedTime) == nil {
		s.t.Errorf("%v of client %v", m.MessageType, id)
	}
	if s.answer != nil {
		s.answer(s, m)
	}
	s.requests <- m
}

// reply sends a message to the host.
func (s *dhcp6Server) reply(m *dhcpv6.Message) {
	s.replyBytes(m.ToBytes())
}

func (s *dhcp6Server) replyBytes(b []byte) {
	f := frame.AppendHeader(nil, macA, macB, frame.EtherTypeIPv6)
	f = append(f, make([]byte, 48)...)
	f = append(f, b...)
	src, dst := routerLL, eui64("fe80::/64", macA)
	copy(f[14:], []byte{0x60, 0, 0, 0, byte((8 + len(b)) >> 8), byte(8 + len(b)), 17, 64})
	copy(f[22:], src.AsSlice())
	copy(f[38:], dst.AsSlice())
	u := header.UDP(f[54:])
	u.Encode(&header.UDPFields{SrcPort: 547, DstPort: 546, Length: uint16(8 + len(b))})
	ip := header.IPv6(f[14:])
	sum := header.PseudoHeaderChecksum(17, ip.SourceAddress(), ip.DestinationAddress(), uint16(8+len(b)))
	u.SetChecksum(^u.CalculateChecksum(checksum.Checksum(b, sum)))
	s.write(f)
}

// A term6 is an address with its times in seconds.
type term6 struct {
	addr                     string
	t1, t2, preferred, valid uint32
}

var hour6 = term6{"2001:db8:1::100", 1, 1800, 3600, 7200} // renewed after a second

// answer6 returns an answer to m of type typ with an address and a name server.
func answer6(m *dhcpv6.Message, typ dhcpv6.MessageType, a term6, mods ...dhcpv6.Modifier) *dhcpv6.Message {
	r := &dhcpv6.Message{MessageType: typ, TransactionID: m.TransactionID}
	r.AddOption(dhcpv6.OptClientID(m.Options.ClientID()))
	r.AddOption(dhcpv6.OptServerID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: macB.HardwareAddr()}))
	seconds := func(s uint32) time.Duration { return time.Duration(s) * time.Second }
	if ia := m.Options.OneIANA(); ia != nil && a.addr != "" {
		o := &dhcpv6.OptIANA{IaId: ia.IaId, T1: seconds(a.t1), T2: seconds(a.t2)}
		o.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(a.addr), PreferredLifetime: seconds(a.preferred), ValidLifetime: seconds(a.valid)})
		r.AddOption(o)
	}
	for _, mod := range mods {
		mod(r)
	}
	return r
}

// await returns the next message, which has to be of type typ, but repeated ones are
// skipped.
func (s *dhcp6Server) await(typ dhcpv6.MessageType) *dhcpv6.Message {
	s.t.Helper()
	for {
		select {
		case m := <-s.requests:
			if m.MessageType == typ {
				return m
			}
		case <-time.After(watchdog):
			s.t.Fatalf("no %v", typ)
		}
	}
}

func dns6(addr string) dhcpv6.Modifier { return dhcpv6.WithDNS(net.ParseIP(addr)) }

// autoHost returns a host with macA that uses DHCPv6.
func autoHost(t *testing.T, start func(c *vde.Conn) *dhcp6Server) (*netstack.Host, *dhcp6Server) {
	t.Helper()
	ca, cb := pair(t)
	s := start(cb)
	h, err := netstack.NewHost(ca, netstack.HostConfig{IPv6: netstack.IPv6Auto, IPv6Timeout: watchdog, MAC: macA, Hostname: "web"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h, s
}

// TestDHCPv6Lease gets an address, renews it, loses it at the next renewal, gets another
// one, and releases that.
func TestDHCPv6Lease(t *testing.T) {
	t.Parallel()
	second := hour6
	second.addr = "2001:db8:1::200"
	renewals := make(map[dhcpv6.TransactionID]bool)
	h, s := autoHost(t, func(c *vde.Conn) *dhcp6Server {
		return startDHCP6(t, c, advert(managedFlag, 1800, prefixInfo(testPrefix, onLink, forever, forever)), netip.Addr{}, func(s *dhcp6Server, m *dhcpv6.Message) {
			term := hour6
			if len(renewals) > 1 {
				term = second
			}
			switch m.MessageType {
			case dhcpv6.MessageTypeSolicit:
				s.reply(answer6(m, dhcpv6.MessageTypeAdvertise, term, dhcpv6.WithOption(dhcpv6.OptPreference(255))))
			case dhcpv6.MessageTypeRequest:
				s.reply(answer6(m, dhcpv6.MessageTypeReply, term, dns6("2001:db8:1::53")))
			case dhcpv6.MessageTypeRenew:
				if renewals[m.TransactionID] = true; len(renewals) == 2 {
					ia := &dhcpv6.OptIANA{IaId: m.Options.OneIANA().IaId}
					ia.Options.Add(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoBinding})
					s.reply(answer6(m, dhcpv6.MessageTypeReply, term6{}, dhcpv6.WithOption(ia)))
					return
				}
				s.reply(answer6(m, dhcpv6.MessageTypeReply, term, dns6("2001:db8:1::54")))
			}
		})
	})
	if got := h.Addrs(); len(got) != 2 || !slices.Contains(got, netip.MustParsePrefix(hour6.addr+"/128")) {
		t.Errorf("addresses %v", got)
	}
	if got := h.DNS(); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("2001:db8:1::53")}) {
		t.Errorf("name servers %v", got)
	}
	solicit := s.await(dhcpv6.MessageTypeSolicit)
	if solicit.GetOneOption(dhcpv6.OptionRapidCommit) == nil || solicit.Options.FQDN() == nil || solicit.Options.FQDN().DomainName.Labels[0] != "web" ||
		!solicit.IsOptionRequested(dhcpv6.OptionSolMaxRT) || !solicit.IsOptionRequested(dhcpv6.OptionDNSRecursiveNameServer) {
		t.Errorf("solicit %v", solicit)
	}
	if ia := solicit.Options.OneIANA(); ia == nil || ia.IaId != [4]byte(macA[2:]) {
		t.Errorf("identity %v", ia)
	}
	holds := func(m *dhcpv6.Message, addr string, server bool) {
		t.Helper()
		ia := m.Options.OneIANA()
		if ia == nil || ia.Options.OneAddress() == nil || !ia.Options.OneAddress().IPv6Addr.Equal(net.ParseIP(addr)) || (m.Options.ServerID() != nil) != server {
			t.Errorf("%v", m)
		}
	}
	holds(s.await(dhcpv6.MessageTypeRequest), hour6.addr, true)
	holds(s.await(dhcpv6.MessageTypeRenew), hour6.addr, true)
	eventually(t, "the name server of the renewal", func() bool { return slices.Equal(h.DNS(), []netip.Addr{netip.MustParseAddr("2001:db8:1::54")}) })
	s.await(dhcpv6.MessageTypeRenew)
	s.await(dhcpv6.MessageTypeSolicit)
	eventually(t, "the second address", func() bool { return hasAddr(h, netip.MustParseAddr(second.addr)) })
	if hasAddr(h, netip.MustParseAddr(hour6.addr)) {
		t.Error("still has the first address")
	}
	h.Close()
	holds(s.await(dhcpv6.MessageTypeRelease), second.addr, true)
}

// TestDHCPv6Rebind gets an address by rapid commit, and renews it from any server when
// its own does not answer.
func TestDHCPv6Rebind(t *testing.T) {
	t.Parallel()
	h, s := autoHost(t, func(c *vde.Conn) *dhcp6Server {
		return startDHCP6(t, c, advert(managedFlag, 1800), netip.Addr{}, func(s *dhcp6Server, m *dhcpv6.Message) {
			switch m.MessageType {
			case dhcpv6.MessageTypeSolicit:
				s.reply(answer6(m, dhcpv6.MessageTypeReply, term6{hour6.addr, 1, 2, 3600, 3600}, dhcpv6.WithRapidCommit))
			case dhcpv6.MessageTypeRebind:
				s.reply(answer6(m, dhcpv6.MessageTypeReply, term6{hour6.addr, 1000, 2000, 3600, 3600}, dns6("2001:db8:1::54")))
			}
		})
	})
	if m := s.await(dhcpv6.MessageTypeRebind); m.Options.ServerID() != nil {
		t.Errorf("%v", m)
	}
	eventually(t, "the name server of the other server", func() bool { return len(h.DNS()) == 1 })
	if !hasAddr(h, netip.MustParseAddr(hour6.addr)) {
		t.Errorf("addresses %v", h.Addrs())
	}
}

// TestDHCPv6Deprecated checks that an address is not the source of new connections when its
// preferred lifetime has passed.
func TestDHCPv6Deprecated(t *testing.T) {
	t.Parallel()
	h, _ := autoHost(t, func(c *vde.Conn) *dhcp6Server {
		return startDHCP6(t, c, advert(managedFlag, 1800, prefixInfo(testPrefix, onLink|autonomous, forever, forever)), netip.Addr{}, func(s *dhcp6Server, m *dhcpv6.Message) {
			if m.MessageType == dhcpv6.MessageTypeSolicit {
				s.reply(answer6(m, dhcpv6.MessageTypeReply, term6{hour6.addr, 1000, 2000, 2, 3600}, dhcpv6.WithRapidCommit))
			}
		})
	})
	source := func() netip.Addr {
		c, err := h.Dial("udp", "[2001:db8:1::101]:9") // shares 127 bits with the leased address
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr()
	}
	eventually(t, "the leased address is deprecated", func() bool {
		return hasAddr(h, netip.MustParseAddr(hour6.addr)) && source() == eui64(testPrefix, macA)
	})
}

// TestDHCPv6Stateless gets name servers by DHCPv6 and the address by SLAAC. When a router
// says that there are addresses, the host requests one too.
func TestDHCPv6Stateless(t *testing.T) {
	t.Parallel()
	h, s := autoHost(t, func(c *vde.Conn) *dhcp6Server {
		return startDHCP6(t, c, advert(otherFlag, 1800, prefixInfo(testPrefix, onLink|autonomous, forever, forever)), netip.Addr{}, func(s *dhcp6Server, m *dhcpv6.Message) {
			switch m.MessageType {
			case dhcpv6.MessageTypeInformationRequest:
				s.reply(answer6(m, dhcpv6.MessageTypeReply, term6{}, dns6("2001:db8:1::53"), dhcpv6.WithInformationRefreshTime(0)))
			case dhcpv6.MessageTypeSolicit:
				s.reply(answer6(m, dhcpv6.MessageTypeReply, hour6, dhcpv6.WithRapidCommit))
			}
		})
	})
	if got := h.DNS(); !slices.Equal(got, []netip.Addr{netip.MustParseAddr("2001:db8:1::53")}) || !hasAddr(h, eui64(testPrefix, macA)) {
		t.Errorf("name servers %v, addresses %v", got, h.Addrs())
	}
	first := s.await(dhcpv6.MessageTypeInformationRequest)
	if first.Options.OneIANA() != nil || first.Options.ServerID() != nil {
		t.Errorf("%v", first)
	}
	s.send(advert(managedFlag, 1800))
	eventually(t, "the address", func() bool { return hasAddr(h, netip.MustParseAddr(hour6.addr)) })
	for range len(s.requests) {
		if m := <-s.requests; m.MessageType == dhcpv6.MessageTypeInformationRequest && m.TransactionID != first.TransactionID {
			t.Error("requested information more than once in ten minutes")
		}
	}
}

// TestDHCPv6Missing checks how NewHost ends without an address from a server.
func TestDHCPv6Missing(t *testing.T) {
	t.Parallel()
	prefix := prefixInfo(testPrefix, onLink|autonomous, forever, forever)
	refuse := func(s *dhcp6Server, m *dhcpv6.Message) {
		s.reply(answer6(m, dhcpv6.MessageTypeAdvertise, term6{}, dhcpv6.WithOption(&dhcpv6.OptStatusCode{StatusCode: iana.StatusNoAddrsAvail, StatusMessage: "full"})))
	}
	commit := func(s *dhcp6Server, m *dhcpv6.Message) {
		if m.MessageType == dhcpv6.MessageTypeSolicit {
			s.reply(answer6(m, dhcpv6.MessageTypeReply, hour6, dhcpv6.WithRapidCommit))
		}
	}
	for _, tc := range []struct {
		name   string
		advert []byte
		lost   netip.Addr
		answer func(s *dhcp6Server, m *dhcpv6.Message)
		last   dhcpv6.MessageType // when the test cancels
		want   string             // empty: no error
	}{
		{"nobody", advert(managedFlag, 1800), netip.Addr{}, nil, dhcpv6.MessageTypeSolicit, "no DHCPv6 server answers"},
		{"no address left", advert(managedFlag, 1800), netip.Addr{}, refuse, dhcpv6.MessageTypeSolicit, `NoAddrsAvail "full"`},
		{"duplicate", advert(managedFlag, 1800), netip.MustParseAddr(hour6.addr), commit, dhcpv6.MessageTypeDecline, hour6.addr + ": another host has the address"},
		{"nobody, with SLAAC", advert(managedFlag, 1800, prefix), netip.Addr{}, nil, 0, ""},
		{"no information, with SLAAC", advert(otherFlag, 1800, prefix), netip.Addr{}, nil, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			ca, cb := pair(t)
			s := startDHCP6(t, cb, tc.advert, tc.lost, tc.answer)
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error)
			go func() {
				h, err := netstack.NewHostContext(ctx, ca, netstack.HostConfig{IPv6: netstack.IPv6Auto, IPv6Timeout: watchdog, MAC: macA})
				if err == nil {
					h.Close()
				}
				done <- err
			}()
			if tc.want != "" {
				s.await(tc.last)
				if tc.last == dhcpv6.MessageTypeSolicit {
					s.await(tc.last) // again, after the first was not answered
				}
				cancel()
			}
			err := <-done
			cancel()
			if tc.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, context.Canceled) || !errors.Is(err, netstack.ErrNoIPv6Address) || !strings.Contains(err.Error(), tc.want) ||
				errors.Is(err, netstack.ErrAddressConflict) != tc.lost.IsValid() {
				t.Errorf("%v, want %q", err, tc.want)
			}
		})
	}
}

// TestHostileDHCPv6 sends a host answers that it has to ignore, before a good one.
func TestHostileDHCPv6(t *testing.T) {
	t.Parallel()
	bad := term6{"2001:db8:bad::1", 1000, 2000, 3600, 3600}
	with := func(change func(a *term6)) term6 {
		a := bad
		change(&a)
		return a
	}
	h, _ := autoHost(t, func(c *vde.Conn) *dhcp6Server {
		return startDHCP6(t, c, advert(managedFlag, 1800), netip.Addr{}, func(s *dhcp6Server, m *dhcpv6.Message) {
			if m.MessageType != dhcpv6.MessageTypeSolicit {
				return
			}
			r := func(a term6, mods ...dhcpv6.Modifier) *dhcpv6.Message {
				return answer6(m, dhcpv6.MessageTypeReply, a, append(mods, dhcpv6.WithRapidCommit, dns6("2001:db8:bad::53"))...)
			}
			other := r(bad)
			other.TransactionID[0]++
			s.reply(other)
			s.reply(r(bad, dhcpv6.WithClientID(&dhcpv6.DUIDLL{HWType: 1, LinkLayerAddr: macB.HardwareAddr()})))
			anonymous := r(bad)
			anonymous.Options.Del(dhcpv6.OptionServerID)
			s.reply(anonymous)
			s.reply(r(bad, dhcpv6.WithServerID(&dhcpv6.DUIDOpaque{Type: 9, Data: make([]byte, 129)})))
			slow := r(bad) // not by rapid commit
			slow.Options.Del(dhcpv6.OptionRapidCommit)
			s.reply(slow)
			s.reply(answer6(m, dhcpv6.MessageTypeRenew, bad, dhcpv6.WithRapidCommit))
			for _, addr := range []string{"ff02::1", "fe80::9", "::1", "::", "::ffff:10.0.0.1"} {
				s.reply(r(with(func(a *term6) { a.addr = addr })))
			}
			s.reply(r(with(func(a *term6) { a.valid, a.preferred = 0, 0 })))
			s.reply(r(with(func(a *term6) { a.valid = 1000 })))
			s.reply(r(bad, func(d dhcpv6.DHCPv6) { d.(*dhcpv6.Message).Options.OneIANA().IaId[0]++ }))
			whole := r(bad).ToBytes()
			for n := range whole {
				if n < len(whole)-30 { // without all of the last options
					s.replyBytes(whole[:n])
				}
			}
			s.reply(answer6(m, dhcpv6.MessageTypeReply, hour6, dhcpv6.WithRapidCommit, func(d dhcpv6.DHCPv6) {
				// An option that the host does not use may be malformed.
				d.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionDomainSearchList, OptionData: []byte{99}})
			}))
		})
	})
	if got := h.Addrs(); len(got) != 2 || !hasAddr(h, netip.MustParseAddr(hour6.addr)) || len(h.DNS()) != 0 {
		t.Errorf("addresses %v, name servers %v", got, h.DNS())
	}
}
