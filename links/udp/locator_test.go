// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestLocator(t *testing.T) {
	for arg, want := range map[string]address{
		"20001->127.0.0.1:20002":            {"", "20001", "127.0.0.1", "20002"},
		"10.0.0.1:1->10.0.0.2:2":            {"10.0.0.1", "1", "10.0.0.2", "2"},
		"->h:2":                             {"", "", "h", "2"},
		":->h:2":                            {"", "", "h", "2"},
		"a:->h:2":                           {"a", "", "h", "2"},
		"20001->::1:20002":                  {"", "20001", "::1", "20002"},
		"::1:20001->::1:20002":              {"::1", "20001", "::1", "20002"},
		"[::1]:20001->[fe80::1%eth0]:20002": {"[::1]", "20001", "[fe80::1%eth0]", "20002"},
		"1->h->i:2":                         {"", "1", "h->i", "2"},
	} {
		if got, err := parseAddress(arg); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", arg, got, err, want)
		}
	}
	for _, arg := range []string{"", "1", "1->", "1->h", "1->h:", "1->:2", "1:h:2", "1->h\x00:2"} {
		if got, err := parseAddress(arg); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%q: %+v, %v; want EINVAL", arg, got, err)
		}
	}
}

// FuzzLocator puts the parts of a locator together again: they are the locator, and
// none of them holds a delimiter that would have ended it.
func FuzzLocator(f *testing.F) {
	for _, s := range []string{"1->h:2", "a:1->b:2", "[::1]:1->::1:2", "->a:1", "1->2->3:4", "::->::"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		a, err := parseAddress(arg)
		if err != nil {
			if !errors.Is(err, syscall.EINVAL) {
				t.Fatalf("%v, want EINVAL", err)
			}
			return
		}
		src := a.srcPort
		if strings.Contains(arg[:strings.Index(arg, "->")], ":") {
			src = a.srcHost + ":" + a.srcPort
		}
		if again := src + "->" + a.dstHost + ":" + a.dstPort; again != arg {
			t.Fatalf("%q became %q", arg, again)
		}
		if strings.Contains(a.srcPort+a.dstPort, ":") || a.dstHost == "" || a.dstPort == "" {
			t.Fatalf("%q: %+v", arg, a)
		}
	})
}
