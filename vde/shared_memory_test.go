// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"testing"

	"github.com/go-vde/sdk/vde"
)

func TestSharedMemoryText(t *testing.T) {
	for mode, text := range map[vde.SharedMemory]string{
		vde.SharedMemorySameUser: "same-user", vde.SharedMemoryAlways: "always", vde.SharedMemoryNever: "never",
	} {
		var got vde.SharedMemory
		if err := got.UnmarshalText([]byte(text)); err != nil || got != mode || mode.String() != text {
			t.Errorf("%q is %v, %v; %d is %q", text, got, err, mode, mode.String())
		}
		if b, err := mode.MarshalText(); string(b) != text || err != nil {
			t.Errorf("%d is %q, %v", mode, b, err)
		}
	}
	var got vde.SharedMemory
	if err := got.UnmarshalText([]byte("sometimes")); err == nil {
		t.Error("sometimes is a mode")
	}
	if s := vde.SharedMemory(7).String(); s != "SharedMemory(7)" {
		t.Errorf("7 is %q", s)
	}
	if _, err := vde.Open(t.Context(), t.TempDir(), vde.WithSharedMemory(3)); err == nil {
		t.Error("mode 3 was accepted")
	}
}
