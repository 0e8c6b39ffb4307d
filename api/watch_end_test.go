// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"testing"

	"connectrpc.com/connect/v2"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vswitch"
)

// TestWatchStatsEndsWithSwitch checks that who watches the counters of a switch that is
// closed is told so, and does not wait for what cannot come.
func TestWatchStatsEndsWithSwitch(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	stream := must(l.client.WatchStats(t.Context(), &pb.WatchStatsRequest{}))(t)
	defer stream.Close()
	must(stream.Receive())(t)
	l.sw.Close()
	var err error
	for range 3 { // one or two may have been under way
		if _, err = stream.Receive(); err != nil {
			break
		}
	}
	wantError(t, "the end", err, connect.CodeUnavailable, "closed")
}
