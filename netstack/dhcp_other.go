// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package netstack

import (
	"context"
	"errors"
	"fmt"
)

// A dhcpClient does nothing. The DHCP library builds on Linux only.
type dhcpClient struct{}

func (h *Host) startDHCP(context.Context, *HostConfig) error {
	return fmt.Errorf("DHCP: %w", errors.ErrUnsupported)
}

func (d *dhcpClient) stop() {}
