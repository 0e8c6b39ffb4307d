// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
)

// TestInterfaceChanges has links go on when the interface that they use is removed and
// made again: those to a group, which has to be joined again, and those to one endpoint.
func TestInterfaceChanges(t *testing.T) {
	for _, c := range []struct{ name, a, b string }{
		{"Group", "vxlan://", "vxlan://"},
		{"GroupByInterface", "vxlan:///if=ve0", "vxlan:///if=ve0"},
		{"GroupIPv6", "vxlan:///v6", "vxlan:///v6/if=ve0"},
		{"GroupOfTheLink", "vxlan://ff02::42/if=ve0", "vxlan://[ff02::42%ve0]"},
		{"Unicast", "vxlan://" + testpeers.VethB4 + "/if=ve0", "vxlan://" + testpeers.VethA4},
		{"UnicastIPv6", "vxlan://" + testpeers.VethB6 + "/if=ve0", "vxlan://" + testpeers.VethA6},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "Group" && c.name != "GroupOfTheLink" {
				t.Skip("in the long run")
			}
			t.Parallel()
			a, b := testpeers.NewVeth(t)
			var as, bs []link.Link // two, which share the port and the group
			for vni := range 2 {
				as = append(as, open(t, a, fmt.Sprintf("%s/vni=%d", c.a, vni)))
				bs = append(bs, open(t, b, fmt.Sprintf("%s/vni=%d", c.b, vni)))
			}
			number := byte(0)
			for _, change := range testpeers.VethChanges() {
				change.Apply(t, a, b)
				for i := range as {
					number += 2
					testpeers.Arrives(t, change.Name, as[i], bs[i], number)
					testpeers.Arrives(t, change.Name, bs[i], as[i], number+1)
				}
			}
		})
	}
}

// TestZoneAndInterface refuses an address with a zone that is not the interface.
func TestZoneAndInterface(t *testing.T) {
	n, _ := testpeers.NewVeth(t)
	if _, err := tryOpen(n, "vxlan://ff02::42%ve0/if=lo"); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("two interfaces: %v, want EINVAL", err)
	}
	open(t, n, "vxlan://ff02::42%ve0/if=ve0")
}
