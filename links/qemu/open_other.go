// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package qemu

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

func (Driver) open(_ context.Context, l vnl.Locator, _ address, _ link.Settings) (link.Link, error) {
	return nil, fmt.Errorf("%s:// works on Linux, not on %s: %w", l.Scheme, runtime.GOOS, errors.ErrUnsupported)
}
