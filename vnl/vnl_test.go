// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vnl

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestParse(t *testing.T) {
	for _, test := range []struct {
		text string
		want Locator
	}{
		{"", Locator{"vde", ""}},
		{"/tmp/sw[5]", Locator{"vde", "/tmp/sw[5]"}},
		{"vde:///tmp/a://b", Locator{"vde", "/tmp/a://b"}},
		{"tap://lan0", Locator{"tap", "lan0"}},
		{" vde://x", Locator{" vde", "x"}},
		{"://x", Locator{"", "x"}},
	} {
		got := Parse(test.text)
		if got != test.want {
			t.Errorf("%q is %+v, want %+v", test.text, got, test.want)
		}
		if again := Parse(got.String()); again != got {
			t.Errorf("%q is %+v, which is written as %q", test.text, got, got.String())
		}
	}
}

func TestBracketed(t *testing.T) {
	for _, test := range []struct {
		arg, address string
		params       []Param
	}{
		{"/sw", "/sw", nil},
		{"/sw[5]", "/sw", []Param{{"5", "", false}}},
		{"/sw[5/group=a=b//mode=]", "/sw", []Param{{"5", "", false}, {"group", "a=b", true}, {"mode", "", true}}},
		{`/s\[w]['a/b'`, "/s[w]", []Param{{"a/b", "", false}}},
		{"[=5]", "", nil},
	} {
		address, params, err := Locator{"vde", test.arg}.Bracketed()
		if err != nil || address != test.address || !slices.Equal(params, test.params) {
			t.Errorf("%s: %q, %v, %v; want %q, %v", test.arg, address, params, err, test.address, test.params)
		}
	}
	for _, arg := range []string{"/a%00", "/a[x%00]"} {
		if _, _, err := (Locator{"vde", arg}).Bracketed(); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: %v", arg, err)
		}
	}
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "/plain", `it's "[5]" 100%41 \\ a]b`} {
		if address, params, err := (Locator{"vde", Quote(s)}).Bracketed(); err != nil || address != s || params != nil {
			t.Errorf("%q quoted is %q: %q, %v, %v", s, Quote(s), address, params, err)
		}
	}
}

// The quoting and the matching of names are those of the vxvde scheme too,
// whose elements are separated by slashes from the start.
func TestElements(t *testing.T) {
	names := strings.Fields("port vni grp ttl rcvbuf v6 v4 hashsize expiretime if bind")
	for _, test := range []struct {
		arg  string
		want []string // address, then name=value
	}{
		{"239.1.2.3/port=5/vni=3", []string{"239.1.2.3", "port=5", "vni=3"}},
		{"/v", []string{"", "vni="}},
		{"/v6", []string{"", "v6="}},
		{"/p=5", []string{"", "port=5"}},
		{"/i=lo", []string{"", "if=lo"}},
		{"'a/b'/port=7", []string{"a/b", "port=7"}},
		{"/port='1/2'", []string{"", "port=1/2"}},
	} {
		address, rest, more := cutUnquoted(test.arg, '/')
		got := []string{unquote(address)}
		for more {
			address, rest, more = cutUnquoted(rest, '/')
			key, value, _ := strings.Cut(unquote(address), "=")
			got = append(got, MatchName(key, names)+"="+value)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.arg, got, test.want)
		}
	}
}
