// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vnl

import (
	"errors"
	"slices"
	"syscall"
	"testing"
)

// The vectors are those of docs/spec/vnl.md, section 3.4.
func TestSlashed(t *testing.T) {
	for _, c := range []struct {
		arg, address string
		params       []Param
	}{
		{"239.1.2.3/port=5/vni=3", "239.1.2.3", []Param{{"port", "5", true}, {"vni", "3", true}}},
		{"/v", "", []Param{{"v", "", false}}},
		{"/v6", "", []Param{{"v6", "", false}}},
		{"/p=5", "", []Param{{"p", "5", true}}},
		{"/i=lo", "", []Param{{"i", "lo", true}}},
		{"'a/b'/port=7", "a/b", []Param{{"port", "7", true}}},
		{"/port='1/2'", "", []Param{{"port", "1/2", true}}},
		{"", "", nil},
		{"a", "a", nil},
		{"a//=5/", "a", nil},
		{`a%2Fb\/c/vni=%33`, "a/b/c", []Param{{"vni", "3", true}}},
		{"ff05::1[x]/vni=1", "ff05::1[x]", []Param{{"vni", "1", true}}},
	} {
		address, params, err := Locator{"vxvde", c.arg}.Slashed()
		if err != nil || address != c.address || !slices.Equal(params, c.params) {
			t.Errorf("%q: %q, %v, %v; want %q, %v", c.arg, address, params, err, c.address, c.params)
		}
	}
	for _, arg := range []string{"a%00", "a/b%00", "\x00"} {
		if _, _, err := (Locator{"vxvde", arg}).Slashed(); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%q: %v, want EINVAL", arg, err)
		}
	}
}
