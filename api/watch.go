// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"context"
	"slices"
	"time"

	"connectrpc.com/connect/v2"

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
	at, message := s.sampler.join(level)
	defer s.sampler.leave(level)
	for {
		var err error
		if r.GetTotals() || ports != nil {
			err = stream.Send(reduce(message.Message.(*pb.WatchStatsResponse), func(n uint32) bool { return !r.GetTotals() && ports[n] }))
		} else {
			err = sendShared(ctx, message)
		}
		if err != nil {
			return err
		}
		if at, message = s.sampler.next(ctx.Done(), s.history.done, level, at); at == nil {
			return s.watchEnd(ctx)
		}
	}
}

// reduce returns m with no ports but those that want lets through.
func reduce(m *pb.WatchStatsResponse, want func(port uint32) bool) *pb.WatchStatsResponse {
	s := m.GetStats()
	stats := &pb.Stats{Time: s.Time, In: s.In, Out: s.Out, Monitors: s.Monitors, Fdb: s.Fdb, Serve: s.Serve}
	for _, p := range s.GetPorts() {
		if want(p.GetPort()) {
			stats.Ports = append(stats.Ports, p)
		}
	}
	return &pb.WatchStatsResponse{Stats: stats, Elapsed: m.Elapsed, Interval: m.Interval}
}

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
	var events eventList
	for {
		if events, err = c.read(ctx, events[:0]); err != nil {
			return s.watchEnd(ctx)
		}
		if err := sendShared(ctx, events); err != nil {
			return err
		}
	}
}

// watchEnd returns why a stream with the context ctx has ended.
func (s *service) watchEnd(ctx context.Context) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return connect.NewError(connect.CodeUnavailable, "the switch has been closed")
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
