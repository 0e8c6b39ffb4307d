// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame_test

import (
	"math"
	"testing"

	"github.com/go-vde/sdk/frame"
)

// TestEtherTypeText checks that each value has a text form of its own.
func TestEtherTypeText(t *testing.T) {
	for n := range math.MaxUint16 + 1 {
		want := frame.EtherType(n)
		b, err := want.MarshalText()
		if err != nil || string(b) != want.String() {
			t.Fatalf("%#04x is %q, %v, want %q", n, b, err, want)
		}
		got := ^want
		if err := got.UnmarshalText(b); err != nil || got != want {
			t.Fatalf("%#04x: %q became %#04x, %v", n, b, uint16(got), err)
		}
	}
	for _, bad := range []string{"", "ipv4", "0800", "0x", "0x10000", "length", "length 1501", "length 0x1", "length -1"} {
		got := frame.EtherTypeARP
		if err := got.UnmarshalText([]byte(bad)); err == nil || got != frame.EtherTypeARP {
			t.Errorf("%q became %v, %v", bad, got, err)
		}
	}
	var got frame.EtherType
	if err := got.UnmarshalText([]byte("0x0800")); err != nil || got != frame.EtherTypeIPv4 {
		t.Errorf("0x0800 became %v, %v", got, err)
	}
}
