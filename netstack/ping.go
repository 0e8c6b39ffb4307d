// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/icmp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// pingData is how many bytes of data Ping sends, as ping(8) does.
const pingData = 56

// Ping sends one ICMP echo request to addr and waits for the reply, or until ctx
// ends.
func (h *Host) Ping(ctx context.Context, addr netip.Addr) (rtt time.Duration, err error) {
	return h.PingData(ctx, addr, make([]byte, pingData))
}

// PingData is Ping with the given data. It ignores replies with other data. The
// request is a packet of len(data) + 28 bytes, or len(data) + 48 bytes with IPv6.
func (h *Host) PingData(ctx context.Context, addr netip.Addr, data []byte) (rtt time.Duration, err error) {
	addr = addr.Unmap()
	rtt, err = h.ping(ctx, addr, data)
	if err != nil {
		return 0, &net.OpError{Op: "ping", Net: "ip", Addr: &net.IPAddr{IP: addr.AsSlice(), Zone: addr.Zone()}, Err: err}
	}
	return rtt, nil
}

func (h *Host) ping(ctx context.Context, addr netip.Addr, data []byte) (time.Duration, error) {
	switch {
	case !addr.IsValid() || addr.IsUnspecified():
		return 0, errno("connect", &tcpip.ErrBadAddress{})
	case h.reachable(addr) != nil:
		return 0, h.reachable(addr)
	case ctx.Err() != nil:
		return 0, contextError(ctx)
	}
	number := icmp.ProtocolNumber4
	if addr.Is6() {
		number = icmp.ProtocolNumber6
	}
	ep, wq, err := h.newEndpoint(number, protocolOf(addr))
	if err != nil {
		return 0, err
	}
	defer ep.Close()
	entry, ch := waiter.NewChannelEntry(waiter.ReadableEvents | waiter.EventErr)
	wq.EventRegister(&entry)
	defer wq.EventUnregister(&entry)

	ep.SocketOptions().SetBroadcast(true)
	h.opening.RLock()
	if err := h.Err(); err != nil {
		h.opening.RUnlock()
		return 0, err
	}
	terr := ep.Connect(fullAddress(netip.AddrPortFrom(addr, 0)))
	h.opening.RUnlock()
	if terr != nil {
		return 0, errno("connect", terr)
	}
	// The socket reports no error if no host has the address.
	if err := h.resolveLink(ctx, addr); err != nil {
		return 0, err
	}
	start := time.Now()
	if _, terr = ep.Write(bytes.NewReader(echoRequest(addr, data)), tcpip.WriteOptions{}); terr != nil {
		return 0, errno("sendto", terr)
	}
	if err := h.awaitEchoReply(ctx, ep, ch, addr, data); err != nil {
		return 0, err
	}
	return time.Since(start), nil
}

// awaitEchoReply waits for the reply from addr with data. ep notifies ch when there
// is something to read.
func (h *Host) awaitEchoReply(ctx context.Context, ep tcpip.Endpoint, ch <-chan struct{}, addr netip.Addr, data []byte) error {
	for {
		var reply bytes.Buffer
		_, terr := ep.Read(&reply, tcpip.ReadOptions{})
		switch {
		case terr == nil:
			if isEchoReply(addr, reply.Bytes(), data) {
				return nil
			}
			continue
		case !wouldBlock(terr):
			return errno("recvfrom", terr)
		}
		select {
		case <-ch:
		case <-ctx.Done():
			return contextError(ctx)
		case <-h.done:
			return h.Err()
		}
	}
}

// resolveLink waits until the link address of the next hop to addr is known. It
// returns EHOSTUNREACH if no host answers for it.
func (h *Host) resolveLink(ctx context.Context, addr netip.Addr) error {
	full := fullAddress(netip.AddrPortFrom(addr, 0))
	r, terr := h.stack.FindRoute(full.NIC, tcpip.Address{}, full.Addr, protocolOf(addr), false)
	if terr != nil {
		return errno("connect", terr)
	}
	defer r.Release()
	resolved := make(chan tcpip.Error, 1)
	// Its error means that the callback is called later.
	_ = r.ResolvedFields(func(res stack.ResolvedFieldsResult) { resolved <- res.Err })
	select {
	case terr := <-resolved:
		if terr != nil {
			return errno("connect", &tcpip.ErrHostUnreachable{})
		}
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	case <-h.done:
		return h.Err()
	}
}

// echoRequest returns the ICMP message. The stack adds identifier and checksum.
func echoRequest(addr netip.Addr, data []byte) []byte {
	if addr.Is4() {
		b := make([]byte, header.ICMPv4MinimumSize, header.ICMPv4MinimumSize+len(data))
		header.ICMPv4(b).SetType(header.ICMPv4Echo)
		header.ICMPv4(b).SetSequence(1)
		return append(b, data...)
	}
	b := make([]byte, header.ICMPv6EchoMinimumSize, header.ICMPv6EchoMinimumSize+len(data))
	header.ICMPv6(b).SetType(header.ICMPv6EchoRequest)
	header.ICMPv6(b).SetSequence(1)
	return append(b, data...)
}

func isEchoReply(addr netip.Addr, b, data []byte) bool {
	const headerSize = header.ICMPv4MinimumSize // and of the echo messages of ICMPv6
	if len(b) != headerSize+len(data) || !bytes.Equal(b[headerSize:], data) {
		return false
	}
	if addr.Is4() {
		return header.ICMPv4(b).Type() == header.ICMPv4EchoReply
	}
	return header.ICMPv6(b).Type() == header.ICMPv6EchoReply
}
