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
type Driver struct{}

var _ link.Driver = Driver{}

// Open implements [link.Driver].
func (Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	a, err := parse(l)
	if err != nil {
		return nil, err
	}
	return open(ctx, l, a, s)
}

// Drivers returns the drivers of all schemes of this package.
func Drivers() link.Mux {
	return link.Mux{"stream": Driver{}, "hyperkit": Driver{}, "bess": Driver{}, "dgram": Driver{}}
}
