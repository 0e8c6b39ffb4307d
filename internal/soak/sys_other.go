// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package main

import (
	"errors"
	"time"
)

// There is nothing to soak here: vde.Open returns errors.ErrUnsupported.

func processorTime() time.Duration { return 0 }

func kernel() string { return "no Linux" }

func trySend(uintptr, []byte) error { return errors.ErrUnsupported }

func peerName(uintptr) string { return "" }
