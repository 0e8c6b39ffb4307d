// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"context"
	"time"
)

// minLease bounds the lease time from below, and with it the rate of renewals: to one
// in a second.
const minLease = 2 * time.Second

// A leaseTerm has the times of a lease since it was given: T1 and T2 of RFC 2131 and
// RFC 8415, and its end.
type leaseTerm struct {
	renew, rebind, end time.Duration
}

// pause waits for t. It returns false if ctx ends before.
func pause(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
