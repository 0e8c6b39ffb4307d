// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package tap

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/go-vde/sdk/link"
)

func (Driver) open(string, link.Settings) (link.Link, error) {
	return nil, fmt.Errorf("tap devices are opened on Linux, not on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
