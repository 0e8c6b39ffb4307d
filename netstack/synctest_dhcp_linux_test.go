// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
)

// TestBubbleDHCP renews a lease of an hour for half a day.
func TestBubbleDHCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{})
		defer sw.Close()
		var renewals atomic.Int32
		startDHCPServer(t, attach(t, sw), func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
			switch {
			case m.MessageType() == dhcpv4.MessageTypeRelease:
				return nil
			case !m.ClientIPAddr.IsUnspecified():
				renewals.Add(1)
			}
			return s.reply(m, "10.7.1.2", lease(time.Hour))
		})
		h, err := netstack.NewHost(attach(t, sw), netstack.HostConfig{DHCP: true})
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		time.Sleep(12 * time.Hour)
		if n := renewals.Load(); n < 20 || n > 25 || len(h.Addrs()) != 1 {
			t.Errorf("%d renewals, addresses %v", n, h.Addrs())
		}
	})
}
