// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde_test

import (
	"context"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/vxvde"
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
		l, err = vxvde.Driver{}.Open(context.Background(), vnl.Parse(locator), link.Settings{})
		return err
	})
	return l, err
}

// TestLink holds two members, on two hosts and on one, to the promises of all links.
func TestLink(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	for _, c := range []struct {
		name, locator string
		b             *testpeers.Namespace
	}{
		{"IPv4", "vxvde://", b},
		{"IPv6", "vxvde:///v6", b},
		{"SameHost", "vxvde:///vni=7", a},
		{"SameHostIPv6", "vxvde:///v6/vni=7/if=" + testpeers.VethName, a},
	} {
		t.Run(c.name, func(t *testing.T) {
			linktest.Test(t, func(tb testing.TB) (link.Link, link.Link, error) {
				return open(tb, a, c.locator), open(tb, c.b, c.locator), nil
			}, linktest.Options{MaxFrameSize: 9018, Unbounded: true, NoHangup: true, Reason: "a group has no end, and its members come and go"})
		})
	}
}
