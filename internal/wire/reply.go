// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wire

import "fmt"

// AppendReply appends to b the reply that names the switch's data socket. On
// error it returns b as it was.
func AppendReply(b []byte, path string) ([]byte, error) {
	return appendSockaddr(b, path)
}

// ParseReply returns the name of the switch's data socket. [ErrIncomplete] and
// the other errors are to be understood as for [ParseRequest].
//
// The path is the one by which the switch knows its socket. It leads nowhere if
// the client sees the switch's directory under another mount point; the last
// element is then to be looked for in the directory the client knows.
func ParseReply(b []byte) (path string, err error) {
	path, err = parseSockaddr(b)
	if err != nil {
		return "", err
	}
	if len(b) > ReplyLen {
		return "", fmt.Errorf("%w: reply of %d, not %d", ErrTooLong, len(b), ReplyLen)
	}
	return path, nil
}
