// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"slices"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vswitch"
)

// maxFilter bounds the ports or kinds that a stream can be asked for.
const maxFilter = 4096

func (s *service) WatchStats(ctx context.Context, r *pb.WatchStatsRequest, stream pb.SwitchServiceWatchStatsServerStream) error {
	level := levelFor(time.Second)
	if d := r.GetInterval(); d != nil {
		if err := d.CheckValid(); err != nil || d.AsDuration() <= 0 {
			return invalid("interval: give a positive time, such as \"1s\"")
		}
		level = levelFor(d.AsDuration())
	}
	ports, err := portSet(r.GetPorts())
	if err != nil {
		return err
	}
	// filter returns the answer that this client gets of one for all.
	filter := func(m *pb.WatchStatsResponse) *pb.WatchStatsResponse {
		stats := m.Stats
		if r.GetTotals() || ports != nil {
			stats = &pb.Stats{Time: stats.Time, In: stats.In, Out: stats.Out, Monitors: stats.Monitors, Fdb: stats.Fdb, Serve: stats.Serve}
		}
		for _, p := range m.Stats.Ports {
			if ports != nil && !r.GetTotals() && ports[p.Port] {
				stats.Ports = append(stats.Ports, p)
			}
		}
		return &pb.WatchStatsResponse{Stats: stats, Elapsed: m.Elapsed, Interval: durationpb.New(intervals[level])}
	}
	at := s.sampler.join(level)
	defer s.sampler.leave(level)
	message := &pb.WatchStatsResponse{Stats: encodeStats(&at.stats, at.time, everyPort)}
	for {
		if err := stream.Send(filter(message)); err != nil {
			return err
		}
		if at, message = s.sampler.next(ctx.Done(), level, at); at == nil {
			return ended(ctx)
		}
	}
}

func everyPort(*vswitch.PortStats) bool { return true }

// portSet returns the ports of a filter, nil if it is empty.
func portSet(list []uint32) (map[uint32]bool, error) {
	if len(list) > maxFilter {
		return nil, invalid("%d ports, give at most %d, or none for all", len(list), maxFilter)
	}
	if len(list) == 0 {
		return nil, nil
	}
	set := make(map[uint32]bool, len(list))
	for _, n := range list {
		set[n] = true
	}
	return set, nil
}

func (s *service) WatchEvents(ctx context.Context, r *pb.WatchEventsRequest, stream pb.SwitchServiceWatchEventsServerStream) error {
	want, err := eventFilter(r)
	if err != nil {
		return err
	}
	c := s.history.cursor(r.After, want)
	if err := stream.Send(&pb.WatchEventsResponse{}); err != nil {
		return err
	}
	var events []vswitch.Event
	for {
		if events, err = c.read(ctx, events[:0]); err != nil {
			if ctx.Err() != nil {
				return ended(ctx)
			}
			return connect.NewError(connect.CodeUnavailable, "the switch has been closed")
		}
		answer := &pb.WatchEventsResponse{Events: make([]*pb.Event, len(events))}
		for i, e := range events {
			answer.Events[i] = encodeEvent(e)
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// eventFilter returns which events r asks for.
func eventFilter(r *pb.WatchEventsRequest) (want func(*vswitch.Event) bool, _ error) {
	if n := len(r.GetKinds()); n > maxFilter {
		return nil, invalid("%d kinds, give each once, or none for all", n)
	}
	var kinds []vswitch.EventKind
	for _, name := range r.GetKinds() {
		var k vswitch.EventKind
		if err := k.UnmarshalText([]byte(name)); err != nil {
			return nil, invalid("kinds: %v", err)
		}
		if !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	ports, err := portSet(r.GetPorts())
	if err != nil {
		return nil, err
	}
	return func(e *vswitch.Event) bool {
		if len(kinds) > 0 && !slices.Contains(kinds, e.Kind) {
			return false
		}
		return ports == nil || e.Port == vswitch.AllPorts || ports[uint32(e.Port)] || hasOther(e) && ports[uint32(e.OtherPort)]
	}, nil
}

// hasOther reports whether e is about a second port.
func hasOther(e *vswitch.Event) bool {
	switch e.Kind {
	case vswitch.EventMoved, vswitch.EventBlocked, vswitch.EventMirrored, vswitch.EventUnmirrored:
		return true
	}
	return false
}
