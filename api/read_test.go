// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// must returns a function that returns the answer of a call, which must have succeeded.
func must[T any](answer T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
}

// wantError checks the code of an error, and that its text has each of the words.
func wantError(t testing.TB, what string, err error, code connect.Code, words ...string) {
	t.Helper()
	if connect.CodeOf(err) != code {
		t.Errorf("%s: %v, want the code %v", what, err, code)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%s: %v, want %q in it", what, err, w)
		}
	}
}

// unicast returns a frame of 60 bytes.
func unicast(to, from byte) []byte {
	return frame.AppendHeader(make([]byte, 0, 60), frame.MAC{2, 0, 0, 0, 0, to}, frame.MAC{2, 0, 0, 0, 0, from}, 0x88b5)[:60]
}

// flooded returns a frame of 60 bytes that goes to all ports.
func flooded(from ...byte) []byte {
	src := frame.MAC{2}
	copy(src[6-len(from):], from)
	return frame.AppendHeader(make([]byte, 0, 60), frame.Broadcast(), src, 0x88b5)[:60]
}

func TestGetSwitch(t *testing.T) {
	l := newLab(t, vswitch.Config{
		NumPorts: 70, Hub: true, Mode: 0o660, Group: "kvm", PortGroups: map[string]vswitch.PortGroup{"dmz": {First: 10, Last: 20}},
	}, api.Options{Version: "v1.2.3", Dirs: []string{"/run/lab.ctl"}}, api.Access{})
	l.attach(vde.WithPort(3))
	s := must(l.client.GetSwitch(t.Context(), &pb.GetSwitchRequest{}))(t).GetSwitch()
	if s.GetVersion() != "v1.2.3" || !slices.Equal(s.GetDirs(), []string{"/run/lab.ctl"}) || !s.GetHub() || s.GetActivePorts() != 1 || s.GetEndpoints() != 1 {
		t.Errorf("switch %v", s)
	}
	c := s.GetConfig()
	if c.GetNumPorts() != 70 || c.GetMode() != "0660" || c.GetGroup() != "kvm" || c.GetPortGroups()["dmz"].GetLast() != 20 || c.GetDefaultPort().GetPolicy() != "backpressure" {
		t.Errorf("configuration %v", c)
	}
	if s.GetStarted() == nil || s.GetUptime().AsDuration() <= 0 {
		t.Errorf("started %v, uptime %v", s.GetStarted(), s.GetUptime())
	}
}

// TestListPorts checks that pages are the whole, in order and without repetition, with the
// numbers that GetPort has too.
func TestListPorts(t *testing.T) {
	l := newLab(t, vswitch.Config{NumPorts: 70, Ports: map[int]vswitch.PortConfig{60: {VLAN: 7}}}, api.Options{}, api.Access{})
	for n := 1; n <= 25; n++ {
		c := l.attach(vde.WithPort(n), vde.WithDescription(fmt.Sprintf("station %d", n)))
		if _, err := c.Write(flooded(byte(n))); err != nil {
			t.Fatal(err)
		}
	}
	for _, size := range []uint32{0, 1, 7, 25, 26, 4096, 1 << 31} {
		for _, active := range []bool{true, false} {
			var got []uint32
			for p, err := range l.client.Ports(t.Context(), &pb.ListPortsRequest{PageSize: size, Active: active}) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, p.GetNumber())
				if p.GetNumber() > 25 {
					continue
				}
				if e := p.GetEndpoints(); len(e) != 1 || e[0].GetKind() != "in-process" || e[0].GetDescription() != fmt.Sprintf("station %d", p.GetNumber()) {
					t.Errorf("port %d has the endpoints %v", p.GetNumber(), e)
				}
				if p.GetStats().GetIn().GetFrames() != 1 || p.GetFdbEntries() != 1 {
					t.Errorf("port %d: %v", p.GetNumber(), p)
				}
				one := must(l.client.GetPort(t.Context(), &pb.GetPortRequest{Port: &p.Number}))(t).GetPort()
				if !proto.Equal(one, p) {
					t.Errorf("port %d is\n%v by itself and\n%v in the list", p.GetNumber(), one, p)
				}
			}
			var want []uint32
			for n := range uint32(25) {
				want = append(want, n+1)
			}
			if !active {
				want = append(want, 60)
			}
			if !slices.Equal(got, want) {
				t.Errorf("pages of %d, active %v: ports %v, want %v", size, active, got, want)
			}
		}
	}
}

// TestGetPort checks ports that were never used: asking for them makes no record of them.
func TestGetPort(t *testing.T) {
	l := newLab(t, vswitch.Config{
		NumPorts: 70, DefaultPort: vswitch.PortConfig{VLAN: 5},
		PortGroups: map[string]vswitch.PortGroup{"dmz": {First: 10, Last: 20, DefaultPort: vswitch.PortConfig{VLAN: 6}}},
		Ports:      map[int]vswitch.PortConfig{60: {VLAN: 7}},
	}, api.Options{}, api.Access{})
	before := len(l.sw.Ports())
	for n, vlan := range map[uint32]uint32{0: 5, 1: 5, 9: 5, 10: 6, 20: 6, 21: 5, 60: 7, 70: 5} {
		p := must(l.client.GetPort(t.Context(), &pb.GetPortRequest{Port: &n}))(t).GetPort()
		if p.GetNumber() != n || p.GetConfig().GetVlan() != vlan || p.GetConfigured() != (n == 60) || p.GetEtag() == "" {
			t.Errorf("port %d: %v, want VLAN %d", n, p, vlan)
		}
	}
	if after := len(l.sw.Ports()); after != before {
		t.Errorf("the switch had records of %d ports, and of %d after the questions", before, after)
	}
	_, err := l.client.GetPort(t.Context(), &pb.GetPortRequest{})
	wantError(t, "no port", err, connect.CodeInvalidArgument, "port is missing")
	for _, n := range []uint32{71, 1 << 23, 1<<32 - 1} {
		_, err := l.client.GetPort(t.Context(), &pb.GetPortRequest{Port: &n})
		wantError(t, fmt.Sprint(n), err, connect.CodeNotFound)
	}
}

// TestListFDB checks pages and filters against the switch's own list.
func TestListFDB(t *testing.T) {
	const entries = 2500
	static := vswitch.StaticEntry{MAC: frame.MAC{2, 0xff}, VLAN: 9}
	l := newLab(t, vswitch.Config{Ports: map[int]vswitch.PortConfig{2: {VLAN: 9, Static: []vswitch.StaticEntry{static}}}}, api.Options{}, api.Access{})
	a, b := l.attach(vde.WithPort(1)), l.attach(vde.WithPort(2))
	for i := range entries {
		for _, c := range []*vde.Conn{a, b} {
			if _, err := c.Write(flooded(byte(i>>8), byte(i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	all := l.sw.FDB()
	if len(all) != 2*entries+1 {
		t.Fatalf("%d entries", len(all))
	}
	for _, c := range []struct {
		request *pb.ListFDBRequest
		want    int
	}{
		{&pb.ListFDBRequest{}, 2*entries + 1},
		{&pb.ListFDBRequest{PageSize: 999}, 2*entries + 1},
		{&pb.ListFDBRequest{PageSize: 2*entries + 1}, 2*entries + 1},
		{&pb.ListFDBRequest{PageSize: 1 << 30}, 2*entries + 1},
		{&pb.ListFDBRequest{Port: proto.Uint32(1)}, entries},
		{&pb.ListFDBRequest{Port: proto.Uint32(0)}, 0},
		{&pb.ListFDBRequest{Vlan: proto.Uint32(9)}, entries + 1},
		{&pb.ListFDBRequest{Mac: "02:00:00:00:00:1"}, 32},
		{&pb.ListFDBRequest{Mac: "02:FF"}, 1},
		{&pb.ListFDBRequest{Mac: "02:00:00:00:00:10", Vlan: proto.Uint32(0), Port: proto.Uint32(1)}, 1},
	} {
		first := must(l.client.ListFDB(t.Context(), c.request))(t)
		if first.GetTotal() != uint32(c.want) {
			t.Errorf("%v: total %d, want %d", c.request, first.GetTotal(), c.want)
		}
		n := 0
		var last *pb.FDBEntry
		for e, err := range l.client.FDB(t.Context(), c.request) {
			if err != nil {
				t.Fatal(err)
			}
			if last != nil && (e.GetVlan() < last.GetVlan() || e.GetVlan() == last.GetVlan() && e.GetMac() <= last.GetMac()) {
				t.Errorf("%v: %v after %v", c.request, e, last)
			}
			last = e
			n++
			if e.GetStatic() != (e.GetAge() == nil) || e.GetStatic() != (e.GetMac() == static.MAC.String()) {
				t.Errorf("entry %v", e)
			}
		}
		if n != c.want {
			t.Errorf("%v: %d entries, want %d", c.request, n, c.want)
		}
	}
}

func TestPageTokens(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	for _, token := range []string{"x", "1", "1/", "/02:00:00:00:00:01", "70000/02:00:00:00:00:01", "-1/02:00:00:00:00:01"} {
		_, err := l.client.ListFDB(t.Context(), &pb.ListFDBRequest{PageToken: token})
		wantError(t, token, err, connect.CodeInvalidArgument, "page_token", "next_page_token")
		_, err = l.client.ListPorts(t.Context(), &pb.ListPortsRequest{PageToken: token + "x"})
		wantError(t, token, err, connect.CodeInvalidArgument, "page_token", "next_page_token")
	}
}

// TestText checks what becomes of text that others chose.
func TestText(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	for given, want := range map[string]string{
		"plain":                   "plain",
		"Grüße":                   "Grüße",
		"\x1b[2Jred\r\n":          "\uFFFD[2Jred\uFFFD\uFFFD",
		"bad \xff\xfe utf-8":      "bad \uFFFD utf-8",
		"right \u202e to left":    "right \uFFFD to left",
		strings.Repeat("x", 2000): strings.Repeat("x", 1024),
	} {
		a, err := l.sw.Attach(vde.WithDescription(given))
		if err != nil {
			t.Fatal(err)
		}
		n, _ := l.sw.PortOf(a)
		p := must(l.client.GetPort(t.Context(), &pb.GetPortRequest{Port: proto.Uint32(uint32(n))}))(t).GetPort()
		if got := p.GetEndpoints()[0].GetDescription(); got != want && !(len(given) > 1024 && strings.HasPrefix(want, got)) {
			t.Errorf("description %q is %q, want %q", given, got, want)
		}
		a.Close()
	}
}

// TestUplink checks what is said of an endpoint that leads to another switch.
func TestUplink(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	other := vswitch.New(vswitch.Config{})
	defer other.Close()
	between := must(other.OpenLink(link.Settings{}))(t)
	a := must(l.sw.AttachLink(between, vswitch.LinkConfig{Port: 5, Uplink: true, Description: "to the other"}))(t)
	defer a.Close()
	e := must(l.client.GetPort(t.Context(), &pb.GetPortRequest{Port: proto.Uint32(5)}))(t).GetPort().GetEndpoints()
	if len(e) != 1 || !e[0].GetUplink() || e[0].GetDown() || e[0].GetDescription() != "to the other" || e[0].GetId() != a.ID() {
		t.Errorf("endpoints %v", e)
	}
}
