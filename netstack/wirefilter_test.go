// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"net/netip"
	"sync"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/netstack"
)

// TestTransferThroughWirefilter transfers data over a wire that delays, loses,
// duplicates and reorders frames.
func TestTransferThroughWirefilter(t *testing.T) {
	testpeers.Need(t, "vde_switch", "wirefilter")
	t.Parallel()
	a, b := testpeers.StartSwitch(t, testpeers.SwitchConfig{}), testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{
		"wirefilter", "-v", a.Dir() + ":" + b.Dir(),
		"-d", "20+4", // milliseconds
		"-l", "1", "-D", "1", // per cent
		"-N", // let frames overtake
	}})
	for _, sw := range []*testpeers.Switch{a, b} {
		if err := sw.WaitActive(bound(t), 1); err != nil {
			t.Fatal(err)
		}
	}
	server, client := host(t, open(t, a.VNL()), netstack.HostConfig{}), host(t, open(t, b.VNL()), netstack.HostConfig{})
	size := scaled(4<<20, 1<<20)
	sum := payloadSum(size)
	var transfers sync.WaitGroup // they mostly wait for retransmissions
	for _, addr := range []netip.Addr{addr4(server), addr6(server)} {
		l := listen(t, server, "tcp", netip.AddrPortFrom(addr, 0).String())
		serveHTTP(t, l, size)
		transfers.Go(func() {
			got, err := httpGet(bound(t), url(addr, int(listenPort(l)), "/get"), client.DialContext)
			if err != nil || got != sum {
				t.Errorf("%v: got %q (%v), not %q", addr, got, err, sum)
			}
		})
	}
	transfers.Wait()
	st := server.Stats()
	t.Logf("retransmits %d, timeouts %d, segments %d, dropped by us %d",
		st.TCPRetransmits, st.TCPTimeouts, st.TCPSegmentsSent, st.Endpoint.TxDropped())
	if st.TCPRetransmits == 0 {
		t.Error("a wire that loses frames cost no retransmission")
	}
}
