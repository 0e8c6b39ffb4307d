// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun

import "github.com/go-vde/sdk/netstack"

// Stats are the counters of a device since New. Reading them changes nothing.
//
// A packet from the tunnel is counted in Written, and one from the Ethernet in
// Endpoint.RxDelivered, as are frames of other protocols. Each is then for the device
// itself, or in Forwarded, or dropped by a cause of the second group. One that was
// forwarded into the tunnel waits (Queued), is in Read, or is dropped by a cause of the
// third group. One that was forwarded to the Ethernet is in the counters of Endpoint for
// sent and dropped frames, or in Unresolved or Unsent.
type Stats struct {
	Endpoint netstack.EndpointStats // of the port of the VDE network

	Written   uint64 // packets given to Write
	Forwarded uint64 // packets forwarded in either direction, before they are fragmented

	WriteInvalid uint64 // given to Write, and neither IPv4 nor, with an IPv6 address on the Ethernet, IPv6
	Malformed    uint64 // with a wrong header
	BadAddress   uint64 // with a source or destination that must not be forwarded, or for nobody here
	Expired      uint64 // whose time to live or hop limit was used up
	NoRoute      uint64 // whose destination is on no network of the configuration
	LongHeaders  uint64 // IPv6 with more than 1280 bytes of headers
	Broadcast    uint64 // in a frame for a group, or to the broadcast address of another network

	Queued      uint64 // packets that wait for Read
	Read        uint64 // packets that Read has returned
	TooLong     uint64 // too long for the next link, and not to be fragmented; their senders are told
	Unresolved  uint64 // to hosts on the Ethernet that do not answer; their senders are told
	Unsent      uint64 // more than 256 that waited for the address of one such host, and the device's own that found a queue full
	DroppedFull uint64 // for which the queue for Read had no room
	DroppedLong uint64 // longer than the buffers given to Read
	DroppedEnd  uint64 // in the queue for Read at the end, or sent to it after that
}

// Stats returns the counters.
func (d *Device) Stats() Stats {
	ip, f := d.stack.Stats().IP, d.forwarder.Stats()
	// The stack increments the counter of all errors before that of each.
	unresolved := ip.Forwarding.HostUnreachable.Value()
	unsent := unresolved + f.Unsent + ip.Forwarding.OutgoingDeviceNoBufferSpace.Value() + ip.Forwarding.OutgoingDeviceClosedForSend.Value()
	unsent = ip.OutgoingPacketErrors.Value() - unsent
	t := d.tunnel
	t.mu.Lock()
	ts, queued := t.stats, uint64(t.n)
	t.mu.Unlock()
	return Stats{
		Endpoint:     d.ep.Stats(),
		Written:      d.written.Load(),
		Forwarded:    f.Forwarded,
		WriteInvalid: d.writeInvalid.Load(),
		Malformed:    ip.MalformedPacketsReceived.Value() + ip.MalformedFragmentsReceived.Value() + f.Malformed,
		BadAddress: ip.InvalidSourceAddressesReceived.Value() + ip.InvalidDestinationAddressesReceived.Value() +
			ip.Forwarding.InitializingSource.Value() + ip.Forwarding.LinkLocalSource.Value() + ip.Forwarding.LinkLocalDestination.Value(),
		Expired:     ip.Forwarding.ExhaustedTTL.Value() + f.Expired,
		NoRoute:     ip.Forwarding.Unrouteable.Value(),
		LongHeaders: f.LongHeaders,
		Broadcast:   f.Broadcast,
		Queued:      queued,
		Read:        ts.read,
		TooLong:     f.TooLong,
		Unresolved:  unresolved,
		Unsent:      unsent,
		DroppedFull: ts.full,
		DroppedLong: ts.long,
		DroppedEnd:  ts.closed,
	}
}
