// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestMTU pings and transfers data between hosts with each MTU, through sockets and
// through a switch in this process.
func TestMTU(t *testing.T) {
	size := scaled(64<<20, 2<<20)
	sum := payloadSum(size)
	for _, mtu := range []int{1280, 1500, 9000, 65520, netstack.MaxMTU} {
		opt := vde.WithMaxFrameSize(max(mtu+14, 1514))
		t.Run(fmt.Sprintf("sockets/mtu=%d", mtu), func(t *testing.T) {
			t.Parallel()
			a, b := pair(t, opt)
			testMTU(t, a, b, mtu, size, sum)
		})
		t.Run(fmt.Sprintf("vswitch/mtu=%d", mtu), func(t *testing.T) {
			t.Parallel()
			sw := vswitch.New(vswitch.Config{MaxFrameSize: max(mtu+14, 1514)})
			t.Cleanup(func() { sw.Close() })
			testMTU(t, attach(t, sw, opt), attach(t, sw, opt), mtu, size, sum)
		})
	}
}

func testMTU(t *testing.T, a, b *vde.Conn, mtu int, size int64, sum string) {
	server, client := host(t, a, netstack.HostConfig{MTU: mtu}), host(t, b, netstack.HostConfig{MTU: mtu})
	for _, addr := range []netip.Addr{addr4(server), addr6(server)} {
		for _, n := range []int{0, mtu - 48, mtu - 28} {
			if _, err := client.PingData(bound(t), addr, make([]byte, n)); err != nil {
				t.Error(n, err)
			}
		}
		l, err := server.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		if err != nil {
			t.Fatal(err)
		}
		serveHTTP(t, l, size)
		start := time.Now()
		got, err := httpGet(bound(t), url(addr, l.Addr().(*net.TCPAddr).Port, "/get"), client.DialContext)
		if err != nil || got != sum {
			t.Errorf("got %q (%v), not %q", got, err, sum)
		}
		t.Logf("%v: %.1f Gbit/s", addr, float64(size)*8/1e9/time.Since(start).Seconds())
	}
	st := server.Stats()
	if dropped(st.Endpoint) != 0 || st.Endpoint.RxFiltered != 0 || st.Endpoint.Conn.RxTruncated != 0 {
		t.Errorf("%+v", st.Endpoint)
	}
	t.Logf("%.1f frames/call, %d retransmits", float64(st.Endpoint.Conn.TxFrames)/float64(st.Endpoint.Conn.TxCalls), st.TCPRetransmits)
}
