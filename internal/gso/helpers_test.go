// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package gso_test

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// slowSum is RFC 1071 word by word, and the oracle for everything here.
func slowSum(parts ...[]byte) uint16 {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	if len(all)%2 != 0 {
		all = append(all, 0)
	}
	total := uint32(0)
	for i := 0; i < len(all); i += 2 {
		total += uint32(all[i])<<8 | uint32(all[i+1])
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// ipOf returns the part of f from the IP header on.
func ipOf(f []byte) []byte {
	for at := 12; ; at += 4 {
		if t := binary.BigEndian.Uint16(f[at:]); t != 0x8100 && t != 0x88a8 && t != 0x9100 {
			return f[at+2:]
		}
	}
}

// verify checks lengths and checksums of a frame with TCP or UDP over IP, and
// returns the parts of the IP packet.
func verify(f []byte) (ip, tcp, payload []byte, err error) {
	ip = ipOf(f)
	var pseudo, l4 []byte
	var proto uint8
	if ip[0]>>4 == 4 {
		hdr, total := int(ip[0]&15)*4, int(binary.BigEndian.Uint16(ip[2:]))
		if total > len(ip) {
			return nil, nil, nil, fmt.Errorf("total length %d of %d", total, len(ip))
		}
		if slowSum(ip[:hdr]) != 0xffff {
			return nil, nil, nil, fmt.Errorf("IPv4 checksum of % x", ip[:hdr])
		}
		l4, proto = ip[hdr:total], ip[9]
		pseudo = append(pseudo, ip[12:20]...)
		ip = ip[:hdr]
	} else {
		size := int(binary.BigEndian.Uint16(ip[4:]))
		if size > len(ip)-40 {
			return nil, nil, nil, fmt.Errorf("payload length %d of %d", size, len(ip)-40)
		}
		l4, proto = ip[40:40+size], ip[6]
		pseudo = append(pseudo, ip[8:40]...)
		ip = ip[:40]
	}
	pseudo = append(pseudo, 0, proto, byte(len(l4)>>8), byte(len(l4)))
	if slowSum(pseudo, l4) != 0xffff {
		return nil, nil, nil, fmt.Errorf("checksum of protocol %d over % x", proto, l4)
	}
	hdr := 8
	if proto == 6 {
		hdr = int(l4[12]>>4) * 4
	}
	return ip, l4[:hdr], l4[hdr:], nil
}

// segments returns what f becomes.
func segments(t testing.TB, o frame.VNetHeader, f []byte) (all [][]byte) {
	t.Helper()
	var s gso.Segmenter
	s.Reset(o, f)
	dst := make([]byte, int(o.HdrLen)+int(o.GSOSize))
	for {
		n, ok := s.Next(dst)
		if !ok {
			return all
		}
		all = append(all, append([]byte(nil), dst[:n]...))
	}
}

// longSegment returns the longest segment there is, to be cut for an MTU of 1500.
func longSegment(t testing.TB) (frame.VNetHeader, []byte) {
	t.Helper()
	o := offload4
	o.GSOSize = 1448
	f := make([]byte, frame.MaxGSO)
	copy(f, unhex(t, super4)[:o.HdrLen])
	for i := range f[o.HdrLen:] {
		f[int(o.HdrLen)+i] = byte(i * 7)
	}
	binary.BigEndian.PutUint16(f[16:], uint16(len(f)-frame.HeaderLen))
	if err := gso.Check(o, f); err != nil {
		t.Fatal(err)
	}
	return o, f
}
