// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch/node"
)

// drivers are the drivers that all commands have beside those of vde.Open.
func drivers() vde.Option { return vde.WithDrivers(node.Drivers()) }
