// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
)

// DefaultDir returns the directory of a locator without a path.
var DefaultDir = defaultDir

// ConfigOf returns the configuration of the switch that d opens for l.
func ConfigOf(d Driver, l vnl.Locator, s link.Settings) (vswitch.Config, error) {
	a, err := parseAddress(l)
	if err != nil {
		return vswitch.Config{}, err
	}
	return d.config(a, s)
}
