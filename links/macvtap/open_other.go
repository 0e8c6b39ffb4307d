// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package macvtap

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/go-vde/sdk/link"
)

func (Driver) open(string, link.Settings) (link.Link, error) {
	return nil, fmt.Errorf("macvtap devices are opened on Linux, not on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
