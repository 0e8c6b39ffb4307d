// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package vswitch

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"runtime"
)

func listenSocket(path string, _ fs.FileMode, _ string) (net.Listener, error) {
	return nil, fmt.Errorf("vswitch: listening on %s on %s: %w", path, runtime.GOOS, errors.ErrUnsupported)
}
