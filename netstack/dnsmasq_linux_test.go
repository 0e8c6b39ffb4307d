// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/netstack"
)

// TestDnsmasq gets a lease from dnsmasq on the kernel's TCP/IP stack, renews it when it
// is due (without -short), and releases it.
func TestDnsmasq(t *testing.T) {
	testpeers.Need(t, "dnsmasq", "vde_plug", "ip", "CAP_NET_ADMIN", "/dev/net/tun")
	t.Parallel()
	vnl := listeningSwitch(t)
	kernel := testpeers.StartKernelTap(t, vnl, testpeers.KernelTapConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.98.0.1/24")}})
	leases := filepath.Join(t.TempDir(), "leases")
	server := testpeers.StartProcess(t, testpeers.ProcessConfig{
		Args: []string{
			"dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--pid-file=", "--user=root", "--port=0",
			"--log-facility=-", "--log-dhcp", "--interface=" + kernel.Name(), "--dhcp-leasefile=" + leases, "--dhcp-authoritative",
			"--dhcp-range=10.98.0.50,10.98.0.60,255.255.255.0,2m", // its shortest lease, which it has renewed after 59 seconds
			"--dhcp-option=option:mtu,1400", "--dhcp-option=option:dns-server,10.98.0.53",
			"--dhcp-option=option:classless-static-route,0.0.0.0/0,10.98.0.1,192.0.2.0/24,10.98.0.2",
		},
		Namespace: kernel.Namespace,
	})
	h, err := netstack.NewHostContext(bound(t), open(t, vnl), netstack.HostConfig{
		DHCP: true, DHCPTimeout: watchdog, MAC: netstack.StableMAC("dnsmasq"), Hostname: "web", ClientID: []byte("\x00web"),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	leased := h.Addrs()
	if len(leased) != 1 || !netip.MustParsePrefix("10.98.0.0/24").Contains(leased[0].Addr()) || leased[0].Bits() != 24 {
		t.Errorf("leased %v", leased)
	}
	if dns := h.DNS(); len(dns) != 1 || dns[0] != netip.MustParseAddr("10.98.0.53") {
		t.Errorf("name servers %v", dns)
	}
	if mtu := h.Endpoint().MTU(); mtu != 1400 {
		t.Errorf("MTU %d", mtu)
	}
	if n := len(h.Stack().GetRouteTable()); n != 5 { // broadcast, multicast, network and two of the server
		t.Errorf("routes %v", h.Stack().GetRouteTable())
	}
	if !testing.Short() { // the renewal is due after a minute
		awaitLog(t, server, "two acknowledgements", func(log string) bool { return strings.Count(log, "DHCPACK") >= 2 })
	}
	if b, err := os.ReadFile(leases); err != nil || !strings.Contains(string(b), " web 00:77:65:62") {
		t.Errorf("leases %q, %v", b, err)
	}
	h.Close()
	awaitLog(t, server, "release", func(log string) bool { return strings.Contains(log, "DHCPRELEASE") })
}

// awaitLog waits until the log of p contains what.
func awaitLog(t *testing.T, p *testpeers.Process, what string, ok func(log string) bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := bound(t)
	for !ok(p.Log()) {
		select {
		case <-tick.C:
		case <-end.Done():
			t.Fatalf("no %s in the log:\n%s", what, p.Log())
		}
	}
}
