// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wire_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/wire"
)

func reply(message string) []byte { return native(message, 2) }

func TestReply(t *testing.T) {
	for _, test := range []struct {
		path  string
		bytes []byte
	}{
		{"/tmp/sw/001.7", reply("\x01\x00" + pad("/tmp/sw/001.7", 108))},
		{"/" + strings.Repeat("p", 106), reply("\x01\x00" + "/" + strings.Repeat("p", 106) + "\x00")},
		{pad("@sw", 108), reply("\x01\x00" + pad("\x00sw", 108))},
	} {
		got, err := wire.AppendReply([]byte("before"), test.path)
		if want := "before" + string(test.bytes); err != nil || string(got) != want {
			t.Errorf("AppendReply(%q):\n got %q, %v\nwant %q", test.path, got, err, want)
		}
		path, err := wire.ParseReply(test.bytes)
		if err != nil || path != test.path {
			t.Errorf("ParseReply:\n got %q, %v\nwant %q", path, err, test.path)
		}
		for n := range test.bytes {
			if _, err := wire.ParseReply(test.bytes[:n]); err != wire.ErrIncomplete {
				t.Errorf("ParseReply of %d bytes: %v", n, err)
			}
		}
	}
}

func TestParseReplyErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"nothing", nil, wire.ErrIncomplete},
		{"family", reply("\x00\x00"), wire.ErrFamily},
		{"no path", reply("\x01\x00" + pad("", 108)), wire.ErrPath},
		{"relative path like an abstract name", reply("\x01\x00" + pad("@x", 108)), wire.ErrPath},
		{"length", reply("\x01\x00" + pad("/x", 109)), wire.ErrTooLong},
	} {
		if path, err := wire.ParseReply(test.bytes); !errors.Is(err, test.want) || path != "" {
			t.Errorf("%s: got %q, %v; want %v", test.name, path, err, test.want)
		}
	}
}

func TestAppendReplyErrors(t *testing.T) {
	for _, path := range []string{"", "@", "/a\x00b", "/" + strings.Repeat("p", 107)} {
		b, err := wire.AppendReply([]byte("before"), path)
		if !errors.Is(err, wire.ErrPath) || string(b) != "before" {
			t.Errorf("AppendReply(%q) = %q, %v", path, b, err)
		}
	}
}

func FuzzParseReply(f *testing.F) {
	f.Add(reply("\x01\x00" + pad("/tmp/sw/001.7", 108)))
	f.Add(reply("\x01\x00" + pad("\x00abstract", 108)))
	f.Add(reply("\x01\x00" + strings.Repeat("p", 108)))
	f.Add(reply("\x01\x00@"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path, err := wire.ParseReply(b)
		if err != nil {
			if path != "" {
				t.Errorf("error %v with path %q", err, path)
			}
			if err != wire.ErrIncomplete {
				if _, more := wire.ParseReply(append(slices.Clip(b), 'x')); more == nil || more == wire.ErrIncomplete {
					t.Errorf("%v, but with another byte %v", err, more)
				}
			} else if len(b) >= wire.ReplyLen {
				t.Errorf("%d bytes are said to be incomplete", len(b))
			}
			return
		}
		if len(b) != wire.ReplyLen || path == "" {
			t.Fatalf("path %q from %d bytes", path, len(b))
		}
		if path[0] != '@' && !strings.HasPrefix(string(b[2:])+"\x00", path+"\x00") {
			t.Errorf("path %q from %q", path, b)
		}

		again, err := wire.AppendReply(nil, path)
		if path[0] != '@' && len(path) > wire.MaxPathLen {
			if !errors.Is(err, wire.ErrPath) {
				t.Errorf("path without a NUL encoded: %v", err)
			}
			return
		}
		if err != nil {
			t.Fatalf("parsed %q, which does not encode: %v", path, err)
		}
		if path[0] == '@' && !slices.Equal(again, b) {
			t.Errorf("abstract name changed: %q became %q", b, again)
		}
		if p, err := wire.ParseReply(again); err != nil || p != path {
			t.Errorf("round trip: %q became %q, %v", path, p, err)
		}
	})
}
