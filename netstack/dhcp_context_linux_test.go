// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/go-vde/sdk/netstack"
)

// TestDHCPContext cancels the context of NewHostContext while no server answers. Once
// there is a host, the end of the context must not matter.
func TestDHCPContext(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := netstack.NewHostContext(ctx, ca, netstack.HostConfig{DHCP: true, DHCPTimeout: time.Hour})
		done <- err
	}()
	if _, err := cb.Read(make([]byte, 2000)); err != nil { // the first discover message
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) || !errors.Is(err, netstack.ErrNoLease) {
		t.Error(err)
	}

	ca, cb = pair(t)
	s := startDHCPServer(t, cb, func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
		return s.reply(m, "10.7.1.2", lease(2*time.Second))
	})
	ctx, cancel = context.WithCancel(t.Context())
	h, err := netstack.NewHostContext(ctx, ca, netstack.HostConfig{DHCP: true})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	cancel()
	s.await(dhcpv4.MessageTypeRequest)
	s.await(dhcpv4.MessageTypeRequest) // the renewal
}
