// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"testing"
)

// The interface and the addresses of the two ends of [NewVeth].
const (
	VethName = "ve0"
	VethA4   = "10.99.0.1"
	VethB4   = "10.99.0.2"
	VethA6   = "fd99::1"
	VethB6   = "fd99::2"
)

// NewVeth makes two network namespaces joined by a veth cable of an MTU of 1500. Each
// has a default route by it, so multicast groups are reached too. It needs root.
func NewVeth(t testing.TB) (a, b *Namespace) {
	t.Helper()
	a, b = NewNamespace(t), NewNamespace(t)
	ConnectVeth(t, a, b)
	return a, b
}

// ConnectVeth joins two namespaces by a cable as that of [NewVeth], which has none or
// has been deleted.
func ConnectVeth(t testing.TB, a, b *Namespace) {
	t.Helper()
	runIn(t, a, "ip", "link", "add", VethName, "type", "veth", "peer", "name", VethName, "netns", b.Path())
	ConfigureVeth(t, a, b)
}

// runIn runs a command in a namespace.
func runIn(t testing.TB, n *Namespace, command ...string) {
	t.Helper()
	if _, err := n.Exec(context.Background(), command...); err != nil {
		t.Fatal(err)
	}
}

// ConfigureVeth gives the ends of a cable, which have just been made or moved to the
// namespaces, their addresses and routes, and waits until it can be used.
func ConfigureVeth(t testing.TB, a, b *Namespace) {
	t.Helper()
	var watches []*linkWatch
	for _, n := range []*Namespace{a, b} {
		w, err := watchLink(n, VethName)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		watches = append(watches, w)
	}
	for n, addrs := range map[*Namespace][2]string{a: {VethA4, VethA6}, b: {VethB4, VethB6}} {
		runIn(t, n, "ip", "addr", "replace", addrs[0]+"/24", "dev", VethName)
		runIn(t, n, "ip", "addr", "replace", addrs[1]+"/64", "dev", VethName, "nodad")
		runIn(t, n, "ip", "link", "set", "dev", VethName, "up")
		runIn(t, n, "ip", "route", "replace", "default", "dev", VethName)
		runIn(t, n, "ip", "-6", "route", "replace", "default", "dev", VethName)
	}
	ctx, cancel := bounded(context.Background())
	defer cancel()
	for _, w := range watches { // what is sent before is lost
		if err := w.waitRunning(ctx); err != nil {
			t.Fatalf("veth cable: %v", err)
		}
	}
}

// StartVdePlugIn is [StartVdePlug] in a network namespace.
func StartVdePlugIn(t testing.TB, n *Namespace, network string, options ...string) *VdePlug {
	t.Helper()
	return startVdePlug(t, n, nil, network, options)
}
