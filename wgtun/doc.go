// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package wgtun lets wireguard-go run on a VDE network: a [Device] is the tun.Device of
// golang.zx2c4.com/wireguard, and a port of the network is on its other side. Use it to
// connect VDE networks, or hosts on one, through WireGuard in a Go program, without
// privileges or a kernel interface. For the encrypted datagrams any conn.Bind serves,
// that of wireguard-go for the machine's network included.
//
//	port, err := vde.Open(ctx, "vde:///run/vde.ctl")
//	...
//	tunnel, err := wgtun.New(port, wgtun.Config{
//		Addrs:  []netip.Prefix{netip.MustParsePrefix("10.0.1.1/24")}, // on the Ethernet
//		Routes: []netip.Prefix{netip.MustParsePrefix("10.0.2.0/24")}, // behind the tunnel
//	})
//	...
//	wg := device.NewDevice(tunnel, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, ""))
//	err = wg.IpcSet("private_key=...")
//	...
//	err = wg.Up()
//
// A tun.Device carries IP packets, and VDE carries Ethernet frames. So the Device is an
// IP router with two interfaces. On the Ethernet it has addresses, answers ARP requests,
// neighbour solicitations and pings, and finds the Ethernet addresses of others. Hosts
// there use it as the gateway to the networks behind the tunnel: [netstack.Host] with
// its field Gateway, Linux with ip route add. The Device forwards as a router does: it
// decrements the time to live, fragments IPv4 packets that may be, and reports others
// that are too long for the next link, so that hosts find the MTU of the path.
//
// # Dropping
//
// Nothing that is sent to a Device makes it wait. When WireGuard does not read, or the
// Ethernet does not take frames, a bounded number of packets wait, and more are dropped.
// [Stats] has a counter for each cause.
//
// # Limits
//
// The Device has no sockets: a program that wants some opens a port for a
// [netstack.Host]. It forwards no multicast, has no firewall, and does not answer ARP
// requests for the networks behind the tunnel. Any endpoint of the Ethernet can send to
// these networks, and under any address. What comes out of the tunnel has an address
// that WireGuard allows its sender (AllowedIPs).
package wgtun
