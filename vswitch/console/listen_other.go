// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package console

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"runtime"
)

// A Listener is a console's socket.
type Listener struct {
	net.Listener
	path string
	mode fs.FileMode
}

// Listen makes the socket of a console. It works on Linux.
func Listen(path string, mode fs.FileMode, group string) (*Listener, error) {
	return nil, fmt.Errorf("console: listen at %s on %s: %w", path, runtime.GOOS, errors.ErrUnsupported)
}
