// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// A Request is what a client asks of a switch.
type Request struct {
	Version     int    // 3, or 1 from very old clients; AppendRequest takes 0 for 3
	Port        Port   // the port to join
	Path        string // name of the client's data socket, see the package comment
	Description string // label for the port list; untrusted, see SanitizeDescription
}

// AppendRequest appends the encoding of r to b. On error it returns b as it was.
//
// A description ends at its first NUL, and with it the request. Version 1
// cannot ask for a port by number.
func AppendRequest(b []byte, r Request) ([]byte, error) {
	word, err := r.Port.typeWord()
	if err != nil {
		return b, err
	}
	out := binary.NativeEndian.AppendUint32(b, Magic)
	switch r.Version {
	case 0, Version:
		out = binary.NativeEndian.AppendUint32(out, Version)
		out = binary.NativeEndian.AppendUint32(out, word)
	case 1:
		if r.Port > AnyPort {
			return b, fmt.Errorf("%w: version 1 cannot ask for port %d", ErrPort, r.Port)
		}
		out = binary.NativeEndian.AppendUint32(out, word)
		out = append(out, 0, 0, 0, 0, 0, 0) // the MAC, which nobody reads
	default:
		return b, fmt.Errorf("%w: %d", ErrVersion, r.Version)
	}
	if out, err = appendSockaddr(out, r.Path); err != nil {
		return b, err
	}
	description, _, _ := strings.Cut(r.Description, "\x00")
	out = append(out, description...)
	if n := len(out) - len(b); n > MaxRequestLen {
		return b, fmt.Errorf("%w: request of %d, at most %d: shorten the description", ErrTooLong, n, MaxRequestLen)
	}
	return out, nil
}

// ParseRequest decodes a request of either version.
//
// [ErrIncomplete] means that b is the beginning of a valid request and that its
// fixed part is not whole. Any other error is final: it is reported as soon as
// the bytes that cause it are there, so that a switch need not wait for the
// rest of a message it will refuse.
func ParseRequest(b []byte) (Request, error) {
	magic := binary.NativeEndian.AppendUint32(nil, Magic)
	if n := min(len(b), len(magic)); !bytes.Equal(b[:n], magic[:n]) {
		return Request{}, ErrMagic
	}
	if len(b) < 8 {
		return Request{}, ErrIncomplete
	}

	// Version 1 has its type word where later ones have their version. Its two
	// values are not versions, which is how the versions are told apart.
	r := Request{Version: Version}
	word, addr := binary.NativeEndian.Uint32(b[4:]), 12
	switch word {
	case Version:
		if len(b) < 12 {
			return Request{}, ErrIncomplete
		}
		word = binary.NativeEndian.Uint32(b[8:])
	case kindPort, kindPort0:
		r.Version, addr = 1, 14
	default:
		return Request{}, fmt.Errorf("%w: %d", ErrVersion, word)
	}

	var err error
	if r.Port, err = portFromWord(word); err != nil {
		return Request{}, err
	}
	if r.Path, err = parseSockaddr(b[min(addr, len(b)):]); err != nil {
		return Request{}, err
	}
	if len(b) > MaxRequestLen {
		return Request{}, fmt.Errorf("%w: request of %d, at most %d", ErrTooLong, len(b), MaxRequestLen)
	}
	description, _, _ := bytes.Cut(b[addr+sockaddrLen:], []byte{0})
	r.Description = string(description)
	return r, nil
}
