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
	run := func(n *Namespace, command ...string) {
		t.Helper()
		if _, err := n.Exec(context.Background(), command...); err != nil {
			t.Fatal(err)
		}
	}
	run(a, "ip", "link", "add", VethName, "type", "veth", "peer", "name", VethName, "netns", b.Path())
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
		run(n, "ip", "addr", "add", addrs[0]+"/24", "dev", VethName)
		run(n, "ip", "addr", "add", addrs[1]+"/64", "dev", VethName, "nodad")
		run(n, "ip", "link", "set", "dev", VethName, "up")
		run(n, "ip", "route", "add", "default", "dev", VethName)
		run(n, "ip", "-6", "route", "add", "default", "dev", VethName)
	}
	ctx, cancel := bounded(context.Background())
	defer cancel()
	for _, w := range watches { // what is sent before is lost
		if err := w.waitRunning(ctx); err != nil {
			t.Fatalf("veth cable: %v", err)
		}
	}
	return a, b
}

// StartVdePlugIn is [StartVdePlug] in a network namespace.
func StartVdePlugIn(t testing.TB, n *Namespace, network string, options ...string) *VdePlug {
	t.Helper()
	return startVdePlug(t, n, nil, network, options)
}
