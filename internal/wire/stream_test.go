// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wire_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/wire"
)

func TestStreamName(t *testing.T) {
	if got, want := wire.StreamName(wire.StreamHeaders, 0xfeed), "@VDE-STREAM?0101000000000000feed"; got != want {
		t.Errorf("name %q, want %q", got, want)
	}
	for _, tt := range []struct {
		name     string
		features uint8
		ok       bool
	}{
		{"@VDE-STREAM?0100000000000000feed"[:12] + "01000123456789abcdef", 0, true},
		{"@VDE-STREAM?01010123456789abcdef", wire.StreamHeaders, true},
		{"@VDE-STREAM?01FF0123456789ABCDEF", wire.StreamHeaders, true}, // features of the future
		{"@VDE-STREAM?01fe0123456789abcdef", 0, true},
		{"", 0, false},
		{"/tmp/x", 0, false},
		{"@VDE-STREAM?", 0, false},
		{"VDE-STREAM?01000123456789abcdef", 0, false},
		{"@VDE-STREAM!01000123456789abcdef", 0, false},
		{"@VDE-STREAM?02000123456789abcdef", 0, false}, // another version
		{"@VDE-STREAM?00000123456789abcdef", 0, false},
		{"@VDE-STREAM?0x000123456789abcdef", 0, false},
		{"@VDE-STREAM?01+10123456789abcdef", 0, false},
		{"@VDE-STREAM?01000123456789abcdeg", 0, false},
		{"@VDE-STREAM?01000123456789abcde", 0, false},
		{"@VDE-STREAM?01000123456789abcdef0", 0, false},
		{"@VDE-STREAM?01000123456789abcdef" + strings.Repeat("\x00", 75), 0, false},
	} {
		if features, ok := wire.ParseStreamName(tt.name); features != tt.features || ok != tt.ok {
			t.Errorf("%q: features %#x, %v; want %#x, %v", tt.name, features, ok, tt.features, tt.ok)
		}
	}
}

// longPath returns a path of n bytes.
func longPath(n int) string { return "/" + strings.Repeat("x", n-1) }

func TestStreamAnswer(t *testing.T) {
	for _, n := range []int{1, 50, wire.MaxStreamPathLen} {
		reply, err := wire.AppendReply(nil, longPath(n))
		if err != nil {
			t.Fatal(err)
		}
		plain := string(reply)
		if _, ok, err := wire.ParseStreamAnswer(reply, 0xff); ok || err != nil {
			t.Errorf("a reply without an answer: %v, %v", ok, err)
		}
		if err := wire.PutStreamAnswer(reply, wire.StreamHeaders); err != nil {
			t.Fatalf("a name of %d bytes: %v", n, err)
		}
		if want := plain[:102] + "VDEST!\x01\x01"; string(reply) != want {
			t.Errorf("reply:\n got %q\nwant %q", reply, want)
		}
		if path, err := wire.ParseReply(reply); path != longPath(n) || err != nil {
			t.Errorf("the name is %q, %v", path, err)
		}
		if features, ok, err := wire.ParseStreamAnswer(reply, wire.StreamHeaders); features != wire.StreamHeaders || !ok || err != nil {
			t.Errorf("features %#x, %v, %v", features, ok, err)
		}
		if _, ok, err := wire.ParseStreamAnswer(reply, 0); ok || !errors.Is(err, wire.ErrVersion) {
			t.Errorf("a feature that was not offered: %v, %v", ok, err)
		}
		reply[108] = 2
		if _, ok, err := wire.ParseStreamAnswer(reply, wire.StreamHeaders); ok || !errors.Is(err, wire.ErrVersion) {
			t.Errorf("another version: %v, %v", ok, err)
		}
		if _, ok, err := wire.ParseStreamAnswer(reply[:109], wire.StreamHeaders); ok || err != nil {
			t.Errorf("a part: %v, %v", ok, err)
		}
	}
	for _, path := range []string{longPath(wire.MaxStreamPathLen + 1), longPath(wire.MaxPathLen), longPath(99) + "VDEST!\x01"} {
		reply, err := wire.AppendReply(nil, path)
		if err != nil {
			t.Fatal(err)
		}
		before := string(reply)
		if err := wire.PutStreamAnswer(reply, 0); err == nil || string(reply) != before {
			t.Errorf("a name of %d bytes: %v", len(path), err)
		}
	}
	// A name may look like an answer.
	reply, err := wire.AppendReply(nil, longPath(100)+"VDEST!\x01")
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := wire.ParseStreamAnswer(reply, 0xff); ok || err != nil {
		t.Errorf("a name that looks like an answer: %v, %v", ok, err)
	}
}

// FuzzStream: what is parsed is written the same way again, and no more is taken than
// was offered.
func FuzzStream(f *testing.F) {
	f.Add(wire.StreamName(1, 7), []byte("VDEST!\x01\x01"), uint8(1))
	f.Add("@VDE-STREAM?02000123456789abcdef", []byte("VDEST!\x02\x00"), uint8(0))
	f.Fuzz(func(t *testing.T, name string, answer []byte, offered uint8) {
		if features, ok := wire.ParseStreamName(name); ok {
			if features&^wire.StreamHeaders != 0 {
				t.Errorf("features %#x", features)
			}
			if again := wire.StreamName(features, 0); !strings.EqualFold(again[:14], name[:14]) || len(again) != len(name) {
				t.Errorf("%q and %q", name, again)
			}
		}
		reply, err := wire.AppendReply(nil, "/a")
		if err != nil {
			t.Fatal(err)
		}
		copy(reply[102:], answer)
		features, ok, err := wire.ParseStreamAnswer(reply, offered)
		if ok && err != nil || features&^offered != 0 {
			t.Errorf("features %#x of %#x, %v, %v", features, offered, ok, err)
		}
		if !ok {
			return
		}
		again, err := wire.AppendReply(nil, "/a")
		if err == nil {
			err = wire.PutStreamAnswer(again, features)
		}
		if err != nil || string(again) != string(reply) {
			t.Errorf("%v:\n%q\n%q", err, reply, again)
		}
	})
}
