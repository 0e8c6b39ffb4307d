// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"

	"github.com/go-vde/sdk/frame"
)

// A probe is a frame that a switch sends from a port to find out whether it comes back.
// docs/loops.md has the form, byte for byte.
type probe struct {
	port int
	vlan uint16 // that it was sent in
	seq  uint64 // of the port
}

// Offsets in a probe without a tag.
const (
	probeMessage = frame.HeaderLen  // the message of the Configuration Testing Protocol
	probeMagic   = probeMessage + 6 // behind skip count, function and receipt number
	probeID      = probeMagic + 4
	probePort    = probeID + 8
	probeVLAN    = probePort + 4
	probeSeq     = probeVLAN + 2
	probeMAC     = probeSeq + 8
	probeLen     = probeMAC + probeMACLen

	probeMACLen = 16
)

// probeHead is what every probe has behind its EtherType: nothing to skip, the function
// Reply, which no station answers, receipt number 0, and a mark.
var probeHead = [...]byte{0, 0, 1, 0, 0, 0, 'V', 'D', 'E', 1}

// probeDst is the loopback assistance address, which bridges flood.
func probeDst() frame.MAC { return frame.MAC{0xcf} }

// etherTypeLoopback is the EtherType of the Configuration Testing Protocol.
const etherTypeLoopback = 0x9000

// A probeKey makes probes, and tells those that it has made from others.
type probeKey struct {
	id  [8]byte
	src frame.MAC
	key [sha256.Size]byte
}

func newProbeKey() *probeKey {
	k := new(probeKey)
	_, _ = rand.Read(k.id[:]) // never fails
	_, _ = rand.Read(k.key[:])
	copy(k.src[:], k.id[:])
	k.src[0] = k.src[0]&^1 | 2 // of one station, locally administered
	return k
}

// frame returns p as a frame, with a tag if tagged.
func (k *probeKey) frame(p probe, tagged bool) []byte {
	b := make([]byte, probeLen, probeLen+frame.TagLen)
	frame.PutHeader(b, probeDst(), k.src, etherTypeLoopback)
	copy(b[probeMessage:], probeHead[:])
	copy(b[probeID:], k.id[:])
	binary.BigEndian.PutUint32(b[probePort:], uint32(p.port))
	binary.BigEndian.PutUint16(b[probeVLAN:], p.vlan)
	binary.BigEndian.PutUint64(b[probeSeq:], p.seq)
	copy(b[probeMAC:], k.sum(b[probeMagic:probeMAC]))
	if !tagged {
		return b
	}
	t := make([]byte, probeLen+frame.TagLen)
	putTagged(t, b, p.vlan)
	return t
}

// sum returns the authentication code of b.
func (k *probeKey) sum(b []byte) []byte {
	h := hmac.New(sha256.New, k.key[:])
	h.Write(b)
	return h.Sum(nil)[:probeMACLen]
}

// parse returns the probe that data is, if it is one that k has made. Nobody else can
// make one, but anybody who has seen one can send it again.
func (k *probeKey) parse(data []byte) (p probe, ok bool) {
	if len(data) < probeLen || frame.MAC(data) != probeDst() {
		return probe{}, false
	}
	if isTagged(data) {
		data = data[frame.TagLen:]
	}
	if len(data) < probeLen || binary.BigEndian.Uint16(data[tpidOff:]) != etherTypeLoopback ||
		!bytes.Equal(data[probeMessage:probeMessage+len(probeHead)], probeHead[:]) ||
		!bytes.Equal(data[probeID:probePort], k.id[:]) ||
		!hmac.Equal(data[probeMAC:probeLen], k.sum(data[probeMagic:probeMAC])) {
		return probe{}, false
	}
	return probe{
		port: int(binary.BigEndian.Uint32(data[probePort:])),
		vlan: binary.BigEndian.Uint16(data[probeVLAN:]),
		seq:  binary.BigEndian.Uint64(data[probeSeq:]),
	}, true
}
