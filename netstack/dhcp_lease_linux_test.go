// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// TestLeaseTerm checks the times of leases, of which a server may send anything. No
// lease may be renewed more than once in a second.
func TestLeaseTerm(t *testing.T) {
	const none = ^uint32(1)
	for _, tc := range []struct{ lease, t1, t2, renew, rebind, end uint32 }{
		{none, none, none, 1800, 3150, 3600},
		{80, none, none, 40, 70, 80},
		{80, 10, 20, 10, 20, 80},
		{80, 0, none, 40, 70, 80},
		{80, 0, 0, 40, 70, 80},
		{80, 60, 20, 40, 70, 80},
		{80, 80, 80, 40, 70, 80},
		{80, 20, 90, 40, 70, 80},
		{80, 100, none, 40, 70, 80},
		{0, 0, 0, 1, 1, 2},
		{1, none, none, 1, 1, 2},
		{^uint32(0), none, none, ^uint32(0) / 2, 0, ^uint32(0)},
	} {
		m, err := dhcpv4.New()
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range []struct {
			code  dhcpv4.OptionCode
			value uint32
		}{{dhcpv4.OptionIPAddressLeaseTime, tc.lease}, {dhcpv4.OptionRenewTimeValue, tc.t1}, {dhcpv4.OptionRebindingTimeValue, tc.t2}} {
			if o.value != none {
				m.UpdateOption(dhcpv4.OptGeneric(o.code, binary.BigEndian.AppendUint32(nil, o.value)))
			}
		}
		got := termOf(m)
		sec := func(d time.Duration) uint32 { return uint32(d / time.Second) }
		if sec(got.renew) != tc.renew || sec(got.end) != tc.end || tc.rebind != 0 && sec(got.rebind) != tc.rebind {
			t.Errorf("%+v: got %v", tc, got)
		}
		if got.renew < time.Second || got.rebind <= got.renew || got.end <= got.rebind {
			t.Errorf("%+v: out of order: %v", tc, got)
		}
	}
}
