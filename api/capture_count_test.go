// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestCapturesCountApart checks that a capture counts the frames that it has not got, and
// none of another capture's.
func TestCapturesCountApart(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{Timeout: time.Minute}, api.Access{})
	a := l.attach(vde.WithPort(1))
	slow, fast := l.capture(&pb.CaptureRequest{Port: proto.Uint32(1)}), l.capture(&pb.CaptureRequest{Port: proto.Uint32(1), SnapLen: 60})
	big := append(flooded(1), make([]byte, 1400)...)
	batch := [][]byte{big, big, big, big, big, big, big, big}
	sent := uint64(0)
	for l.sw.Stats().Monitors.Dropped.Sum() < 5000 {
		if n, err := a.WriteBatch(batch); n != len(batch) || err != nil {
			t.Fatal(n, err)
		}
		sent += uint64(len(batch))
		for got := 0; got < len(batch); {
			answer := must(fast.Receive())(t)
			got += len(answer.GetFrames())
			if n := answer.GetDropped(); n != 0 {
				t.Fatalf("the capture that is read says that %d were dropped", n)
			}
		}
	}
	marker := unicast(9, 1)
	for captured, dropped := uint64(0), uint64(0); captured+dropped < sent; {
		if _, err := a.Write(marker); err != nil {
			t.Fatal(err)
		}
		answer := must(slow.Receive())(t)
		dropped = answer.GetDropped()
		for _, f := range answer.GetFrames() {
			if len(f.GetData()) == len(big) {
				captured++
			}
		}
	}
}
