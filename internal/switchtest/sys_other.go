// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package switchtest

import (
	"errors"
	"io/fs"

	"github.com/go-vde/sdk/vde"
)

func queuedBytes(*vde.Conn) (int, error) { return 0, errors.ErrUnsupported }
func watchDir(string) (changes, error)   { return nil, errors.ErrUnsupported }
func groupOf(fs.FileInfo) int            { return -1 }
