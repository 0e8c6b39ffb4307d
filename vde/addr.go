// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"net"

	"github.com/go-vde/sdk/frame"
)

// An Addr is an Ethernet address as a [net.Addr]; it is comparable.
type Addr struct{ MAC frame.MAC }

var _ net.Addr = Addr{}

// Network returns "vde".
func (a Addr) Network() string { return network }

// String returns the usual colon form.
func (a Addr) String() string { return a.MAC.String() }

// network is what every net.Addr and net.OpError of this package is about.
const network = "vde"

// A portAddr is the address of a Conn itself: the locator of its network.
type portAddr string

func (a portAddr) Network() string { return network }
func (a portAddr) String() string  { return string(a) }
