// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package testpeers

import (
	"errors"
	"os"
)

func openPacketSocket(*Namespace, string, bool) (*os.File, error) { return nil, errors.ErrUnsupported }
