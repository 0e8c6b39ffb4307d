// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"testing"

	"github.com/go-vde/sdk/vde"
)

func TestStreamsText(t *testing.T) {
	for mode, text := range map[vde.Streams]string{
		vde.StreamsAuto: "auto", vde.StreamsAlways: "always", vde.StreamsNever: "never",
	} {
		var got vde.Streams
		if err := got.UnmarshalText([]byte(text)); err != nil || got != mode || mode.String() != text || !mode.Valid() {
			t.Errorf("%q is %v, %v; %d is %q", text, got, err, mode, mode.String())
		}
		if b, err := mode.MarshalText(); string(b) != text || err != nil {
			t.Errorf("%d is %q, %v", mode, b, err)
		}
	}
	got := vde.StreamsNever
	if err := got.UnmarshalText([]byte("sometimes")); err == nil || got != vde.StreamsNever {
		t.Error("sometimes is a mode")
	}
	if s := vde.Streams(7).String(); s != "Streams(7)" {
		t.Errorf("7 is %q", s)
	}
	if _, err := vde.Open(t.Context(), t.TempDir(), vde.WithStreams(3)); err == nil {
		t.Error("mode 3 was accepted")
	}
}
