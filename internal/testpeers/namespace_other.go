// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package testpeers

import (
	"context"
	"errors"
	"os"
)

func newNetNS() (*os.File, error)                 { return nil, errors.ErrUnsupported }
func enterNetNS(*os.File, func() error) error     { return errors.ErrUnsupported }
func (*Namespace) sysctl(key, value string) error { return errors.ErrUnsupported }

type linkWatch struct{}

func watchLink(*Namespace, string) (*linkWatch, error) { return nil, errors.ErrUnsupported }
func (*linkWatch) close()                              {}
func (*linkWatch) waitRunning(context.Context) error   { return errors.ErrUnsupported }
