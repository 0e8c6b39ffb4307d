// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	// dhcp6MaxRT is SOL_MAX_RT and INF_MAX_RT (RFC 8415, section 7.6).
	dhcp6MaxRT = time.Hour

	// dhcp6Pause is the time between attempts to get an address after a server refused,
	// or another host had the address.
	dhcp6Pause = 10 * time.Second

	// leastRefresh and defaultRefresh limit how often information is requested, and say
	// how often without an answer of the server to that (RFC 8415, section 7.6).
	leastRefresh   = 10 * time.Minute
	defaultRefresh = 24 * time.Hour
)

// A dhcp6Client gets an address and name servers from DHCPv6 servers (RFC 8415), as soon
// as a router advertisement says that there are some. It identifies the host by its MAC
// (DUID-LL). RFC 8415 delays the first message by up to a second, to keep the hosts of
// a network from asking at the same time after a power failure; a virtual network needs
// no such delay.
type dhcp6Client struct {
	h    *Host
	a    *autoconf
	duid []byte
	iaid [4]byte
	fqdn dhcpv6.Modifier // nil without a host name

	ctx    context.Context // ends with the host
	cancel context.CancelFunc

	// These end when a router advertisement has told to request an address, or
	// an address or information.
	managed, other       context.Context
	setManaged, setOther context.CancelFunc

	closing atomic.Bool // the host is being closed

	// These are used by one goroutine at a time.
	lease      *lease6
	deprecate  *time.Timer // of the address of lease
	maxSolicit time.Duration
	maxInform  time.Duration
}

func newDHCP6Client(a *autoconf, cfg *HostConfig) *dhcp6Client {
	mac := a.h.MAC()
	duid := dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: mac.HardwareAddr()}
	d := &dhcp6Client{h: a.h, a: a, duid: duid.ToBytes(), iaid: [4]byte(mac[2:]), maxSolicit: dhcp6MaxRT, maxInform: dhcp6MaxRT}
	if cfg.Hostname != "" {
		d.fqdn = dhcpv6.WithFQDN(0, cfg.Hostname)
	}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	d.managed, d.setManaged = context.WithCancel(context.Background())
	d.other, d.setOther = context.WithCancel(context.Background())
	return d
}

// flags starts the client, as the flags of a router advertisement say. It does not block.
// Once started, the client goes on: RFC 4861 does not define what the end of a flag means.
func (d *dhcp6Client) flags(c ipv6.DHCPv6ConfigurationFromNDPRA) {
	switch c {
	case ipv6.DHCPv6ManagedAddress:
		d.setManaged()
		d.setOther()
	case ipv6.DHCPv6OtherConfigurations:
		d.setOther()
	}
}

// run is the goroutine of the client.
func (d *dhcp6Client) run() {
	defer context.AfterFunc(d.h.ep.Context(), d.cancel)()
	select {
	case <-d.other.Done():
	case <-d.ctx.Done():
		return
	}
	if !d.a.until(d.ctx, func() bool { return d.a.linkLocalLocked().IsValid() }) {
		return
	}
	ctx, cancel := context.WithCancel(d.ctx)
	defer context.AfterFunc(d.managed, cancel)()
	for ctx.Err() == nil {
		pause(ctx, d.inform(ctx))
	}
	for d.ctx.Err() == nil {
		err := d.acquire()
		d.a.report(err)
		if err != nil {
			pause(d.ctx, dhcp6Pause)
			continue
		}
		d.keep()
		if d.ctx.Err() == nil {
			d.forget()
		}
	}
	if d.deprecate != nil {
		d.deprecate.Stop()
	}
	if d.closing.Load() && d.lease != nil {
		d.release()
	}
}

// stop ends the client. run releases the lease then.
func (d *dhcp6Client) stop() {
	d.closing.Store(true)
	d.cancel()
}

// message returns a new message of the client.
func (d *dhcp6Client) message(typ dhcpv6.MessageType, options ...dhcpv6.Option) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: typ}
	for i, b := 0, rand.Uint32(); i < len(m.TransactionID); i++ {
		m.TransactionID[i] = byte(b >> (8 * i))
	}
	m.AddOption(&dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionClientID, OptionData: d.duid})
	for _, o := range options {
		m.AddOption(o)
	}
	if typ != dhcpv6.MessageTypeDecline && typ != dhcpv6.MessageTypeRelease {
		m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionSolMaxRT,
			dhcpv6.OptionInfMaxRT, dhcpv6.OptionInformationRefreshTime))
		if d.fqdn != nil {
			d.fqdn(m)
		}
	}
	m.AddOption(dhcpv6.OptElapsedTime(0))
	return m
}

func serverID(duid []byte) dhcpv6.Option {
	return &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionServerID, OptionData: duid}
}

// A retransmission says how long to wait for an answer, and how often to ask (RFC 8415,
// section 15). A zero means no limit.
type retransmission struct {
	first   time.Duration  // IRT
	longest *time.Duration // MRT, which an answer may change; nil for no limit
	count   int            // MRC
	total   time.Duration  // MRD
}

// next returns the time to wait after one of rt, or at first if rt is 0. early says that
// it must not be shorter than that.
func (r retransmission) next(rt time.Duration, early bool) time.Duration {
	jitter := (rand.Float64() - 0.5) / 5 // RAND: -0.1 to 0.1
	if rt == 0 {
		if early {
			jitter = max(jitter, -jitter)
		}
		return r.first + time.Duration(jitter*float64(r.first))
	}
	next := 2*rt + time.Duration(jitter*float64(rt))
	if r.longest != nil && next > *r.longest {
		next = *r.longest + time.Duration(jitter*float64(*r.longest))
	}
	return next
}

// errNoAnswer is the error of exchange if nobody has answered.
var errNoAnswer = errors.New("no DHCPv6 server answers")

// exchange sends m until take accepts an answer, enough returns true at the end of a wait,
// or it fails.
func (d *dhcp6Client) exchange(ctx context.Context, m *dhcpv6.Message, r retransmission, take func(*dhcpv6.Message) bool, enough func() bool) error {
	d.a.mu.Lock()
	local := netip.AddrPortFrom(d.a.linkLocalLocked(), dhcp6ClientPort)
	d.a.mu.Unlock()
	c, err := d.h.ListenPacket("udp6", local.String())
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(allDHCP6Servers.WithZone(nicName), dhcp6ServerPort))
	start := time.Now()
	rt := time.Duration(0)
	for sent := 0; r.count == 0 || sent < r.count; sent++ {
		m.UpdateOption(dhcpv6.OptElapsedTime(min(time.Since(start), 655350*time.Millisecond)))
		_, _ = c.WriteTo(m.ToBytes(), to) // what is lost is sent again
		rt = r.next(rt, m.MessageType == dhcpv6.MessageTypeSolicit)
		wait := time.Now().Add(rt)
		if end := start.Add(r.total); r.total > 0 && end.Before(wait) {
			wait = end
		}
		done, err := d.answers(c, m, wait, take)
		switch {
		case ctx.Err() != nil:
			return contextError(ctx)
		case err != nil:
			return err
		case done || enough():
			return nil
		case r.total > 0 && time.Since(start) >= r.total:
			return errNoAnswer
		}
	}
	return errNoAnswer
}

// answers gives answers to m to take until it accepts one, or end.
func (d *dhcp6Client) answers(c net.PacketConn, m *dhcpv6.Message, end time.Time, take func(*dhcpv6.Message) bool) (bool, error) {
	if err := c.SetReadDeadline(end); err != nil {
		return false, err
	}
	buf := make([]byte, d.h.ep.MTU())
	for {
		n, _, err := c.ReadFrom(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		reply, err := parseDHCP6(buf[:n])
		server := 0
		if err == nil {
			server = len(rawOption(reply, dhcpv6.OptionServerID))
		}
		// RFC 8415, sections 11.1 and 16: an identifier has up to 130 bytes.
		if server == 0 || server > 130 || reply.TransactionID != m.TransactionID || !bytes.Equal(rawOption(reply, dhcpv6.OptionClientID), d.duid) {
			continue
		}
		d.maxSolicit = maxRT(reply, dhcpv6.OptionSolMaxRT, d.maxSolicit)
		d.maxInform = maxRT(reply, dhcpv6.OptionInfMaxRT, d.maxInform)
		if take(reply) {
			return true, nil
		}
	}
}

// unanswered is what NewHost waits for at most: it tells that nobody has answered the
// first message.
func (d *dhcp6Client) unanswered() bool {
	d.a.report(errNoAnswer)
	return false
}

// inform requests information, and returns the time after which to do that again.
func (d *dhcp6Client) inform(ctx context.Context) time.Duration {
	refresh := dhcp6Pause
	err := d.exchange(ctx, d.message(dhcpv6.MessageTypeInformationRequest), retransmission{first: time.Second, longest: &d.maxInform}, func(m *dhcpv6.Message) bool {
		if m.MessageType != dhcpv6.MessageTypeReply || statusError(m.Options.Status()) != nil {
			return false
		}
		d.h.setDNS(dnsLeased6, dns6(m))
		refresh = max(m.Options.InformationRefreshTime(defaultRefresh), leastRefresh)
		return true
	}, d.unanswered)
	if ctx.Err() == nil {
		d.a.report(err)
	}
	return refresh
}

// acquire gets a lease with an address that no other host has, and applies it.
func (d *dhcp6Client) acquire() error {
	l, err := d.solicit()
	if err != nil {
		return err
	}
	check := d.a.check(l.addr)
	if err := d.h.addAddrOnly(netip.PrefixFrom(l.addr, 128)); err != nil {
		d.a.uncheck(l.addr)
		return err
	}
	select {
	case err = <-check:
	case <-d.ctx.Done():
		return contextError(d.ctx)
	}
	if err != nil {
		d.a.report(err)
		d.decline(l)
		return err
	}
	d.apply(l)
	return nil
}

// solicit looks for servers, and requests an address from the best of them.
func (d *dhcp6Client) solicit() (*lease6, error) {
	var best, committed *lease6
	preference, waited := -1, false
	var refused error
	m := d.message(dhcpv6.MessageTypeSolicit, identity(d.iaid, netip.Addr{}), &dhcpv6.OptionGeneric{OptionCode: dhcpv6.OptionRapidCommit})
	err := d.exchange(d.ctx, m, retransmission{first: time.Second, longest: &d.maxSolicit}, func(m *dhcpv6.Message) bool {
		l, err := leaseOf(m, d.iaid, netip.Addr{})
		switch {
		case err != nil:
			refused = err
		case m.MessageType == dhcpv6.MessageTypeReply && m.GetOneOption(dhcpv6.OptionRapidCommit) != nil:
			committed = l
			return true
		case m.MessageType == dhcpv6.MessageTypeAdvertise:
			if p := int(m.Options.Preference()); p > preference {
				best, preference = l, p
			}
			return waited || preference == 255
		}
		return false
	}, func() bool {
		waited = true
		if best != nil {
			return true
		}
		if refused != nil {
			d.a.report(refused)
			return false
		}
		return d.unanswered()
	})
	if err != nil || committed != nil {
		return committed, err
	}
	return d.request(best)
}

// request requests the address that a server has advertised.
func (d *dhcp6Client) request(offer *lease6) (l *lease6, err error) {
	m := d.message(dhcpv6.MessageTypeRequest, serverID(offer.server), identity(d.iaid, offer.addr))
	failed := d.exchange(d.ctx, m, retransmission{first: time.Second, longest: new(30 * time.Second), count: 10}, func(m *dhcpv6.Message) bool {
		if m.MessageType == dhcpv6.MessageTypeReply {
			l, err = leaseOf(m, d.iaid, offer.addr)
			return true
		}
		return false
	}, func() bool { return false })
	if failed != nil {
		return nil, failed
	}
	return l, err
}

// keep renews the lease until the host has to give its address up.
func (d *dhcp6Client) keep() {
	for {
		l := d.lease
		if !pause(d.ctx, time.Until(l.got.Add(l.term.renew))) {
			return
		}
		next, err := d.renew(l, dhcpv6.MessageTypeRenew, l.got.Add(l.term.rebind))
		if err != nil && !errors.Is(err, errNotBound) {
			next, err = d.renew(l, dhcpv6.MessageTypeRebind, l.got.Add(l.term.end))
		}
		if err != nil {
			return
		}
		d.apply(next)
	}
}

// renew requests a renewal until end: from the server of l, or with Rebind from any. The
// error matches errNotBound if the host must not use the address any more.
func (d *dhcp6Client) renew(l *lease6, typ dhcpv6.MessageType, end time.Time) (next *lease6, err error) {
	left := time.Until(end)
	if left <= 0 {
		return nil, errNoAnswer
	}
	m := d.message(typ, identity(d.iaid, l.addr))
	if typ == dhcpv6.MessageTypeRenew {
		m.AddOption(serverID(l.server))
	}
	failed := d.exchange(d.ctx, m, retransmission{first: 10 * time.Second, longest: new(10 * time.Minute), total: left}, func(m *dhcpv6.Message) bool {
		if m.MessageType != dhcpv6.MessageTypeReply {
			return false
		}
		next, err = leaseOf(m, d.iaid, l.addr)
		switch {
		case err == nil && next.addr != l.addr, errors.Is(err, errNoLeaseInMessage):
			err = fmt.Errorf("%w: %v", errNotBound, l.addr)
		case err != nil && !errors.Is(err, errNotBound):
			return false // a failure that may pass
		}
		return true
	}, func() bool { return false })
	if failed != nil {
		return nil, failed
	}
	return next, err
}

// apply configures the host with the name servers and lifetimes of l, whose address it
// has. Name servers that a renewal does not mention stay.
func (d *dhcp6Client) apply(l *lease6) {
	renewed := d.lease != nil
	d.lease = l
	if !renewed || len(l.dns) > 0 {
		d.h.setDNS(dnsLeased6, l.dns)
	}
	if d.deprecate != nil {
		d.deprecate.Stop()
	}
	set := func(deprecated bool) {
		// It fails only if the stack has been closed.
		_ = d.h.stack.SetAddressLifetimes(nicID, address(l.addr), stack.AddressLifetimes{Deprecated: deprecated})
	}
	set(l.preferred == 0)
	if l.preferred > 0 {
		d.deprecate = time.AfterFunc(l.preferred, func() { set(true) })
	}
	d.a.setLeased(l.addr)
}

// forget removes from the host what a lost lease has given it.
func (d *dhcp6Client) forget() {
	if d.deprecate != nil {
		d.deprecate.Stop()
	}
	d.a.setLeased(netip.Addr{})
	d.h.setDNS(dnsLeased6, nil)
	d.h.stack.RemoveAddress(nicID, address(d.lease.addr)) // fails only if the stack has been closed
	d.lease = nil
}

// decline tells the server that another host has the address of l.
func (d *dhcp6Client) decline(l *lease6) {
	m := d.message(dhcpv6.MessageTypeDecline, serverID(l.server), identity(d.iaid, l.addr))
	_ = d.exchange(d.ctx, m, retransmission{first: time.Second, count: 5, total: dhcp6Pause}, func(m *dhcpv6.Message) bool {
		return m.MessageType == dhcpv6.MessageTypeReply
	}, func() bool { return false }) // the server finds out itself if it gets none of them
}

// release tells the server that the host does not use its address any more. It does not
// wait for the answer: the server forgets the lease later in any case.
func (d *dhcp6Client) release() {
	d.a.mu.Lock()
	src := d.a.linkLocalLocked()
	d.a.mu.Unlock()
	m := d.message(dhcpv6.MessageTypeRelease, serverID(d.lease.server), identity(d.iaid, d.lease.addr))
	_, _ = d.h.ep.Conn().TryWriteBatch([][]byte{dhcp6Frame(d.h.MAC(), src, m.ToBytes())})
}
