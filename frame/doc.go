// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package frame reads and writes Ethernet frames in place. Use it to look at the
// headers of frames that a connection delivers, and to make frames.
//
//	f, err := frame.Parse(b) // an error if b is shorter than a header
//	...
//	if f.Dst() == frame.Broadcast() && f.EtherType() == frame.EtherTypeARP {
//		reply := frame.AppendHeader(nil, f.Src(), mac, frame.EtherTypeARP)
//		...
//	}
//
// A [Frame] is a view: a byte slice known to hold a whole header, with methods
// that decode on demand. There is nothing to allocate, nothing to copy back
// and nothing that can disagree with the bytes. A frame starts at its
// destination address and ends with its payload, the form in which VDE
// carries it: no preamble, no frame check sequence, and no padding unless the
// sender put it there.
//
//	 0               6              12     14
//	+---------------+---------------+------+---------- - - -
//	|  destination  |    source     | type | payload          untagged
//	+---------------+---------------+------+---------- - - -
//
//	 0               6              12     14     16     18
//	+---------------+---------------+------+------+------+---------- - - -
//	|  destination  |    source     | TPID | TCI  | type | payload   tagged
//	+---------------+---------------+------+------+------+---------- - - -
//
// A tag is the four bytes TPID and TCI; any number of them may be stacked. A
// [MAC] is a comparable value, fit to be a map key, and is always a copy: it
// stays valid when the bytes it was read from are reused.
//
// The package knows Ethernet (IEEE 802.3) and VLAN tags (IEEE 802.1Q) and
// nothing above them: no ARP, no IP, no checksums. It does not compute the
// frame check sequence, pad to [MinLen], or edit tags.
//
// # Sharp edges
//
//   - [Parse] is the only place that checks lengths. A conversion such as
//     Frame(b) of unchecked bytes makes the methods panic when the header is
//     cut off.
//   - A Frame shares memory with the slice given to Parse. Once those bytes
//     are reused or changed by anybody, in particular the type field or a tag,
//     the check no longer holds: parse again.
//   - The tags recognized are those of TPID 0x8100, 0x88a8 and the pre-standard
//     0x9100. The rarer 0x9200 and 0x9300 are ordinary EtherTypes here.
//   - There is no limit to the number of stacked tags other than the frame's
//     length, so no type can hide behind one tag too many. [Parse],
//     [Frame.EtherType], [Frame.HeaderLen] and [Frame.Payload] step over tags
//     one by one: a hostile frame of n bytes, nothing but tags, costs each of
//     them n/4 steps of about a nanosecond and no memory.
//   - [Frame.Payload] includes the padding of a short frame. Only the payload's
//     own protocol, or the length in an 802.3 length field, can tell where it
//     ends.
//
// Values of this package hold no locks and start no goroutines. Any number of
// goroutines may read one Frame as long as none writes to its memory.
package frame
