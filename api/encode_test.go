// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"bytes"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// TestEncode checks that what is encoded once for all is what each would get alone.
func TestEncode(t *testing.T) {
	events := eventList{
		{Event: vswitch.Event{Seq: 7, Time: time.Unix(1, 2), Kind: vswitch.EventMoved, Port: 3, OtherPort: 0, MAC: frame.MAC{2, 1}, VLAN: 9}},
		{Event: vswitch.Event{Seq: 8, Kind: vswitch.EventConfigured, Port: vswitch.AllPorts}},
		{Event: vswitch.Event{Kind: vswitch.EventDropped, Cause: "in/vlan\xff\"", Count: 5}},
	}
	for n := range len(events) + 1 {
		want := &pb.WatchEventsResponse{}
		for _, e := range events[:n] {
			want.Events = append(want.Events, encodeEvent(e.Event))
		}
		check(t, events[:n], want, &pb.WatchEventsResponse{})
	}
	stats := growth(2, &sample{}, &sample{stats: vswitch.Stats{Ports: []vswitch.PortStats{{Port: 1, In: vswitch.InStats{Frames: 5}}}}, time: time.Unix(5, 0)})
	check(t, stats, stats.Message, &pb.WatchStatsResponse{})
}

func check(t *testing.T, e encoder, want, got proto.Message) {
	t.Helper()
	for _, json := range []bool{false, true} {
		b, err := e.encode(json)
		if err == nil && json {
			err = protojson.Unmarshal(b, got)
		} else if err == nil {
			err = proto.Unmarshal(b, got)
		}
		if err != nil || !proto.Equal(got, want) {
			t.Errorf("json %v: %v, %v, want %v", json, got, err, want)
		}
		if again, _ := e.encode(json); !bytes.Equal(b, again) {
			t.Errorf("json %v: %q, and then %q", json, b, again)
		}
	}
}
