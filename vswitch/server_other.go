// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package vswitch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
)

// A Listener answers the VDE control protocol in one directory.
type Listener struct{ dir string }

// Listen makes the control directory dir. It works on Linux.
func (sw *Switch) Listen(dir string) (*Listener, error) {
	return nil, fmt.Errorf("vswitch: serving %s on %s: %w", dir, runtime.GOOS, errors.ErrUnsupported)
}

// Dir returns the control directory.
func (l *Listener) Dir() string { return l.dir }

// Serve answers until ctx ends or the switch is closed.
func (l *Listener) Serve(context.Context) error { return errors.ErrUnsupported }

// Close ends the Listener.
func (l *Listener) Close() error { return nil }

func (l *Listener) end(error) error { return nil }
