// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame

import (
	"fmt"
	"strconv"
	"strings"
)

// An EtherType names the payload's protocol; values below 0x0600 are 802.3
// lengths.
//
// A length, at most 1500, counts the bytes of the LLC payload without padding;
// 1501 to 1535 are undefined (IEEE 802.3, 3.2.6). It is held in host order.
type EtherType uint16

// Well-known EtherTypes. The full list is the IEEE's public EtherType registry.
const (
	EtherTypeIPv4         EtherType = 0x0800 // RFC 894
	EtherTypeARP          EtherType = 0x0806 // RFC 826
	EtherTypeVLAN         EtherType = 0x8100 // customer VLAN tag, IEEE 802.1Q, 9.5
	EtherTypeIPv6         EtherType = 0x86dd // RFC 2464
	EtherTypeQinQ         EtherType = 0x88a8 // service VLAN tag, IEEE 802.1Q, 9.5
	EtherTypeQinQ9100     EtherType = 0x9100 // service VLAN tag of devices older than 802.1ad; no standard
	EtherTypeExperimental EtherType = 0x88b5 // free for local experiments, IEEE 802, 9.2
	EtherTypeLLDP         EtherType = 0x88cc // IEEE 802.1AB
)

const maxLength = 1500 // largest value that is an 802.3 length

// etherTypeNames are the names of the constants.
var etherTypeNames = [...]struct {
	t    EtherType
	name string
}{
	{EtherTypeIPv4, "IPv4"},
	{EtherTypeARP, "ARP"},
	{EtherTypeVLAN, "VLAN"},
	{EtherTypeIPv6, "IPv6"},
	{EtherTypeQinQ, "QinQ"},
	{EtherTypeQinQ9100, "QinQ9100"},
	{EtherTypeExperimental, "Experimental"},
	{EtherTypeLLDP, "LLDP"},
}

const lengthPrefix = "length "

// String returns the protocol's name if it is one of this package's constants,
// "length n" for an 802.3 length, and otherwise four hexadecimal digits as in
// "0x1234".
func (t EtherType) String() string {
	for _, known := range etherTypeNames {
		if known.t == t {
			return known.name
		}
	}
	if t <= maxLength {
		return lengthPrefix + strconv.Itoa(int(t))
	}
	return string([]byte{'0', 'x',
		hexDigit[t>>12], hexDigit[t>>8&0xf], hexDigit[t>>4&0xf], hexDigit[t&0xf]})
}

// MarshalText implements [encoding.TextMarshaler] with the form of String.
func (t EtherType) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes the forms of String, and
// the hexadecimal one for all values; on error t is left as it was.
func (t *EtherType) UnmarshalText(b []byte) error {
	text := string(b)
	for _, known := range etherTypeNames {
		if known.name == text {
			*t = known.t
			return nil
		}
	}
	digits, base, most := strings.TrimPrefix(text, "0x"), 16, uint64(1<<16-1)
	if n, ok := strings.CutPrefix(text, lengthPrefix); ok {
		digits, base, most = n, 10, maxLength
	} else if digits == text {
		digits = "" // refused below
	}
	n, err := strconv.ParseUint(digits, base, 16)
	if err != nil || n > most {
		return fmt.Errorf("frame: %q is not an EtherType, want a name such as IPv4, a number such as 0x0800 or a length such as %s46", text, lengthPrefix)
	}
	*t = EtherType(n)
	return nil
}

// IsTag reports whether t announces a VLAN tag rather than a payload: whether it is
// a TPID.
func (t EtherType) IsTag() bool {
	return t == EtherTypeVLAN || t == EtherTypeQinQ || t == EtherTypeQinQ9100
}

// A Tag is the control information of a VLAN tag, in host order: three bits of
// priority, the drop eligible indicator, twelve bits of VLAN identifier
// (IEEE 802.1Q, 9.6).
type Tag uint16

// ID returns the VLAN identifier, 0 to 4095. Identifier 0 means that the tag
// carries a priority only; 4095 is reserved.
func (t Tag) ID() uint16 { return uint16(t) & 0x0fff }

// Priority returns the 802.1p priority, 0 to 7.
func (t Tag) Priority() uint8 { return uint8(t >> 13) }

// DropEligible returns the drop eligible indicator: under congestion such a
// frame goes first. Before 802.1Q-2011 the same bit was the canonical format
// indicator.
func (t Tag) DropEligible() bool { return t&0x1000 != 0 }
