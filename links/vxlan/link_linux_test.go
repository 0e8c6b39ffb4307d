// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan_test

import (
	"context"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/vxlan"
	"github.com/go-vde/sdk/vnl"
)

// open opens a locator in a network namespace.
func open(tb testing.TB, n *testpeers.Namespace, locator string) link.Link {
	tb.Helper()
	l, err := tryOpen(n, locator)
	if err != nil {
		tb.Fatalf("%s: %v", locator, err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

func tryOpen(n *testpeers.Namespace, locator string) (l link.Link, err error) {
	err = n.Do(func() (err error) {
		l, err = vxlan.Driver{}.Open(context.Background(), vnl.Parse(locator), link.Settings{})
		return err
	})
	return l, err
}

// TestLink holds two endpoints to the promises of all links.
func TestLink(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	for _, c := range []struct{ name, a, b string }{
		{"IPv4", "vxlan://" + testpeers.VethB4 + "/vni=5", "vxlan://" + testpeers.VethA4 + "/vni=5"},
		{"IPv6", "vxlan://[" + testpeers.VethB6 + "]/vni=5", "vxlan://" + testpeers.VethA6 + "/vni=5"},
		{"Multicast", "vxlan://", "vxlan://"},
		{"MulticastIPv6", "vxlan:///v6/if=" + testpeers.VethName, "vxlan:///v6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			linktest.Test(t, func(tb testing.TB) (link.Link, link.Link, error) {
				return open(tb, a, c.a), open(tb, b, c.b), nil
			}, linktest.Options{MaxFrameSize: 9018, Unbounded: true, NoHangup: true, Reason: "a network has no end, and its endpoints come and go unseen"})
		})
	}
}
