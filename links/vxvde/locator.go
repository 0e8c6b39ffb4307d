// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde

import (
	"context"
	"os"

	"github.com/go-vde/sdk/internal/udpio"
	"github.com/go-vde/sdk/vnl"
)

// The defaults of docs/spec/vnl.md, section 5.2.
const (
	defaultPort   = 14789
	defaultGroup4 = "239.0.0.1"
	defaultGroup6 = "ff05:56de::1"
)

// An address is what a locator says, with its defaults filled in.
type address struct {
	udpio.Params
	group   udpio.Addr
	ifindex int
}

// parse interprets l, without looking up names.
func parse(l vnl.Locator) (address, error) {
	p, err := udpio.ParseParams(l, udpio.VXVDENames, defaultPort, true, os.Getegid())
	if err != nil {
		return address{}, err
	}
	switch {
	case p.VNI >= 0:
	case p.Group >= 0:
		p.VNI = p.Group & 0xffffff
	default:
		p.VNI = 1
	}
	if p.TTL < 0 {
		p.TTL = 1
	}
	return address{Params: p}, nil
}

// resolve looks up the names in a.
func (a *address) resolve(ctx context.Context) (err error) {
	if a.group, a.ifindex, err = a.Remote(ctx, defaultGroup4, defaultGroup6); err != nil {
		return err
	}
	if !a.group.IsMulticast() {
		return vnl.Errorf("%s is not the address of a multicast group (for a single host use udp:// or vxlan://)", a.group.AddrPort().Addr())
	}
	if g := a.Group; g >= 0 {
		copy(a.group.IP[13:], []byte{byte(g >> 16), byte(g >> 8), byte(g)})
	}
	return nil
}

// header returns what precedes each frame.
func (a *address) header() [8]byte {
	return [8]byte{0x08, 0, 0, 0, byte(a.VNI >> 16), byte(a.VNI >> 8), byte(a.VNI)}
}
