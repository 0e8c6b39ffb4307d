// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vswitch"
)

// TestCallsPaced checks that clients which ask again and again, of whom some may only look,
// do not hold up forwarding all the time: the counters are looked at once in a millisecond.
func TestCallsPaced(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	var answered atomic.Int64
	var asking sync.WaitGroup
	start := time.Now()
	for i := range 8 {
		asking.Go(func() {
			for time.Since(start) < 300*time.Millisecond {
				var err error
				switch i % 3 {
				case 0:
					_, err = l.client.GetPort(t.Context(), &pb.GetPortRequest{Port: proto.Uint32(1)})
				case 1:
					_, err = l.client.GetStats(t.Context(), &pb.GetStatsRequest{})
				case 2:
					_, err = l.client.ListPorts(t.Context(), &pb.ListPortsRequest{})
				}
				if err != nil {
					t.Error(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	asking.Wait()
	if most := 1 + int64(time.Since(start)/time.Millisecond); answered.Load() > most {
		t.Errorf("the counters were looked at %d times in %v", answered.Load(), time.Since(start))
	}
	t.Logf("%d answers in %v", answered.Load(), time.Since(start))
}
