// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// gauges are the fields that are no counters.
var gauges = map[protoreflect.Name]bool{"queued": true, "entries": true, "port": true}

// grow adds the counters of d to m, field by field and cause by cause.
func grow(m, d protoreflect.Message) {
	d.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case f.IsMap():
			to := m.Mutable(f).Map()
			v.Map().Range(func(k protoreflect.MapKey, n protoreflect.Value) bool {
				sum := n.Uint()
				if to.Has(k) {
					sum += to.Get(k).Uint()
				}
				to.Set(k, protoreflect.ValueOfUint64(sum))
				return true
			})
		case gauges[f.Name()]:
			m.Set(f, v)
		case f.Kind() == protoreflect.MessageKind:
			grow(m.Mutable(f).Message(), v.Message())
		default:
			m.Set(f, protoreflect.ValueOfUint64(m.Get(f).Uint()+v.Uint()))
		}
		return true
	})
}

// A view is the counters as a watcher knows them.
type view struct {
	ports                         map[uint32]*pb.PortStats
	in, out, monitors, fdb, serve proto.Message
}

func newView() *view {
	return &view{map[uint32]*pb.PortStats{}, &pb.InStats{}, &pb.OutStats{}, &pb.OutStats{}, &pb.FDBStats{}, &pb.ServeStats{}}
}

// add adds what an answer says. Gauges that are zero are not in a message.
func (v *view) add(s *pb.Stats) {
	for _, p := range s.GetPorts() {
		is := v.ports[p.GetPort()]
		if is == nil {
			is = &pb.PortStats{Port: p.GetPort()}
			v.ports[p.GetPort()] = is
		}
		grow(is.ProtoReflect(), p.ProtoReflect())
		is.Out.Queued = p.GetOut().GetQueued()
	}
	grow(v.in.ProtoReflect(), s.GetIn().ProtoReflect())
	grow(v.out.ProtoReflect(), s.GetOut().ProtoReflect())
	v.out.(*pb.OutStats).Queued = s.GetOut().GetQueued()
	grow(v.monitors.ProtoReflect(), s.GetMonitors().ProtoReflect())
	v.monitors.(*pb.OutStats).Queued = s.GetMonitors().GetQueued()
	grow(v.fdb.ProtoReflect(), s.GetFdb().ProtoReflect())
	v.fdb.(*pb.FDBStats).Entries = s.GetFdb().GetEntries()
	grow(v.serve.ProtoReflect(), s.GetServe().ProtoReflect())
}

// stats returns what v is as a message.
func (v *view) stats() *pb.Stats {
	s := &pb.Stats{
		In: v.in.(*pb.InStats), Out: v.out.(*pb.OutStats), Monitors: v.monitors.(*pb.OutStats),
		Fdb: v.fdb.(*pb.FDBStats), Serve: v.serve.(*pb.ServeStats),
	}
	for _, n := range slices.Sorted(maps.Keys(v.ports)) {
		s.Ports = append(s.Ports, v.ports[n])
	}
	return s
}

func sum(m map[string]uint64) (n uint64) {
	for _, v := range m {
		n += v
	}
	return n
}

// checkStats checks that counters of one moment add up.
func checkStats(t *testing.T, s *pb.Stats) {
	t.Helper()
	total := newView()
	check := func(what any, in *pb.InStats, out *pb.OutStats) {
		t.Helper()
		if in.GetFrames() != in.GetForwarded()+sum(in.GetDropped()) {
			t.Errorf("port %v: in %v", what, in)
		}
		if out.GetOffered() != out.GetFrames()+sum(out.GetDropped())+out.GetQueued() {
			t.Errorf("port %v: out %v", what, out)
		}
	}
	queued := uint64(0)
	for _, p := range s.GetPorts() {
		check(p.GetPort(), p.GetIn(), p.GetOut())
		grow(total.in.ProtoReflect(), p.GetIn().ProtoReflect())
		grow(total.out.ProtoReflect(), p.GetOut().ProtoReflect())
		queued += p.GetOut().GetQueued()
	}
	total.out.(*pb.OutStats).Queued = queued
	if !proto.Equal(total.in, s.GetIn()) || !proto.Equal(total.out, s.GetOut()) {
		t.Errorf("the ports add up to\n%v %v, the totals are\n%v %v", total.in, total.out, s.GetIn(), s.GetOut())
	}
	check("totals", s.GetIn(), s.GetOut())
	if m := s.GetMonitors(); s.GetIn().GetCopies() != s.GetOut().GetOffered()-s.GetOut().GetProbes()-s.GetOut().GetDuplicated()+m.GetOffered() {
		t.Errorf("copies: %v, %v, monitors %v", s.GetIn(), s.GetOut(), m)
	}
}

// load sends frames from each of the conns, known, unknown and wrong ones, until stop is
// called, which waits for the last.
func load(t *testing.T, conns []*vde.Conn) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var senders sync.WaitGroup
	for i, c := range conns {
		batch := [][]byte{unicast(byte(i+2), byte(i+1)), flooded(byte(i + 1)), make([]byte, 60)[:13], unicast(byte(i+1), byte(i+1))}
		senders.Go(func() {
			for ctx.Err() == nil {
				if _, err := c.WriteBatch(batch); err != nil {
					c.Write(batch[0])
				}
			}
		})
	}
	stop = sync.OnceFunc(func() {
		cancel()
		senders.Wait()
	})
	t.Cleanup(stop)
	return stop
}

// watch adds what comes on a stream, until nothing more does and rested is closed. After the
// fourth answer it sends to enough.
func (v *view) watch(t *testing.T, stream pb.SwitchServiceWatchStatsClientStream, enough chan<- struct{}, rested <-chan struct{}) {
	defer stream.Close()
	for n := 0; ; n++ {
		answer, err := stream.Receive()
		if err != nil {
			t.Error(err)
			return
		}
		v.add(answer.GetStats())
		checkStats(t, v.stats())
		if (n == 0) != (answer.GetElapsed() == nil) {
			t.Errorf("answer %d is about %v", n, answer.GetElapsed())
		}
		if n == 3 {
			enough <- struct{}{}
		}
		select {
		case <-rested:
			if answer.GetStats().GetIn().GetFrames() == 0 && len(answer.GetStats().GetPorts()) == 0 {
				return
			}
		default:
		}
	}
}

// TestWatchStats watches counters in several ways while frames pass. What each watcher
// adds up is right at every moment, and at the end the same as what the other calls say.
func TestWatchStats(t *testing.T) {
	l := newLab(t, vswitch.Config{DefaultPort: vswitch.PortConfig{Policy: vswitch.TailDrop, Queue: 16}}, api.Options{}, api.Access{})
	var conns []*vde.Conn
	for range 4 {
		conns = append(conns, l.attach())
	}
	stop := load(t, conns)
	const watchers = 6
	var reading sync.WaitGroup
	views := make([]*view, watchers)
	enough, rested := make(chan struct{}, watchers), make(chan struct{})
	for i := range watchers {
		views[i] = newView()
		stream := must(l.client.WatchStats(t.Context(), &pb.WatchStatsRequest{Interval: durationpb.New(time.Duration(1+i%2) * 60 * time.Millisecond)}))(t)
		reading.Go(func() { views[i].watch(t, stream, enough, rested) })
	}
	for range watchers {
		<-enough
		s := must(l.client.GetStats(t.Context(), &pb.GetStatsRequest{}))(t).GetStats()
		checkStats(t, s)
	}
	stop()
	close(rested)
	reading.Wait()
	final := must(l.client.GetStats(t.Context(), &pb.GetStatsRequest{}))(t).GetStats()
	final.Time = nil
	if final.GetIn().GetFrames() == 0 || sum(final.GetOut().GetDropped()) == 0 || final.GetFdb().GetLearned() != 4 {
		t.Fatalf("the load was none: %v", final)
	}
	for i, v := range views {
		if !proto.Equal(v.stats(), final) {
			t.Errorf("watcher %d has\n%v, GetStats\n%v", i, v.stats(), final)
		}
	}
	for p, err := range l.client.Ports(t.Context(), &pb.ListPortsRequest{}) {
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(p.GetStats(), views[0].ports[p.GetNumber()]) {
			t.Errorf("ListPorts has %v, want %v", p.GetStats(), views[0].ports[p.GetNumber()])
		}
	}
}

// TestStatsFilters checks which ports answers are about.
func TestStatsFilters(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	for n := 1; n <= 5; n++ {
		if _, err := l.attach(vde.WithPort(n)).Write(flooded(byte(n))); err != nil {
			t.Fatal(err)
		}
	}
	numbers := func(s *pb.Stats) (list []uint32) {
		if s.GetIn().GetFrames() != 5 {
			t.Errorf("the totals are %v", s.GetIn())
		}
		for _, p := range s.GetPorts() {
			list = append(list, p.GetPort())
		}
		return list
	}
	for _, c := range []struct {
		request *pb.GetStatsRequest
		want    []uint32
	}{
		{&pb.GetStatsRequest{}, []uint32{1, 2, 3, 4, 5}},
		{&pb.GetStatsRequest{FirstPort: 4}, []uint32{4, 5}},
		{&pb.GetStatsRequest{LastPort: proto.Uint32(2)}, []uint32{1, 2}},
		{&pb.GetStatsRequest{FirstPort: 3, LastPort: proto.Uint32(3)}, []uint32{3}},
		{&pb.GetStatsRequest{FirstPort: 6}, nil},
	} {
		if got := numbers(must(l.client.GetStats(t.Context(), c.request))(t).GetStats()); !slices.Equal(got, c.want) {
			t.Errorf("%v: ports %v, want %v", c.request, got, c.want)
		}
	}
	_, err := l.client.GetStats(t.Context(), &pb.GetStatsRequest{FirstPort: 3, LastPort: proto.Uint32(2)})
	wantError(t, "range", err, connect.CodeInvalidArgument, "last_port is 2")
	for _, c := range []struct {
		request  *pb.WatchStatsRequest
		want     []uint32
		interval time.Duration
	}{
		{&pb.WatchStatsRequest{}, []uint32{1, 2, 3, 4, 5}, time.Second},
		{&pb.WatchStatsRequest{Totals: true, Ports: []uint32{1}, Interval: durationpb.New(time.Nanosecond)}, nil, 100 * time.Millisecond},
		{&pb.WatchStatsRequest{Ports: []uint32{5, 2, 9, 2}, Interval: durationpb.New(time.Hour)}, []uint32{2, 5}, time.Minute},
	} {
		stream := must(l.client.WatchStats(t.Context(), c.request))(t)
		answer := must(stream.Receive())(t)
		if got := numbers(answer.GetStats()); !slices.Equal(got, c.want) || answer.GetInterval().AsDuration() != c.interval {
			t.Errorf("%v: ports %v every %v, want %v every %v", c.request, got, answer.GetInterval().AsDuration(), c.want, c.interval)
		}
		stream.Close()
	}
	for _, r := range []*pb.WatchStatsRequest{{Interval: &durationpb.Duration{}}, {Interval: durationpb.New(-1)}, {Interval: &durationpb.Duration{Seconds: 1, Nanos: -1}}, {Ports: make([]uint32, 5000)}} {
		stream := must(l.client.WatchStats(t.Context(), r))(t)
		_, err := stream.Receive()
		wantError(t, "a wrong request", err, connect.CodeInvalidArgument)
		stream.Close()
	}
}

// receive returns the next n events of a stream.
func receive(t *testing.T, stream pb.SwitchServiceWatchEventsClientStream, n int) (events []*pb.Event) {
	t.Helper()
	for len(events) < n {
		events = append(events, must(stream.Receive())(t).GetEvents()...)
	}
	return events
}

func kinds(events []*pb.Event) (list []string) {
	for _, e := range events {
		list = append(list, e.GetKind())
	}
	return list
}

// TestWatchEvents checks that what happened before is there for those who come later, what
// they ask for, and the end.
func TestWatchEvents(t *testing.T) {
	l := newLab(t, vswitch.Config{NumPorts: 9}, api.Options{}, api.Access{})
	watch := func(r *pb.WatchEventsRequest) pb.SwitchServiceWatchEventsClientStream {
		stream := must(l.client.WatchEvents(t.Context(), r))(t)
		if first := must(stream.Receive())(t); len(first.GetEvents()) != 0 {
			t.Errorf("the first answer has %v", first)
		}
		t.Cleanup(func() { stream.Close() })
		return stream
	}
	now := watch(&pb.WatchEventsRequest{})
	a := l.attach(vde.WithPort(3), vde.WithDescription("station"))
	if _, err := a.Write(flooded(1)); err != nil {
		t.Fatal(err)
	}
	events := receive(t, now, 3)
	if got := kinds(events); !slices.Equal(got, []string{"port-up", "attached", "learned"}) {
		t.Fatalf("events %v", got)
	}
	if e := events[1]; e.GetPort() != 3 || e.GetDescription() != "station" || e.GetEndpointKind() != "in-process" || e.GetEndpoint() == 0 || e.GetTime() == nil {
		t.Errorf("attached: %v", e)
	}
	if e := events[2]; e.GetPort() != 3 || e.GetMac() != "02:00:00:00:00:01" || e.OtherPort != nil {
		t.Errorf("learned: %v", e)
	}
	seq := events[1].GetSeq()
	if got := must(l.client.GetSwitch(t.Context(), &pb.GetSwitchRequest{}))(t).GetSwitch().GetLastEvent(); got < events[2].GetSeq() {
		t.Errorf("the last event is %d, want at least %d", got, events[2].GetSeq())
	}
	b := l.attach(vde.WithPort(4))
	if _, err := b.Write(flooded(1)); err != nil {
		t.Fatal(err)
	}
	l.sw.SetHub(true)
	moved := receive(t, watch(&pb.WatchEventsRequest{After: &seq, Kinds: []string{"moved"}}), 1)[0]
	if moved.GetPort() != 4 || moved.GetOtherPort() != 3 {
		t.Errorf("moved: %v", moved)
	}
	if got := kinds(receive(t, watch(&pb.WatchEventsRequest{After: &seq}), 5)); !slices.Equal(got, []string{"learned", "port-up", "attached", "moved", "configured"}) {
		t.Errorf("after event %d: %v", seq, got)
	}
	for _, after := range []uint64{0, 1 << 60} { // all; those of another switch
		if got := kinds(receive(t, watch(&pb.WatchEventsRequest{After: &after, Ports: []uint32{3}}), 5)); !slices.Equal(got, []string{"port-up", "attached", "learned", "moved", "configured"}) {
			t.Errorf("of port 3: %v", got)
		}
	}
	for _, r := range []*pb.WatchEventsRequest{{Kinds: []string{"learnt"}}, {Ports: make([]uint32, 5000)}, {Kinds: make([]string, 5000)}} {
		stream := must(l.client.WatchEvents(t.Context(), r))(t)
		_, err := stream.Receive()
		wantError(t, "a wrong request", err, connect.CodeInvalidArgument)
		stream.Close()
	}
	end := watch(&pb.WatchEventsRequest{Kinds: []string{"detached"}})
	l.sw.Close()
	receive(t, end, 2)
	_, err := end.Receive()
	wantError(t, "the end", err, connect.CodeUnavailable, "closed")
}

// TestStreamsEnd checks that streams end with their server and with their client.
func TestStreamsEnd(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	l.attach(vde.WithPort(1))
	ctx, cancel := context.WithCancel(t.Context())
	mine := must(l.client.WatchEvents(ctx, &pb.WatchEventsRequest{}))(t)
	must(mine.Receive())(t)
	cancel()
	if _, err := mine.Receive(); connect.CodeOf(err) != connect.CodeCanceled && !errors.Is(err, context.Canceled) {
		t.Errorf("after its client has ended it: %v", err)
	}
	events := must(l.client.WatchEvents(t.Context(), &pb.WatchEventsRequest{}))(t)
	stats := must(l.client.WatchStats(t.Context(), &pb.WatchStatsRequest{}))(t)
	frames := must(l.client.Capture(t.Context(), &pb.CaptureRequest{Port: proto.Uint32(1)}))(t)
	must(events.Receive())(t)
	must(stats.Receive())(t)
	must(frames.Receive())(t)
	l.server.Close()
	for name, receive := range map[string]func() error{
		"events": func() error { _, err := events.Receive(); return err },
		"stats":  func() error { _, err := stats.Receive(); return err },
		"frames": func() error { _, err := frames.Receive(); return err },
	} {
		err := receive()
		for err == nil { // what came before
			err = receive()
		}
		if code := connect.CodeOf(err); code != connect.CodeUnavailable && !errors.Is(err, io.ErrUnexpectedEOF) && code != connect.CodeUnknown {
			t.Errorf("%s: %v", name, err)
		}
	}
}
