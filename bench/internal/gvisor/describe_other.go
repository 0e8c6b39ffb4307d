// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package gvisor

import "errors"

// Describe fails: the endpoints are for Linux.
func Describe() (string, error) { return "", errors.ErrUnsupported }
