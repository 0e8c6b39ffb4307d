// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package fdb

import (
	"encoding/binary"

	"github.com/go-vde/sdk/frame"
)

// A Key is a MAC address in the upper 48 bits and a VLAN in the lower 16: one
// word, the kind of key that maps are fastest with.
type Key uint64

// NoKey is the key of no entry: its address is a group address.
const NoKey = ^Key(0)

// KeyAt returns the key of the address at the front of b, which has two bytes
// more, in VLAN v.
func KeyAt(b []byte, v uint16) Key {
	return Key(binary.BigEndian.Uint64(b)&^0xffff | uint64(v))
}

// KeyOf returns the key of mac in VLAN v.
func KeyOf(mac frame.MAC, v uint16) Key {
	var b [8]byte
	copy(b[:], mac[:])
	return KeyAt(b[:], v)
}

// MAC returns the address.
func (k Key) MAC() frame.MAC {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(k))
	return frame.MAC(b[:6])
}

// VLAN returns the VLAN.
func (k Key) VLAN() uint16 { return uint16(k) }

// IsGroup reports whether the address is a multicast or broadcast address.
func (k Key) IsGroup() bool { return k>>56&1 != 0 }
