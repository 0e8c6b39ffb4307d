// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wire

import "fmt"

// A Port is the port that a request asks for: [AnyPort], [ManagementPort], or
// a number from 1 to [MaxPort]. The values are those of libvdeplug's C
// interface.
type Port int32

const (
	// AnyPort leaves the choice among the free ports to the switch.
	AnyPort Port = 0

	// ManagementPort is port 0. It is not 0 here, because that asks for any
	// port on the wire too: port 0 has a kind of request to itself.
	ManagementPort Port = -1

	// MaxPort is the highest number that can be asked for. The field has 24
	// bits, but switches read it as a signed number and take the negative ones
	// for port 0.
	MaxPort Port = 1<<23 - 1
)

// String returns "a free port", "port 0" for [ManagementPort], or "port" and the number.
func (p Port) String() string {
	switch p {
	case AnyPort:
		return "a free port"
	case ManagementPort:
		return "port 0"
	}
	return fmt.Sprintf("port %d", int32(p))
}

// Kinds of request, the low 8 bits of the type word.
const (
	kindPort  = 0 // the port whose number is in the upper 24 bits, or any if that is 0
	kindPort0 = 1 // port 0; the upper bits mean nothing
)

// typeWord returns the word that asks for p.
func (p Port) typeWord() (uint32, error) {
	switch {
	case p == ManagementPort:
		return kindPort0, nil
	case p < AnyPort || p > MaxPort:
		return 0, fmt.Errorf("%w: %d is not in 1 to %d", ErrPort, p, MaxPort)
	}
	return kindPort | uint32(p)<<8, nil
}

// portFromWord returns the port that w asks for.
func portFromWord(w uint32) (Port, error) {
	switch kind := w & 0xff; kind {
	case kindPort:
		// The shift must be arithmetic: the sign decides.
		return max(Port(int32(w)>>8), ManagementPort), nil
	case kindPort0:
		return ManagementPort, nil
	default:
		return 0, fmt.Errorf("%w: %d", ErrKind, kind)
	}
}
