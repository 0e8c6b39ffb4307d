// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"net"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// TestDHCPLibrary gets a lease with a client that is made for packet sockets, whose
// addresses are of another package.
func TestDHCPLibrary(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	startDHCPServer(t, cb, func(s *dhcpServer, m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 { return s.reply(m, "10.7.1.2") })
	conn, err := vde.NewPayloadConn(ca, frame.EtherTypeIPv4, macA)
	if err != nil {
		t.Fatal(err)
	}
	client, err := nclient4.NewWithConn(nclient4.NewBroadcastUDPConn(conn, &net.UDPAddr{Port: nclient4.ClientPort}), macA.HardwareAddr(),
		nclient4.WithTimeout(watchdog))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	lease, err := client.Request(bound(t))
	if err != nil {
		t.Fatal(err)
	}
	if got := lease.ACK.YourIPAddr.String(); got != "10.7.1.2" {
		t.Errorf("leased %s", got)
	}
}
