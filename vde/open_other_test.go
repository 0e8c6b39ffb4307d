// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package vde_test

import (
	"context"
	"errors"
	"testing"

	"github.com/go-vde/sdk/vde"
)

func TestOpenUnsupported(t *testing.T) {
	c, err := vde.Open(context.Background(), "vde:///run/vde.ctl")
	if c != nil || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, %v; want ErrUnsupported", c, err)
	}
}
