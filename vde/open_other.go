// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package vde

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// joined stands for what joining returns on systems that can.
type joined struct{ dir string }

func join(context.Context, locator, *config) (*joined, error) {
	return nil, fmt.Errorf("vde networks on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// These are never called: join makes no joined.

func (j *joined) conn(context.Context, string, *config) *Conn { panic("unreachable") }

func (j *joined) reconnecting(context.Context, string, *config, func(context.Context) (*joined, error)) *Conn {
	panic("unreachable")
}
