// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package seqpacket

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

func open(int, vnl.Locator, link.Settings) (link.Link, error) {
	return nil, fmt.Errorf("seqpacket:// works on Linux, not on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}
