// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan

import (
	"encoding/binary"

	"github.com/go-vde/sdk/frame"
)

// flow returns a number that is the same for the frames of a flow: of the addresses
// of Ethernet, and of IP and the ports if there are any. head is the beginning of the
// frame.
func flow(head []byte) uint64 {
	if len(head) < frame.HeaderLen {
		return 0
	}
	h := mix(uint64(binary.BigEndian.Uint32(head)), binary.BigEndian.Uint64(head[4:]))
	at := 12
	for range 2 { // tags
		if len(head) < at+6 || !frame.EtherType(binary.BigEndian.Uint16(head[at:])).IsTag() {
			break
		}
		h = mix(h, uint64(binary.BigEndian.Uint16(head[at+2:])&0xfff))
		at += frame.TagLen
	}
	kind := frame.EtherType(binary.BigEndian.Uint16(head[at:]))
	switch ip := head[at+2:]; {
	case kind == frame.EtherTypeIPv4 && len(ip) >= 20 && ip[0]>>4 == 4:
		h = mix(h, binary.BigEndian.Uint64(ip[12:]))
		if ports := ip[:min(len(ip), 24)]; ip[0] == 0x45 && len(ports) == 24 && binary.BigEndian.Uint16(ip[6:])&0x3fff == 0 && hasPorts(ip[9]) {
			h = mix(h, uint64(binary.BigEndian.Uint32(ports[20:])))
		}
		return mix(h, uint64(ip[9]))
	case kind == frame.EtherTypeIPv6 && len(ip) >= 40 && ip[0]>>4 == 6:
		for i := 8; i < 40; i += 8 {
			h = mix(h, binary.BigEndian.Uint64(ip[i:]))
		}
		if len(ip) >= 44 && hasPorts(ip[6]) {
			h = mix(h, uint64(binary.BigEndian.Uint32(ip[40:])))
		}
		return mix(h, uint64(ip[6]))
	}
	return mix(h, uint64(kind))
}

// hasPorts reports whether the header of the protocol, TCP or UDP, begins with ports.
func hasPorts(proto byte) bool { return proto == 6 || proto == 17 }

// mix adds x to a hash.
func mix(h, x uint64) uint64 {
	h = (h ^ x) * 0x9e3779b97f4a7c15
	return h ^ h>>32
}
