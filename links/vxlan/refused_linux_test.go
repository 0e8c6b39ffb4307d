// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan_test

import (
	"context"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
)

// TestRefused has the remote host refuse frames, because nobody has the port there. The
// link goes on, what goes to another endpoint meanwhile arrives whole and in order, and
// each refusal that the kernel was told of is counted.
func TestRefused(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	c := testpeers.NewNamespace(t) // a host without an endpoint
	for _, command := range [][]string{
		{"ip", "link", "add", "ve1", "type", "veth", "peer", "name", "ve1", "netns", c.Path()},
		{"ip", "addr", "add", "10.98.0.1/24", "dev", "ve1"},
		{"ip", "link", "set", "dev", "ve1", "up"},
	} {
		if _, err := a.Exec(context.Background(), command...); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{
		"ip addr add 10.98.0.2/24 dev ve1", "ip link set dev ve1 up",
		"echo 0 >/proc/sys/net/ipv4/icmp_ratelimit", // or one refusal a second is told
	} {
		if _, err := c.Exec(context.Background(), "sh", "-c", command); err != nil {
			t.Fatal(err)
		}
	}
	la, lb := open(t, a, "vxlan://10.98.0.2/vni=1"), open(t, b, "vxlan://"+testpeers.VethA4+"/vni=1")
	f := testFrame(frame.Broadcast(), macB, 1, 60) // teaches where B is
	send(t, lb, f)
	wantFrame(t, la, f)
	const rounds = 100
	for i := range rounds {
		send(t, la, testFrame(frame.Broadcast(), macA, i, 60), testFrame(macB, macA, i, 60+i), testFrame(frame.Broadcast(), macA, i, 61))
	}
	for i := range rounds {
		wantFrame(t, lb, testFrame(macB, macA, i, 60+i))
	}
	var told, counted uint64 // a refusal may still be on its way
	for end := time.Now().Add(time.Minute); told == 0 || told != counted; {
		told, counted = a.Counter(t, "IcmpInDestUnreachs"), la.Caps().Counters().Unsent
		if time.Now().After(end) {
			t.Fatalf("%d refusals are counted, the kernel was told of %d", counted, told)
		}
	}
	if err := la.Err(); err != nil {
		t.Errorf("the link has ended: %v", err)
	}
}
