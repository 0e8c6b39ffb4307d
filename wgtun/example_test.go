// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun_test

import (
	"context"
	"fmt"
	"log"
	"net/netip"
	"time"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/conn/bindtest"
	"golang.zx2c4.com/wireguard/device"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/wgtun"
)

// An office is an Ethernet behind WireGuard.
type office struct {
	network, device, host string // with the length of the prefix
	privateKey, publicKey string // in hexadecimal, as wireguard-go takes them
	endpoint              string // where the other office reaches this one
}

var offices = [2]office{
	{
		network: "10.0.1.0/24", device: "10.0.1.1/24", host: "10.0.1.2/24",
		privateKey: "77076d0a7318a57d3c16c17251b26645df4c6f92ebc9918db51a4d8b4c2c3a68",
		publicKey:  "9363b01aa01a2da7278dfb61482903e561403c5a3c1d18638e3dd2188f387028",
		endpoint:   "127.0.0.1:2",
	},
	{
		network: "10.0.2.0/24", device: "10.0.2.1/24", host: "10.0.2.2/24",
		privateKey: "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e068",
		publicKey:  "3f5989d1ba798a0af2cab472a9061b1cf4b706dbb0c324f96c96b30c40c17313",
		endpoint:   "127.0.0.1:1",
	},
}

// Two Ethernets are joined by WireGuard, and a host on one pings a host on the other.
// With conn.NewDefaultBind in place of the binds for tests, the datagrams of WireGuard
// travel over the machine's network; with vde.Open in place of Attach, the Ethernets are
// any VDE networks.
func Example() {
	binds := bindtest.NewChannelBinds()
	var hosts [2]*netstack.Host
	for i, o := range offices {
		sw := vswitch.New(vswitch.Config{})
		defer sw.Close()
		other := offices[1-i]
		wg := o.join(sw, binds[i], other)
		defer wg.Close() // closes the device and its port too

		port, err := sw.Attach()
		if err != nil {
			log.Fatal(err)
		}
		hosts[i], err = netstack.NewHost(port, netstack.HostConfig{
			Addrs:   []netip.Prefix{netip.MustParsePrefix(o.host)},
			Gateway: netip.MustParsePrefix(o.device).Addr(),
		})
		if err != nil {
			log.Fatal(err)
		}
		defer hosts[i].Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rtt, err := hosts[0].Ping(ctx, netip.MustParseAddr("10.0.2.2"))
	fmt.Println(rtt > 0, err)
	// Output: true <nil>
}

// join puts a device of WireGuard on a switch.
func (o office) join(sw *vswitch.Switch, bind conn.Bind, other office) *device.Device {
	port, err := sw.Attach()
	if err != nil {
		log.Fatal(err)
	}
	tunnel, err := wgtun.New(port, wgtun.Config{
		Addrs:  []netip.Prefix{netip.MustParsePrefix(o.device)},
		Routes: []netip.Prefix{netip.MustParsePrefix(other.network)},
	})
	if err != nil {
		log.Fatal(err)
	}
	wg := device.NewDevice(tunnel, bind, device.NewLogger(device.LogLevelError, "wireguard: "))
	if err := wg.IpcSet(fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=%s\nallowed_ip=%s\n",
		o.privateKey, other.publicKey, other.endpoint, other.network)); err != nil {
		log.Fatal(err)
	}
	if err := wg.Up(); err != nil {
		log.Fatal(err)
	}
	return wg
}
