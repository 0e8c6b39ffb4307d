// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package vxlan

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

func open(_ context.Context, l vnl.Locator, _ link.Settings) (link.Link, error) {
	if _, err := parse(l); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("the driver vxlan works on Linux, not on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
