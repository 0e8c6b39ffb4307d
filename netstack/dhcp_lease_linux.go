// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

const (
	// defaultLease is the lease time if the server sends none.
	defaultLease = time.Hour

	// minDHCPMTU is the least MTU that is accepted from a server: a host must be able
	// to receive datagrams of this size (RFC 791).
	minDHCPMTU = 576

	// maxRoutes bounds what a lease may add to a host.
	maxRoutes = 64
)

// termOf returns the times in ack. If they are missing or out of order, it uses the
// defaults of RFC 2131, section 4.4.5.
func termOf(ack *dhcpv4.DHCPv4) leaseTerm {
	t := leaseTerm{end: max(ack.IPAddressLeaseTime(defaultLease), minLease)}
	t.renew, t.rebind = ack.IPAddressRenewalTime(t.end/2), ack.IPAddressRebindingTime(t.end/8*7)
	if t.renew < minLease/2 || t.rebind <= t.renew || t.end <= t.rebind {
		t.renew, t.rebind = t.end/2, t.end/8*7
	}
	return t
}

// leasedAddr returns the address in ack. ok is false if no host can have it.
func leasedAddr(ack *dhcpv4.DHCPv4) (a netip.Addr, ok bool) {
	a, ok = netip.AddrFromSlice(ack.YourIPAddr.To4())
	return a, ok && isHostAddr(a)
}

func isHostAddr(a netip.Addr) bool {
	return !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != broadcast4
}

// apply configures the host with the address, routes, MTU and name servers of lease.
// What a renewal does not mention stays.
func (d *dhcpClient) apply(lease *nclient4.Lease) error {
	ack := lease.ACK
	addr, ok := leasedAddr(ack)
	if !ok {
		return fmt.Errorf("%w: the server offers the address %v", ErrNoLease, ack.YourIPAddr)
	}
	renewed := d.prefix.IsValid() && d.prefix.Addr() == addr
	ones, _ := ack.SubnetMask().Size() // 0 without a mask
	switch {
	case ones > 0:
	case renewed:
		ones = d.prefix.Bits()
	default:
		ones = addressClass(addr)
	}
	if prefix := netip.PrefixFrom(addr, ones); prefix != d.prefix {
		if renewed { // with another mask
			d.h.removeAddr(d.prefix)
			d.prefix = netip.Prefix{}
		} else {
			d.forget()
		}
		if err := d.h.addAddr(prefix); err != nil {
			return err
		}
		d.prefix = prefix
	}
	d.ack = ack
	if routes := routesOf(ack, d.prefix); !renewed || len(routes) > 0 {
		d.setRoutes(routes)
	}
	d.setMTU(ack, renewed)
	if dns := ack.DNS(); !renewed || len(dns) > 0 {
		d.setDNS(dns)
	}
	return nil
}

// addressClass returns the prefix length of the address class of a, for a server
// that sends no mask.
func addressClass(a netip.Addr) int {
	switch b := a.As4()[0]; {
	case b < 128:
		return 8
	case b < 192:
		return 16
	}
	return 24
}

// routesOf returns the routes in ack for a host with the address of prefix: the
// classless routes, or without them a default route (RFC 3442). A gateway outside
// prefix, as some clouds have it, gets a route to itself.
func routesOf(ack *dhcpv4.DHCPv4, prefix netip.Prefix) (routes []tcpip.Route) {
	add := func(dst tcpip.Subnet, via net.IP) bool {
		gw, ok := netip.AddrFromSlice(via.To4())
		if !ok {
			return false
		}
		more := []tcpip.Route{{Destination: dst, NIC: nicID}}
		if !gw.IsUnspecified() {
			if !isHostAddr(gw) || gw == prefix.Addr() {
				return false
			}
			more[0].Gateway = address(gw)
			direct := tcpip.Route{Destination: subnet(netip.PrefixFrom(gw, 32)), NIC: nicID}
			if !prefix.Contains(gw) && !slices.ContainsFunc(routes, direct.Equal) {
				more = append(more, direct)
			}
		}
		if len(routes)+len(more) > maxRoutes {
			return false
		}
		routes = append(routes, more...)
		return true
	}
	classless := ack.ClasslessStaticRoute()
	for _, r := range classless {
		a, ok := netip.AddrFromSlice(r.Dest.IP.To4())
		if ones, bits := r.Dest.Mask.Size(); ok && bits == 32 {
			add(subnet(netip.PrefixFrom(a, ones)), r.Router)
		}
	}
	if len(classless) > 0 {
		return routes
	}
	for _, ip := range ack.Router() {
		if !ip.IsUnspecified() && add(header.IPv4EmptySubnet, ip) {
			break
		}
	}
	return routes
}

// setRoutes replaces the routes of the lease.
func (d *dhcpClient) setRoutes(routes []tcpip.Route) {
	d.h.setRoutes(d.routes, routes)
	d.routes = routes
}

// setMTU applies the MTU in ack if it is not longer than the one of the configuration.
func (d *dhcpClient) setMTU(ack *dhcpv4.DHCPv4, renewed bool) {
	least := uint32(minDHCPMTU)
	if d.h.hasV6 {
		least = header.IPv6MinimumMTU
	}
	mtu, err := dhcpv4.GetUint16(dhcpv4.OptionInterfaceMTU, ack.Options)
	switch {
	case err == nil && uint32(mtu) >= least && uint32(mtu) <= d.mtu:
		d.h.limitMTU(mtuLeased, uint32(mtu))
	case !renewed:
		d.h.limitMTU(mtuLeased, d.mtu)
	}
}

// setDNS makes ips the name servers of the lease.
func (d *dhcpClient) setDNS(ips []net.IP) {
	var dns []netip.Addr
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip.To4()); ok && len(dns) < maxDNS {
			dns = append(dns, a)
		}
	}
	d.h.setDNS(dnsLeased, dns)
}

// forget removes from the host what a lost lease has given it.
func (d *dhcpClient) forget() {
	d.ack = nil
	d.setRoutes(nil)
	d.setDNS(nil)
	d.h.limitMTU(mtuLeased, d.mtu)
	if d.prefix.IsValid() {
		d.h.removeAddr(d.prefix)
		d.prefix = netip.Prefix{}
	}
}
