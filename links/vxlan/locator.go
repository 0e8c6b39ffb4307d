// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan

import (
	"context"

	"github.com/go-vde/sdk/internal/udpio"
	"github.com/go-vde/sdk/vnl"
)

// The defaults of docs/spec/vnl.md, section 5.3.
const (
	defaultPort   = 4789
	defaultVNI    = 1
	defaultGroup4 = "239.0.0.1"
	defaultGroup6 = "ff05:56de::1"
)

// An address is what a locator says, with its defaults filled in.
type address struct {
	udpio.Params
	remote  udpio.Addr // where frames to unknown addresses go
	ifindex int
}

// parse interprets l, without looking up names.
func parse(l vnl.Locator) (address, error) {
	p, err := udpio.ParseParams(l, udpio.VXLANNames, defaultPort, false, 0)
	if err != nil {
		return address{}, err
	}
	if p.VNI < 0 {
		p.VNI = defaultVNI
	}
	return address{Params: p}, nil
}

// resolve looks up the names in a.
func (a *address) resolve(ctx context.Context) (err error) {
	a.remote, a.ifindex, err = a.Remote(ctx, defaultGroup4, defaultGroup6)
	return err
}

const headerLen = 8

// header returns what precedes each frame.
func (a *address) header() [headerLen]byte {
	return [headerLen]byte{flagVNI, 0, 0, 0, byte(a.VNI >> 16), byte(a.VNI >> 8), byte(a.VNI)}
}

// flagVNI says that the header has a network identifier, as it must.
const flagVNI = 0x08

// parseHeader returns the network identifier of a datagram and the frame in it. It
// reports false if that is not VXLAN. Reserved bits are ignored (RFC 7348, section 5).
func parseHeader(b []byte) (vni int, f []byte, ok bool) {
	if len(b) < headerLen || b[0]&flagVNI == 0 {
		return 0, nil, false
	}
	return int(b[4])<<16 | int(b[5])<<8 | int(b[6]), b[headerLen:], true
}
