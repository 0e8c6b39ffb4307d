// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package null is the driver of the null scheme: a link on which nothing ever comes
// and on which everything may be sent. Like a cable that is plugged in at one end
// only, it serves to hold the place of another.
//
//	c, err := vde.Open(ctx, "null://")
//
// Libvdeplug uses it to run a node without a host: vde_plug null:// switch:///run/sw.
// Whatever follows the scheme is ignored, as there (docs/spec/vnl.md, section 4.8).
package null

import (
	"context"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A Driver opens null links.
type Driver struct{}

var _ link.Driver = Driver{}

// Open implements [link.Driver]. It does not fail.
func (Driver) Open(_ context.Context, l vnl.Locator, _ link.Settings) (link.Link, error) {
	return newLink(l.String()), nil
}
