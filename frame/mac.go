// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame

import (
	"bytes"
	"encoding"
	"net"
)

var (
	_ encoding.TextMarshaler   = MAC{}
	_ encoding.TextUnmarshaler = (*MAC)(nil)
)

const (
	pairsLen = 17 // length of "xx:xx:xx:xx:xx:xx"
	quadsLen = 14 // length of "xxxx.xxxx.xxxx"
	hexDigit = "0123456789abcdef"
)

// A MAC is a 48-bit address. It is comparable; the zero MAC is unspecified.
//
// The bytes are in transmission order: m[0] holds the group and local bits
// (IEEE 802.3, 3.2.3).
type MAC [6]byte

// ParseMAC parses the colon, hyphen and dot forms of a 48-bit address:
//
//	00:00:5e:00:53:01
//	00-00-5E-00-53-01
//	0000.5e00.5301
//
// Letters may be of either case, the separators of one kind only. Unlike
// [net.ParseMAC] it takes neither longer addresses nor digits without
// separators. The error is a [*net.AddrError]; the success path does not
// allocate.
func ParseMAC(s string) (MAC, error) {
	m, ok := parseMAC(s)
	if !ok {
		return MAC{}, macError(s)
	}
	return m, nil
}

// macError keeps the construction of an error out of the callers' fast path.
func macError(s string) error {
	return &net.AddrError{Err: "invalid MAC address", Addr: s}
}

func parseMAC[T string | []byte](s T) (m MAC, ok bool) {
	switch len(s) {
	case pairsLen:
		sep := s[2]
		if sep != ':' && sep != '-' {
			return MAC{}, false
		}
		for i := range m {
			at := 3 * i
			if i > 0 && s[at-1] != sep {
				return MAC{}, false
			}
			if m[i], ok = hexByte(s[at], s[at+1]); !ok {
				return MAC{}, false
			}
		}
	case quadsLen:
		if s[4] != '.' || s[9] != '.' {
			return MAC{}, false
		}
		for i := range m {
			at := 2*i + i/2 // one dot before each pair of bytes but the first
			if m[i], ok = hexByte(s[at], s[at+1]); !ok {
				return MAC{}, false
			}
		}
	default:
		return MAC{}, false
	}
	return m, true
}

func hexByte(hi, lo byte) (v byte, ok bool) {
	h, okh := hexNibble(hi)
	l, okl := hexNibble(lo)
	return h<<4 | l, okh && okl
}

func hexNibble(c byte) (v byte, ok bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// MACFrom converts a 6-byte slice, such as a [net.HardwareAddr]. The bytes are
// copied. It reports false, with the zero MAC, for any other length.
func MACFrom(b []byte) (m MAC, ok bool) {
	if len(b) != len(m) {
		return MAC{}, false
	}
	return MAC(b), true
}

// Broadcast returns ff:ff:ff:ff:ff:ff, the address of every port of a network.
func Broadcast() MAC {
	return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
}

// IsGroup reports whether m is a multicast or broadcast address: the I/G bit,
// first on the wire (IEEE 802.3, 3.2.3).
func (m MAC) IsGroup() bool { return m[0]&0x01 != 0 }

// IsLocal reports whether m is locally administered: the U/L bit, second on
// the wire (IEEE 802.3, 3.2.3). The broadcast address is.
func (m MAC) IsLocal() bool { return m[0]&0x02 != 0 }

// Compare returns -1, 0 or +1 as m sorts before, with or after o in the order
// of their bytes. It suits [slices.SortFunc].
func (m MAC) Compare(o MAC) int { return bytes.Compare(m[:], o[:]) }

// HardwareAddr returns a copy of m for package net.
func (m MAC) HardwareAddr() net.HardwareAddr {
	return append(net.HardwareAddr(nil), m[:]...)
}

// AppendTo appends m's text form, as [MAC.String] returns it, to b and returns
// the extended slice. It allocates only if b's capacity is short of 17 bytes.
func (m MAC) AppendTo(b []byte) []byte {
	t := m.text()
	return append(b, t[:]...)
}

// String returns the colon form, in lower case.
func (m MAC) String() string {
	t := m.text()
	return string(t[:])
}

// MarshalText implements [encoding.TextMarshaler] with the form of
// [MAC.String]. The error is always nil.
func (m MAC) MarshalText() ([]byte, error) {
	return m.AppendTo(make([]byte, 0, pairsLen)), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It accepts what
// [ParseMAC] accepts; on error m is left as it was. It does not keep b.
func (m *MAC) UnmarshalText(b []byte) error {
	v, ok := parseMAC(b)
	if !ok {
		return macError(string(b))
	}
	*m = v
	return nil
}

func (m MAC) text() (t [pairsLen]byte) {
	for i, v := range m {
		at := 3 * i
		if i > 0 {
			t[at-1] = ':'
		}
		t[at] = hexDigit[v>>4]
		t[at+1] = hexDigit[v&0xf]
	}
	return t
}
