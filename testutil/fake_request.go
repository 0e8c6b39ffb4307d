// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// Sizes of the two messages on the control socket, on Linux.
const (
	FakeSockaddrLen = 110 // a reply: struct sockaddr_un
	FakeRequestMin  = 122 // a version 3 request without description
	FakeRequestMax  = 256 // what a switch reads at most

	fakeMagic     = 0xfeedface
	fakeFamily    = 1 // AF_UNIX
	fakePathBytes = 108
)

// A FakeRequest is a request as a [FakeSwitch] read it, with what the switch
// knew of the client at that moment.
type FakeRequest struct {
	Raw []byte // what one read of at most 256 bytes returned
	Err error  // why Raw is not a well-formed request, or nil

	Magic       uint32
	Version     uint32 // 3, or 1 for the old form
	TypeWord    uint32 // as sent; in the old form the type
	Kind        int    // low byte of TypeWord: 0 any or given port, 1 port 0
	Port        int    // upper 24 bits of TypeWord, arithmetically shifted
	Family      uint16
	RawPath     []byte // all 108 bytes
	Path        string // up to the first NUL; an abstract name starts with '@'
	Description string // the bytes after the fixed part

	// The other end of the control socket, from SO_PEERCRED.
	PID, UID, GID int

	// The client's data socket in the file system. PathErr is why there is none.
	PathMode         fs.FileMode
	PathUID, PathGID int
	PathErr          error

	Entries []string // the sorted names in the switch's directory
}

// parseFakeRequest fills in the fields that follow from r.Raw.
func (r *FakeRequest) parse() error {
	b := r.Raw
	if len(b) < 8 {
		return fmt.Errorf("%d bytes, not even magic and version", len(b))
	}
	r.Magic = binary.NativeEndian.Uint32(b)
	if r.Magic != fakeMagic {
		return fmt.Errorf("magic %#x", r.Magic)
	}
	word := binary.NativeEndian.Uint32(b[4:])
	address := 0 // where the sockaddr begins
	switch {
	case word == 3:
		r.Version, address = 3, 12
		if len(b) >= 12 {
			r.TypeWord = binary.NativeEndian.Uint32(b[8:])
		}
	case word < 2:
		// The old form has no version; its type stands there, and the client's
		// MAC address follows.
		r.Version, r.TypeWord, address = 1, word, 14
	default:
		r.Version = word
		return fmt.Errorf("version %d", word)
	}
	r.Kind = int(r.TypeWord & 0xff)
	r.Port = int(int32(r.TypeWord) >> 8)
	end := address + FakeSockaddrLen
	if len(b) < end {
		return fmt.Errorf("%d bytes of at least %d", len(b), end)
	}
	r.Family = binary.NativeEndian.Uint16(b[address:])
	r.RawPath = b[address+2 : end]
	r.Path = fakePath(r.RawPath)
	r.Description = string(b[end:])
	switch {
	case r.Family != fakeFamily:
		return fmt.Errorf("address family %d", r.Family)
	case r.Path == "":
		return errors.New("empty path")
	case r.Kind > 1:
		return fmt.Errorf("request kind %d", r.Kind)
	}
	return nil
}

// look fills in what is found in the file system.
func (r *FakeRequest) look(dir string) {
	r.Entries, _ = fakeEntries(dir)
	if r.Path == "" || r.Path[0] == '@' {
		r.PathErr = fs.ErrNotExist
		return
	}
	info, err := os.Lstat(r.Path)
	if err != nil {
		r.PathErr = err
		return
	}
	r.PathMode = info.Mode()
	r.PathUID, r.PathGID = fakeOwner(info)
}

// fakePath turns the 108 bytes of a sun_path into a name: up to the first NUL,
// or for an abstract address all of it, with '@' for the leading NUL.
func fakePath(raw []byte) string {
	if len(raw) > 1 && raw[0] == 0 && raw[1] != 0 {
		return "@" + string(raw[1:])
	}
	if i := bytes.IndexByte(raw, 0); i >= 0 {
		raw = raw[:i]
	}
	return string(raw)
}

// FakeSockaddr returns the 110 bytes of a sockaddr_un: family, then the path,
// cut or padded with NULs to 108 bytes. A correct reply is such an
// address of family 1.
func FakeSockaddr(family uint16, path string) []byte {
	b := make([]byte, FakeSockaddrLen)
	binary.NativeEndian.PutUint16(b, family)
	if n := copy(b[2:], path); n > 0 && path[0] == '@' {
		b[2] = 0
	}
	return b
}
