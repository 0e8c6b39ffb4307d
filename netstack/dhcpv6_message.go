// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
)

const (
	dhcp6ClientPort = 546
	dhcp6ServerPort = 547
)

// allDHCP6Servers is All_DHCP_Relay_Agents_and_Servers (RFC 8415, section 7.1).
var allDHCP6Servers = netip.AddrFrom16([16]byte{0: 0xff, 1: 2, 13: 1, 15: 2})

var (
	errNoLeaseInMessage = errors.New("no address that a host can have")

	// errNotBound means that the server does not know the address of the host.
	errNotBound = errors.New("not bound")
)

// A lease6 is an address from a DHCPv6 server.
type lease6 struct {
	server    []byte // its DUID
	addr      netip.Addr
	got       time.Time
	term      leaseTerm
	preferred time.Duration
	dns       []netip.Addr
}

// parseDHCP6 parses a message of a server. Of the options it parses those that the
// client uses, so that others cannot spoil the message.
func parseDHCP6(b []byte) (*dhcpv6.Message, error) {
	if len(b) < dhcpv6.MessageHeaderSize {
		return nil, errors.New("short message")
	}
	m := &dhcpv6.Message{MessageType: dhcpv6.MessageType(b[0]), TransactionID: dhcpv6.TransactionID(b[1:4])}
	err := m.Options.FromBytesWithParser(b[dhcpv6.MessageHeaderSize:], func(code dhcpv6.OptionCode, data []byte) (dhcpv6.Option, error) {
		switch code {
		case dhcpv6.OptionIANA, dhcpv6.OptionPreference, dhcpv6.OptionStatusCode, dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionInformationRefreshTime:
			return dhcpv6.ParseOption(code, data)
		}
		return &dhcpv6.OptionGeneric{OptionCode: code, OptionData: bytes.Clone(data)}, nil
	})
	return m, err
}

// rawOption returns the data of an option that parseDHCP6 does not parse.
func rawOption(m *dhcpv6.Message, code dhcpv6.OptionCode) []byte {
	if o, ok := m.GetOneOption(code).(*dhcpv6.OptionGeneric); ok {
		return o.OptionData
	}
	return nil
}

// leaseOf returns the lease in m for the identity association id: the address want if m
// has it, and otherwise the first one that a host can have.
func leaseOf(m *dhcpv6.Message, id [4]byte, want netip.Addr) (*lease6, error) {
	if err := statusError(m.Options.Status()); err != nil {
		return nil, err
	}
	var best *lease6
	refused := errNoLeaseInMessage
	for _, ia := range m.Options.IANA() {
		if ia.IaId != id {
			continue
		}
		if err := statusError(ia.Options.Status()); err != nil {
			refused = err
			continue
		}
		for _, o := range ia.Options.Addresses() {
			a, ok := netip.AddrFromSlice(o.IPv6Addr)
			if !ok || !isLeasable6(a) || o.ValidLifetime == 0 || o.PreferredLifetime > o.ValidLifetime || statusError(o.Options.Status()) != nil {
				continue
			}
			if best == nil || a == want && best.addr != want {
				best = &lease6{addr: a, term: term6(ia.T1, ia.T2, o.PreferredLifetime, o.ValidLifetime), preferred: o.PreferredLifetime}
			}
		}
	}
	if best == nil {
		return nil, refused
	}
	best.server, best.got, best.dns = rawOption(m, dhcpv6.OptionServerID), time.Now(), dns6(m)
	return best, nil
}

// isLeasable6 reports whether a host may have the address a from a server.
func isLeasable6(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && a.IsGlobalUnicast()
}

// statusError returns nil for success, which a missing status means too.
func statusError(s *dhcpv6.OptStatusCode) error {
	switch {
	case s == nil || s.StatusCode == iana.StatusSuccess:
		return nil
	case s.StatusCode == iana.StatusNoBinding || s.StatusCode == iana.StatusNotOnLink:
		return fmt.Errorf("%w: %v", errNotBound, s.StatusCode)
	}
	return fmt.Errorf("server answers %v %.100q", s.StatusCode, s.StatusMessage)
}

// term6 returns the times of a lease. Where T1 or T2 are 0 or out of order, it uses the
// defaults of RFC 8415, section 21.4.
func term6(t1, t2, preferred, valid time.Duration) leaseTerm {
	t := leaseTerm{t1, t2, max(valid, minLease)}
	base := t.end // T1 and T2 follow the preferred lifetime
	if preferred > 0 {
		base = min(max(preferred, minLease), t.end)
	}
	if t.rebind == 0 && t.renew < base/10*8 {
		t.rebind = base / 10 * 8
	}
	if t.renew == 0 && t.rebind > base/2 {
		t.renew = base / 2
	}
	if t.renew < minLease/2 || t.rebind <= t.renew || t.end <= t.rebind {
		t.renew, t.rebind = base/2, base/10*8
	}
	return t
}

// dns6 returns the name servers in m.
func dns6(m *dhcpv6.Message) (dns []netip.Addr) {
	for _, ip := range m.Options.DNS() {
		a, ok := netip.AddrFromSlice(ip)
		if ok && a.Is6() && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && len(dns) < maxDNS {
			dns = append(dns, a)
		}
	}
	return dns
}

// maxRT returns the limit of retransmission times in m, SOL_MAX_RT or INF_MAX_RT, or old
// if there is none or it is not between a minute and a day (RFC 8415, section 21.24).
func maxRT(m *dhcpv6.Message, code dhcpv6.OptionCode, old time.Duration) time.Duration {
	if b := rawOption(m, code); len(b) == 4 {
		if s := binary.BigEndian.Uint32(b); s >= 60 && s <= 86400 {
			return time.Duration(s) * time.Second
		}
	}
	return old
}

// identity returns the option for the identity association id, with addr if it is valid.
func identity(id [4]byte, addr netip.Addr) dhcpv6.Option {
	ia := &dhcpv6.OptIANA{IaId: id}
	if addr.IsValid() {
		ia.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.IP(addr.AsSlice())})
	}
	return ia
}

// dhcp6Frame returns a frame with a message of the client at src to all servers.
func dhcp6Frame(mac frame.MAC, src netip.Addr, message []byte) []byte {
	from, to := address(src), address(allDHCP6Servers)
	f := frame.AppendHeader(nil, frame.MAC([]byte(header.EthernetAddressFromMulticastIPv6Address(to))), mac, frame.EtherTypeIPv6)
	f = append(f, make([]byte, header.IPv6MinimumSize+header.UDPMinimumSize)...)
	f = append(f, message...)
	length := uint16(header.UDPMinimumSize + len(message))
	header.IPv6(f[frame.HeaderLen:]).Encode(&header.IPv6Fields{
		PayloadLength: length, TransportProtocol: header.UDPProtocolNumber, HopLimit: 1, SrcAddr: from, DstAddr: to,
	})
	u := header.UDP(f[frame.HeaderLen+header.IPv6MinimumSize:])
	u.Encode(&header.UDPFields{SrcPort: dhcp6ClientPort, DstPort: dhcp6ServerPort, Length: length})
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, from, to, length)
	u.SetChecksum(^u.CalculateChecksum(checksum.Checksum(message, sum)))
	return f
}
