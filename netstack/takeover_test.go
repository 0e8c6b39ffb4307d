// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/go-vde/sdk/netstack"
)

// TestNewHostFailsWithoutClose checks that a connection still works after NewHost has
// failed late.
func TestNewHostFailsWithoutClose(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	for range 2 {
		_, err := netstack.NewHost(ca, netstack.HostConfig{DHCP: true, DHCPTimeout: time.Millisecond})
		if !errors.Is(err, netstack.ErrNoLease) {
			t.Fatal(err)
		}
	}
	if ca.Err() != nil {
		t.Fatalf("the connection has ended: %v", ca.Err())
	}
	a, b := host(t, ca, netstack.HostConfig{}), host(t, cb, netstack.HostConfig{})
	for _, to := range []netip.Addr{addr4(a), addr6(a)} {
		if _, err := b.Ping(bound(t), to); err != nil {
			t.Error(err)
		}
	}
}
