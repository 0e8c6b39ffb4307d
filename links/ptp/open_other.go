// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package ptp

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

func open(context.Context, vnl.Locator, link.Settings) (link.Link, error) {
	return nil, fmt.Errorf("ptp:// works on Linux, not on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
