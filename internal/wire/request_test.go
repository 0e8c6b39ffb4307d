// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wire_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/wire"
)

// The messages below are written as an amd64 machine sends them. native turns
// them into those of the machine at hand by reversing integers of the given
// sizes, from the front, where the byte order is the other one.
func native(message string, sizes ...int) []byte {
	b := []byte(message)
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return b
	}
	rest := b
	for _, n := range sizes {
		slices.Reverse(rest[:n])
		rest = rest[n:]
	}
	return b
}

// pad returns s followed by NULs, n bytes in all.
func pad(s string, n int) string { return s + strings.Repeat("\x00", n-len(s)) }

func v3(message string) []byte { return native(message, 4, 4, 4, 2) }

func v1(message string) []byte {
	b := native(message, 4, 4)
	copy(b[14:], native(message[14:], 2))
	return b
}

const (
	magic3 = "\xCE\xFA\xED\xFE\x03\x00\x00\x00" // magic and version 3
	magic  = "\xCE\xFA\xED\xFE"
)

func TestLengths(t *testing.T) {
	if wire.FixedLen != 122 || wire.V1FixedLen != 124 || wire.ReplyLen != 110 || wire.MaxPathLen != 107 {
		t.Errorf("lengths are %d, %d, %d, %d", wire.FixedLen, wire.V1FixedLen, wire.ReplyLen, wire.MaxPathLen)
	}
}

// Requests with one encoding.
var requests = []struct {
	name  string
	bytes []byte
	req   wire.Request
}{
	{
		"any port",
		v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + pad("/tmp/sw/.01234-00000", 108) + "vdeplug: user=root pid=1234"),
		wire.Request{Version: 3, Path: "/tmp/sw/.01234-00000", Description: "vdeplug: user=root pid=1234"},
	},
	{
		"port 5",
		v3(magic3 + "\x00\x05\x00\x00" + "\x01\x00" + pad("/x", 108)),
		wire.Request{Version: 3, Port: 5, Path: "/x"},
	},
	{
		"highest port",
		v3(magic3 + "\x00\xFF\xFF\x7F" + "\x01\x00" + pad("/x", 108)),
		wire.Request{Version: 3, Port: wire.MaxPort, Path: "/x"},
	},
	{
		"port 0",
		v3(magic3 + "\x01\x00\x00\x00" + "\x01\x00" + pad("/x", 108) + "d"),
		wire.Request{Version: 3, Port: wire.ManagementPort, Path: "/x", Description: "d"},
	},
	{
		"longest file path",
		v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + "/" + strings.Repeat("p", 106) + "\x00"),
		wire.Request{Version: 3, Path: "/" + strings.Repeat("p", 106)},
	},
	{
		"abstract name",
		v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + pad("\x00vde", 108) + "d"),
		wire.Request{Version: 3, Path: pad("@vde", 108), Description: "d"},
	},
	{
		"abstract name with NULs",
		v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + "\x00\x00@" + strings.Repeat("\x00z", 52) + "z"),
		wire.Request{Version: 3, Path: "@\x00@" + strings.Repeat("\x00z", 52) + "z"},
	},
	{
		"longest description",
		v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + pad("/x", 108) + strings.Repeat("d", 134)),
		wire.Request{Version: 3, Path: "/x", Description: strings.Repeat("d", 134)},
	},
	{
		"version 1",
		v1(magic + "\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00" + "\x01\x00" + pad("/x", 108) + "old"),
		wire.Request{Version: 1, Path: "/x", Description: "old"},
	},
	{
		"version 1, port 0, longest description",
		v1(magic + "\x01\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00" + "\x01\x00" + pad("/x", 108) + strings.Repeat("d", 132)),
		wire.Request{Version: 1, Port: wire.ManagementPort, Path: "/x", Description: strings.Repeat("d", 132)},
	},
}

func TestRequest(t *testing.T) {
	for _, test := range requests {
		t.Run(test.name, func(t *testing.T) {
			got, err := wire.AppendRequest([]byte("before"), test.req)
			if want := "before" + string(test.bytes); err != nil || string(got) != want {
				t.Errorf("AppendRequest:\n got %q, %v\nwant %q", got, err, want)
			}
			req, err := wire.ParseRequest(test.bytes)
			if err != nil || req != test.req {
				t.Errorf("ParseRequest:\n got %+v, %v\nwant %+v", req, err, test.req)
			}
		})
	}
}

// A switch buffers until the fixed part is there, whatever the pieces.
func TestParseRequestIncomplete(t *testing.T) {
	for _, test := range requests {
		fixed := wire.FixedLen
		if test.req.Version == 1 {
			fixed = wire.V1FixedLen
		}
		for n := range test.bytes {
			_, err := wire.ParseRequest(test.bytes[:n])
			if n < fixed && err != wire.ErrIncomplete || n >= fixed && err != nil {
				t.Errorf("%s: first %d bytes: %v", test.name, n, err)
			}
		}
	}
}

// Requests that decode to something AppendRequest would write otherwise.
func TestParseRequestOtherForms(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes []byte
		want  wire.Request
	}{
		{
			"port 0 ignores the port bits",
			v3(magic3 + "\x01\x05\x00\x00" + "\x01\x00" + pad("/x", 108)),
			wire.Request{Version: 3, Port: wire.ManagementPort, Path: "/x"},
		},
		{
			"most negative port",
			v3(magic3 + "\x00\x00\x00\x80" + "\x01\x00" + pad("/x", 108)),
			wire.Request{Version: 3, Port: wire.ManagementPort, Path: "/x"},
		},
		{
			"port -1",
			v3(magic3 + "\x00\xFF\xFF\xFF" + "\x01\x00" + pad("/x", 108)),
			wire.Request{Version: 3, Port: wire.ManagementPort, Path: "/x"},
		},
		{
			"path without NUL",
			v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + "/" + strings.Repeat("p", 107) + "d"),
			wire.Request{Version: 3, Path: "/" + strings.Repeat("p", 107), Description: "d"},
		},
		{
			"garbage behind the path",
			v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + pad("/x\x00/y", 108)),
			wire.Request{Version: 3, Path: "/x"},
		},
		{
			"garbage behind the description",
			v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + pad("/x", 108) + "d\x00e"),
			wire.Request{Version: 3, Path: "/x", Description: "d"},
		},
		{
			"version 1 with a MAC",
			v1(magic + "\x00\x00\x00\x00" + "\x02\x00\x00\x00\x00\x01" + "\x01\x00" + pad("/x", 108)),
			wire.Request{Version: 1, Path: "/x"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := wire.ParseRequest(test.bytes)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

// Every refusal comes with the bytes that cause it: the input with its last
// byte removed may still become a valid request.
func TestParseRequestErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"magic", native("\x01\x00\x00\x00", 4)[:1], wire.ErrMagic},
		{"magic in the other byte order", native(magic, 4)[3:], wire.ErrMagic},
		{"last byte of the magic", append(native(magic, 4)[:3], 'x'), wire.ErrMagic},
		{"version 2", native(magic+"\x02\x00\x00\x00", 4, 4), wire.ErrVersion},
		{"version 4", native(magic+"\x04\x00\x00\x00", 4, 4), wire.ErrVersion},
		{"kind 2", native(magic3+"\x02\x00\x00\x00", 4, 4, 4), wire.ErrKind},
		{"kind 255", native(magic3+"\xFF\x01\x00\x00", 4, 4, 4), wire.ErrKind},
		{"family", v3(magic3 + "\x00\x00\x00\x00" + "\x02\x00"), wire.ErrFamily},
		{"version 1 family", v1(magic + "\x00\x00\x00\x00" + "\x00\x00\x00\x00\x00\x00" + "\x00\x00"), wire.ErrFamily},
		{"no path", v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + pad("", 108)), wire.ErrPath},
		{"relative path like an abstract name", v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + pad("@x", 108)), wire.ErrPath},
		{"length", v3(magic3 + "\x00\x00\x00\x00" + "\x01\x00" + pad("/x", 108) + strings.Repeat("d", 135)), wire.ErrTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := wire.ParseRequest(test.bytes); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			before := test.bytes[:len(test.bytes)-1]
			if _, err := wire.ParseRequest(before); err != nil && err != wire.ErrIncomplete {
				t.Errorf("one byte earlier: got %v", err)
			}
		})
	}
}

func TestAppendRequestErrors(t *testing.T) {
	long := strings.Repeat("x", 135)
	for _, test := range []struct {
		name string
		req  wire.Request
		want error
	}{
		{"port too high", wire.Request{Path: "/x", Port: wire.MaxPort + 1}, wire.ErrPort},
		{"port too low", wire.Request{Path: "/x", Port: wire.ManagementPort - 1}, wire.ErrPort},
		{"version 1 with a port", wire.Request{Version: 1, Path: "/x", Port: 1}, wire.ErrPort},
		{"version", wire.Request{Version: 2, Path: "/x"}, wire.ErrVersion},
		{"no path", wire.Request{}, wire.ErrPath},
		{"no abstract name", wire.Request{Path: "@"}, wire.ErrPath},
		{"abstract name of NULs", wire.Request{Path: pad("@", 108)}, wire.ErrPath},
		{"abstract name too long", wire.Request{Path: "@" + long[:108]}, wire.ErrPath},
		{"path too long", wire.Request{Path: "/" + long[:107]}, wire.ErrPath},
		{"path with a NUL", wire.Request{Path: "/a\x00b"}, wire.ErrPath},
		{"description too long", wire.Request{Path: "/x", Description: long}, wire.ErrTooLong},
		{"version 1 description too long", wire.Request{Version: 1, Path: "/x", Description: long[:133]}, wire.ErrTooLong},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := wire.AppendRequest([]byte("before"), test.req)
			if !errors.Is(err, test.want) || string(b) != "before" {
				t.Errorf("got %q, %v; want the bytes before and %v", b, err, test.want)
			}
		})
	}
}

// What AppendRequest takes in more than one form.
func TestAppendRequestNormalizes(t *testing.T) {
	for _, test := range []struct{ given, same wire.Request }{
		{wire.Request{Path: "/x"}, wire.Request{Version: 3, Path: "/x"}},
		{wire.Request{Path: "@x"}, wire.Request{Version: 3, Path: pad("@x", 108)}},
		{wire.Request{Path: "/x", Description: "a\x00b"}, wire.Request{Version: 3, Path: "/x", Description: "a"}},
	} {
		a, err := wire.AppendRequest(nil, test.given)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := wire.ParseRequest(a); err != nil || got != test.same {
			t.Errorf("%+v became %+v, %v", test.given, got, err)
		}
	}
}

// FuzzParseRequest compares ParseRequest with the fields as they lie in the
// bytes, and checks that what it accepts survives being encoded again.
func FuzzParseRequest(f *testing.F) {
	for _, test := range requests {
		f.Add(test.bytes)
		f.Add(test.bytes[:len(test.bytes)/2])
	}
	f.Add(v3(magic3 + "\x00\xFF\xFF\xFF" + "\x01\x00" + "/" + strings.Repeat("p", 107) + "d\x00e"))
	f.Fuzz(func(t *testing.T, b []byte) {
		req, err := wire.ParseRequest(b)
		if err != nil {
			if req != (wire.Request{}) {
				t.Errorf("error %v with %+v", err, req)
			}
			if err != wire.ErrIncomplete {
				// Final means final: no more bytes can mend it.
				if _, more := wire.ParseRequest(append(slices.Clip(b), 'x')); more == nil || more == wire.ErrIncomplete {
					t.Errorf("%v, but with another byte %v", err, more)
				}
			} else if len(b) >= wire.V1FixedLen {
				t.Errorf("%d bytes are said to be incomplete", len(b))
			}
			return
		}

		addr, word := 12, binary.NativeEndian.Uint32(b[4:])
		if req.Version == 1 {
			addr = 14
		} else {
			word = binary.NativeEndian.Uint32(b[8:])
		}
		if want := portOf(t, word); req.Port != want {
			t.Errorf("port %d from type word %#x, want %d", req.Port, word, want)
		}
		path := string(b[addr+2 : addr+110])
		if req.Path[0] == '@' {
			if req.Path[1:] != path[1:] || path[0] != 0 {
				t.Errorf("abstract path %q from %q", req.Path, path)
			}
		} else if path, _, _ := strings.Cut(path, "\x00"); req.Path != path {
			t.Errorf("path %q, want %q", req.Path, path)
		}
		if description, _, _ := strings.Cut(string(b[addr+110:]), "\x00"); req.Description != description {
			t.Errorf("description %q, want %q", req.Description, description)
		}

		b, err = wire.AppendRequest(nil, req)
		if req.Path[0] != '@' && len(req.Path) > wire.MaxPathLen {
			if !errors.Is(err, wire.ErrPath) {
				t.Errorf("path without a NUL encoded: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatalf("parsed %+v, which does not encode: %v", req, err)
		}
		if again, err := wire.ParseRequest(b); err != nil || again != req {
			t.Errorf("round trip: %+v became %+v, %v", req, again, err)
		}
	})
}

// portOf is the table of type words, spelled out.
func portOf(t *testing.T, word uint32) wire.Port {
	switch kind, port := word%256, word/256; {
	case kind == 1:
		return wire.ManagementPort
	case kind != 0:
		t.Fatalf("type word %#x accepted", word)
		return 0
	case port >= 1<<23:
		return wire.ManagementPort
	default:
		return wire.Port(port)
	}
}
