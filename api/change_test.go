// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// full is a configuration with every field set.
var full = vswitch.PortConfig{
	VLAN: 20, Tagged: []uint16{0, 1, 2, 7, 4093, 4094}, Policy: vswitch.HeadDrop, Wait: 3 * time.Millisecond, Queue: 99,
	Isolated: true, Reserved: true, RoundRobin: true, LoopProtection: vswitch.LoopProtectionOff, StormLimit: 1000, MACLimit: -1,
	Static: []vswitch.StaticEntry{{MAC: frame.MAC{2, 1}, VLAN: 7}, {MAC: frame.MAC{2, 2}}},
	Impair: impair.Config{
		Seed: 1<<64 - 1,
		In:   impair.Impairment{Delay: time.Second, Jitter: time.Millisecond, Loss: 0.1, Duplicate: 0.2, Reorder: 0.3, Rate: 1e12, Queue: 9},
		Out:  impair.Impairment{Loss: 1},
	},
}

// TestPortConfig checks that every configuration comes back as it was.
func TestPortConfig(t *testing.T) {
	if m := api.EncodePortConfig(full); len(m.GetTagged()) != 3 {
		t.Errorf("VLANs are the ranges %v", m.GetTagged())
	}
	for _, c := range []vswitch.PortConfig{{}, full, {Tagged: vswitch.AllVLANs(), Wait: vswitch.Forever, VLAN: vswitch.NoVLAN}} {
		m := api.EncodePortConfig(c)
		back, err := api.DecodePortConfig(m)
		if back.Impair != c.Impair {
			t.Errorf("%+v comes back as %+v", c.Impair, back.Impair)
		}
		if err != nil || !proto.Equal(m, api.EncodePortConfig(back)) {
			t.Errorf("%v comes back as %v, %v", c, back, err)
		}
	}
}

// TestPortConfigFields checks that each field of the message says something about the
// configuration: full has a message with all fields.
func TestPortConfigFields(t *testing.T) {
	m := api.EncodePortConfig(full).ProtoReflect()
	for i := range m.Descriptor().Fields().Len() {
		if f := m.Descriptor().Fields().Get(i); !m.Has(f) {
			t.Errorf("field %s is not set", f.Name())
		}
	}
}

func TestPortConfigWrong(t *testing.T) {
	for _, m := range []*pb.PortConfig{
		{Vlan: 4096}, {Vlan: 1 << 31}, {Tagged: []*pb.VLANRange{{First: 4095}}}, {Tagged: []*pb.VLANRange{{First: 1, Last: 4095}}},
		{Policy: "drop"}, {LoopProtection: "maybe"}, {Wait: &durationpb.Duration{Seconds: 1, Nanos: -1}}, {Queue: 1 << 31}, {StormLimit: 1 << 31},
		{Static: []*pb.StaticEntry{{Mac: "x"}}}, {Static: []*pb.StaticEntry{{Mac: "02:00:00:00:00:01", Vlan: 1 << 16}}},
		{Impair: &pb.Impairments{In: &pb.Impairment{Rate: 1 << 63}}}, {Impair: &pb.Impairments{Out: &pb.Impairment{Queue: 1 << 31}}},
		{Impair: &pb.Impairments{In: &pb.Impairment{Delay: &durationpb.Duration{Seconds: 1, Nanos: -1}}}},
		{Impair: &pb.Impairments{Out: &pb.Impairment{Jitter: &durationpb.Duration{Seconds: 1 << 62}}}},
	} {
		if c, err := api.DecodePortConfig(m); err == nil {
			t.Errorf("%v is taken for %v", m, c)
		}
	}
}

func TestSetPort(t *testing.T) {
	l := newLab(t, vswitch.Config{NumPorts: 9}, api.Options{}, api.Access{})
	set := func(r *pb.SetPortRequest) (*pb.Port, error) {
		answer, err := l.client.SetPort(t.Context(), r)
		return answer.GetPort(), err
	}
	three := proto.Uint32(3)
	p := must(set(&pb.SetPortRequest{Port: three, Config: api.EncodePortConfig(full)}))(t)
	if !proto.Equal(p.GetConfig(), api.EncodePortConfig(full)) || !p.GetConfigured() {
		t.Errorf("set to %v", p)
	}
	// A mask sets and clears only what it names.
	p = must(set(&pb.SetPortRequest{Port: three, Config: &pb.PortConfig{Vlan: 30, Queue: 5}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"vlan", "tagged", "isolated"}}}))(t)
	want := full
	want.VLAN, want.Tagged, want.Isolated = 30, nil, false
	if !proto.Equal(p.GetConfig(), api.EncodePortConfig(want)) {
		t.Errorf("with a mask: %v, want %v", p.GetConfig(), want)
	}
	if is := must(l.sw.Port(3))(t); !proto.Equal(api.EncodePortConfig(is), p.GetConfig()) {
		t.Errorf("the switch has %v", is)
	}
	// Of two who read the same, the second to write is told.
	if _, err := set(&pb.SetPortRequest{Port: three, Config: &pb.PortConfig{Vlan: 31}, Etag: p.GetEtag()}); err != nil {
		t.Error(err)
	}
	_, err := set(&pb.SetPortRequest{Port: three, Config: &pb.PortConfig{Vlan: 32}, Etag: p.GetEtag()})
	wantError(t, "an old etag", err, connect.CodeAborted, "port 3", "read it again")
	if is := must(l.sw.Port(3))(t); is.VLAN != 31 {
		t.Errorf("the VLAN is %d, want that of the first", is.VLAN)
	}
	for _, c := range []struct {
		r     *pb.SetPortRequest
		code  connect.Code
		words string
	}{
		{&pb.SetPortRequest{Config: &pb.PortConfig{}}, connect.CodeInvalidArgument, "port is missing"},
		{&pb.SetPortRequest{Port: three}, connect.CodeInvalidArgument, "config is missing"},
		{&pb.SetPortRequest{Port: proto.Uint32(10), Config: &pb.PortConfig{}}, connect.CodeNotFound, "0 to 9"},
		{&pb.SetPortRequest{Port: three, Config: &pb.PortConfig{Policy: "x"}}, connect.CodeInvalidArgument, "tail-drop"},
		{&pb.SetPortRequest{Port: three, Config: &pb.PortConfig{Queue: 1 << 30}}, connect.CodeInvalidArgument, "Queue"},
		{&pb.SetPortRequest{Port: three, Config: &pb.PortConfig{}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"vlam"}}}, connect.CodeInvalidArgument, "vlam"},
	} {
		_, err := set(c.r)
		wantError(t, c.r.String(), err, c.code, c.words)
	}
	answer := must(l.client.ResetPort(t.Context(), &pb.ResetPortRequest{Port: three}))(t)
	if p := answer.GetPort(); p.GetConfigured() || p.GetConfig().GetVlan() != 0 {
		t.Errorf("after a reset: %v", p)
	}
	_, err = l.client.ResetPort(t.Context(), &pb.ResetPortRequest{Port: proto.Uint32(10)})
	wantError(t, "reset", err, connect.CodeNotFound)
}

// TestSetPortBesideOthers has the program change a port, as a console or a reload does,
// while a client does: with an etag, or some fields of it. The client undoes nothing that
// the program has set.
func TestSetPortBesideOthers(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	port := proto.Uint32(3)
	many := &pb.PortConfig{} // so that a request takes so long that the changes meet
	for v := uint32(10); v < 2000; v += 2 {
		many.Tagged = append(many.Tagged, &pb.VLANRange{First: v, Last: v})
	}
	withMask := func() error {
		_, err := l.client.SetPort(t.Context(), &pb.SetPortRequest{Port: port, Config: many, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"tagged"}}})
		return err
	}
	withEtag := func() error {
		got, err := l.client.GetPort(t.Context(), &pb.GetPortRequest{Port: port})
		if err != nil {
			return err
		}
		c := got.GetPort().GetConfig()
		c.Tagged = many.GetTagged()
		_, err = l.client.SetPort(t.Context(), &pb.SetPortRequest{Port: port, Config: c, Etag: got.GetPort().GetEtag()})
		if connect.CodeOf(err) == connect.CodeAborted {
			return nil
		}
		return err
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, change := range []func() error{withMask, withEtag} {
		var usual time.Duration // that a change takes
		for i := range 100 {
			done := make(chan error, 1)
			begin := time.Now()
			go func() { done <- change() }()
			for delay := time.Duration(rng.Int64N(int64(usual) + 1)); time.Since(begin) < delay; {
				runtime.Gosched()
			}
			if err := l.sw.SetPort(3, vswitch.PortConfig{StormLimit: i + 1}); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			usual = time.Since(begin)
			if pc, err := l.sw.Port(3); err != nil || pc.StormLimit != i+1 {
				t.Fatalf("the storm limit is %d, %v, and was set to %d", pc.StormLimit, err, i+1)
			}
		}
	}
}

// TestManyRanges checks that a request of many long ranges of VLANs takes no longer to read
// than one of as many VLANs.
func TestManyRanges(t *testing.T) {
	const ranges = 256 << 10 / 5 // what fits a request
	decode := func(first, last uint32) time.Duration {
		m := &pb.PortConfig{Tagged: slices.Repeat([]*pb.VLANRange{{First: first, Last: last}}, ranges)}
		start := time.Now()
		c, err := api.DecodePortConfig(m)
		d := time.Since(start)
		if err != nil || len(c.Tagged) != int(last-first+1) {
			t.Fatalf("%d VLANs, %v", len(c.Tagged), err)
		}
		return d
	}
	// The processor may be another's meanwhile, so one good measurement is enough.
	var long, short time.Duration
	for range 20 {
		short, long = decode(4094, 4094), decode(0, 4094)
		if long < 30*short {
			t.Logf("%v, and %v for short ranges", long, short)
			return
		}
	}
	t.Errorf("%d ranges of all VLANs take %v, and of one %v", ranges, long, short)
}

func TestSetDefaultPort(t *testing.T) {
	l := newLab(t, vswitch.Config{NumPorts: 9, Ports: map[int]vswitch.PortConfig{4: {VLAN: 4}}}, api.Options{}, api.Access{})
	l.attach(vde.WithPort(3))
	answer := must(l.client.SetDefaultPort(t.Context(), &pb.SetDefaultPortRequest{Config: &pb.PortConfig{Vlan: 7, StormLimit: 100}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"vlan"}}}))(t)
	if c := answer.GetConfig(); c.GetVlan() != 7 || c.GetStormLimit() != 0 || c.GetQueue() != vswitch.DefaultQueue {
		t.Errorf("the default is %v", c)
	}
	for n, vlan := range map[int]uint16{3: 7, 4: 4, 5: 7} {
		if c := must(l.sw.Port(n))(t); c.VLAN != vlan {
			t.Errorf("port %d has VLAN %d, want %d", n, c.VLAN, vlan)
		}
	}
	_, err := l.client.SetDefaultPort(t.Context(), &pb.SetDefaultPortRequest{Config: &pb.PortConfig{Static: []*pb.StaticEntry{{Mac: "02:00:00:00:00:01"}}}})
	wantError(t, "static", err, connect.CodeInvalidArgument, "static")
	_, err = l.client.SetDefaultPort(t.Context(), &pb.SetDefaultPortRequest{})
	wantError(t, "empty", err, connect.CodeInvalidArgument, "config is missing")
}

// TestSetSwitch checks the changes of the switch as a whole.
func TestSetSwitch(t *testing.T) {
	l := newLab(t, vswitch.Config{NumPorts: 9}, api.Options{}, api.Access{})
	c, ctx := l.client, t.Context()
	l.attach(vde.WithPort(5))
	must(c.SetHub(ctx, &pb.SetHubRequest{Hub: proto.Bool(true)}))(t)
	if !l.sw.Hub() {
		t.Error("the switch is no hub")
	}
	_, err := c.SetHub(ctx, &pb.SetHubRequest{})
	wantError(t, "hub", err, connect.CodeInvalidArgument, "hub is missing")
	must(c.SetHub(ctx, &pb.SetHubRequest{Hub: proto.Bool(false)}))(t)

	_, err = c.SetNumPorts(ctx, &pb.SetNumPortsRequest{NumPorts: 4})
	wantError(t, "a port in use", err, connect.CodeFailedPrecondition, "5")
	for _, n := range []uint32{0, 1 << 23, 1<<32 - 1} {
		_, err = c.SetNumPorts(ctx, &pb.SetNumPortsRequest{NumPorts: n})
		wantError(t, "number of ports", err, connect.CodeInvalidArgument)
	}
	must(c.SetNumPorts(ctx, &pb.SetNumPortsRequest{NumPorts: 6}))(t)
	if n := l.sw.Config().NumPorts; n != 6 {
		t.Errorf("%d ports", n)
	}

	for given, want := range map[time.Duration]time.Duration{time.Minute: time.Minute, -5: vswitch.Forever} {
		must(c.SetAgeingTime(ctx, &pb.SetAgeingTimeRequest{AgeingTime: durationpb.New(given)}))(t)
		if d := l.sw.Config().AgeingTime; d != want {
			t.Errorf("the ageing time is %v, want %v", d, want)
		}
	}
	for _, d := range []*durationpb.Duration{nil, {}, {Seconds: 1, Nanos: -1}} {
		_, err = c.SetAgeingTime(ctx, &pb.SetAgeingTimeRequest{AgeingTime: d})
		wantError(t, "ageing time", err, connect.CodeInvalidArgument, "100s")
	}
}

func TestFlushFDB(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	if _, err := l.attach().Write(flooded(1)); err != nil || len(l.sw.FDB()) != 1 {
		t.Fatal(err, l.sw.FDB())
	}
	must(l.client.FlushFDB(t.Context(), &pb.FlushFDBRequest{}))(t)
	if n := len(l.sw.FDB()); n != 0 {
		t.Errorf("%d entries left", n)
	}
}

func TestMirror(t *testing.T) {
	l := newLab(t, vswitch.Config{NumPorts: 9}, api.Options{}, api.Access{})
	c, ctx := l.client, t.Context()
	one, five := proto.Uint32(1), proto.Uint32(5)
	must(c.Mirror(ctx, &pb.MirrorRequest{Src: five, Dst: one}))(t)
	must(c.Mirror(ctx, &pb.MirrorRequest{Src: one, Dst: five}))(t)
	list := must(c.ListMirrors(ctx, &pb.ListMirrorsRequest{}))(t).GetMirrors()
	if len(list) != 2 || list[0].GetSrc() != 1 || list[0].GetDst() != 5 || list[1].GetSrc() != 5 {
		t.Errorf("mirrors %v", list)
	}
	must(c.Unmirror(ctx, &pb.UnmirrorRequest{Src: one, Dst: five}))(t)
	_, err := c.Unmirror(ctx, &pb.UnmirrorRequest{Src: one, Dst: five})
	wantError(t, "twice", err, connect.CodeNotFound, "port 1 is not mirrored to port 5")
	if list := l.sw.Mirrors(); len(list) != 1 {
		t.Errorf("mirrors %v", list)
	}
	for _, r := range []*pb.MirrorRequest{{}, {Src: one}, {Dst: one}, {Src: one, Dst: one}} {
		_, err := c.Mirror(ctx, r)
		wantError(t, r.String(), err, connect.CodeInvalidArgument)
	}
	_, err = c.Mirror(ctx, &pb.MirrorRequest{Src: one, Dst: proto.Uint32(10)})
	wantError(t, "beyond", err, connect.CodeNotFound, "10")
}

func TestDisconnect(t *testing.T) {
	l := newLab(t, vswitch.Config{NumPorts: 9}, api.Options{}, api.Access{})
	a, b := l.attach(vde.WithPort(1)), l.attach(vde.WithPort(2))
	p := must(l.client.GetPort(t.Context(), &pb.GetPortRequest{Port: proto.Uint32(1)}))(t).GetPort()
	id := p.GetEndpoints()[0].GetId()
	for _, r := range []*pb.DisconnectRequest{{Port: proto.Uint32(1), Endpoint: id + 100}, {Port: proto.Uint32(3)}, {Port: proto.Uint32(2), Endpoint: id}} {
		_, err := l.client.Disconnect(t.Context(), r)
		wantError(t, r.String(), err, connect.CodeNotFound)
	}
	_, err := l.client.Disconnect(t.Context(), &pb.DisconnectRequest{})
	wantError(t, "no port", err, connect.CodeInvalidArgument)
	must(l.client.Disconnect(t.Context(), &pb.DisconnectRequest{Port: proto.Uint32(1), Endpoint: id}))(t)
	<-a.Context().Done()
	if b.Context().Err() != nil {
		t.Error("the other port was disconnected too")
	}
	must(l.client.Disconnect(t.Context(), &pb.DisconnectRequest{Port: proto.Uint32(2)}))(t)
	<-b.Context().Done()
}

func TestReload(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	_, err := l.client.Reload(t.Context(), &pb.ReloadRequest{})
	wantError(t, "nothing to reload", err, connect.CodeUnimplemented, "configuration file")
	var fail error
	l = newLab(t, vswitch.Config{}, api.Options{Reload: func(context.Context) ([]string, error) { return []string{"port 3", "\x1b"}, fail }}, api.Access{})
	answer := must(l.client.Reload(t.Context(), &pb.ReloadRequest{}))(t)
	if c := answer.GetChanges(); len(c) != 2 || c[0] != "port 3" || c[1] != "\uFFFD" {
		t.Errorf("changes %q", c)
	}
	fail = errors.New("lab.yaml: line 3")
	_, err = l.client.Reload(t.Context(), &pb.ReloadRequest{})
	wantError(t, "a wrong file", err, connect.CodeFailedPrecondition, "lab.yaml: line 3")
}

// TestClosedSwitch checks what is said about a switch that is closed.
func TestClosedSwitch(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	l.sw.Close()
	_, err := l.client.SetPort(t.Context(), &pb.SetPortRequest{Port: proto.Uint32(1), Config: &pb.PortConfig{}})
	wantError(t, "SetPort", err, connect.CodeUnavailable, "closed")
	must(l.client.GetStats(t.Context(), &pb.GetStatsRequest{}))(t)
}

// TestReadOnly checks that whatever changes the switch, or shows what is sent, is refused,
// and nothing else: the procedures are those of the schema.
func TestReadOnly(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{ReadOnly: true})
	if !must(l.client.GetSwitch(t.Context(), &pb.GetSwitchRequest{}))(t).GetSwitch().GetReadOnly() {
		t.Error("GetSwitch does not say that nothing can be changed")
	}
	methods := pb.File_vde_switch_v1_switch_proto.Services().ByName("SwitchService").Methods()
	for i := range methods.Len() {
		m := methods.Get(i)
		status, body := l.post(string(m.Name()), `{}`, nil)
		switch name := string(m.Name()); {
		case name[:3] == "Get" || name[:4] == "List":
			if status == 403 {
				t.Errorf("%s: %d %s", name, status, body)
			}
		case name[:5] == "Watch":
		case m.IsStreamingServer():
			stream := must(l.client.Capture(t.Context(), &pb.CaptureRequest{Port: proto.Uint32(1)}))(t)
			_, err := stream.Receive()
			wantError(t, name, err, connect.CodePermissionDenied, "only shows")
			stream.Close()
		case status != 403:
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}
