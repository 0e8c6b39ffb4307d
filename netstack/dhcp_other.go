// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package netstack

import (
	"errors"
	"time"
)

// A dhcpClient keeps a host's lease. The library it stands on builds on Linux
// only.
type dhcpClient struct{}

func (h *Host) startDHCP(time.Duration) error { return errors.ErrUnsupported }

func (d *dhcpClient) stop() {}
