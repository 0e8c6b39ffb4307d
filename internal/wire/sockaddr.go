// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
)

// appendSockaddr appends the sockaddr_un of path, zero padded. On error it
// returns b as it was.
func appendSockaddr(b []byte, path string) ([]byte, error) {
	if err := checkPath(path); err != nil {
		return b, err
	}
	b = binary.NativeEndian.AppendUint16(b, familyUnix)
	start := len(b)
	b = append(b, make([]byte, SunPathLen)...)
	copy(b[start:], path)
	if path[0] == '@' {
		b[start] = 0
	}
	return b, nil
}

// checkPath reports why path cannot be sent, if it cannot.
func checkPath(path string) error {
	name, abstract := strings.CutPrefix(path, "@")
	switch {
	case path == "":
		return fmt.Errorf("%w: it is empty", ErrPath)
	case abstract && strings.Trim(name, "\x00") == "":
		return fmt.Errorf("%w: the abstract name is empty", ErrPath)
	case abstract && len(path) > SunPathLen:
		return fmt.Errorf("%w: abstract name of %d bytes, at most %d", ErrPath, len(path), SunPathLen)
	case abstract:
		return nil
	case len(path) > MaxPathLen:
		return fmt.Errorf("%w: %d bytes, at most %d: use a shorter directory name", ErrPath, len(path), MaxPathLen)
	case strings.Contains(path, "\x00"):
		return fmt.Errorf("%w: %q contains a NUL", ErrPath, path)
	}
	return nil
}

// parseSockaddr returns the path in the sockaddr_un at the beginning of b, of
// which only a part may have come.
func parseSockaddr(b []byte) (string, error) {
	if len(b) < 2 {
		return "", ErrIncomplete
	}
	if family := binary.NativeEndian.Uint16(b); family != familyUnix {
		return "", fmt.Errorf("%w: family %d", ErrFamily, family)
	}
	if len(b) < sockaddrLen {
		return "", ErrIncomplete
	}
	b = b[2:sockaddrLen]

	if b[0] == 0 {
		if len(bytes.Trim(b, "\x00")) == 0 {
			return "", fmt.Errorf("%w: it is empty", ErrPath)
		}
		return "@" + string(b[1:]), nil
	}
	path, _, _ := bytes.Cut(b, []byte{0})
	if path[0] == '@' {
		return "", fmt.Errorf("%w: relative path %q", ErrPath, path)
	}
	return string(path), nil
}
