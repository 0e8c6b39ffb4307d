// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu

import (
	"context"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A Driver opens links of the schemes stream, hyperkit, bess and dgram; which one
// the locator says. Without a deadline in ctx, connecting is bounded to 5 seconds.
// A server, and a client with reconnect, does not wait for its peer in Open.
type Driver struct {
	// OnVPNKit, if not nil, is called with the result of each handshake of VPNKit,
	// before frames pass: whoever is on the link has to use the MAC address. Several
	// goroutines may call it at once for a server, which turns all but one away.
	OnVPNKit func(VPNKit)
}

var _ link.Driver = Driver{}

// Open implements [link.Driver].
func (d Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	a, err := parse(l)
	if err != nil {
		return nil, err
	}
	return d.open(ctx, l, a, s)
}

// Drivers returns the drivers of all schemes of this package.
func Drivers() link.Mux {
	return link.Mux{"stream": Driver{}, "hyperkit": Driver{}, "bess": Driver{}, "dgram": Driver{}}
}
