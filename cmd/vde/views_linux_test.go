// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

// A viewOfPort is what a view of a switch shows of a port: frames that came from it and
// that went to it.
type viewOfPort struct{ in, out uint64 }

// A view asks for what it shows of port n.
type view struct {
	name string
	ask  func(n uint32) viewOfPort
}

// viewsOf returns all views of the switch with the control directory dir, whose metrics are
// at addr and whose console is at mgmt. They check that the full accounts add up.
func viewsOf(t *testing.T, dir, addr, mgmt string) []view {
	client, err := api.Dial(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	terminal, err := console.Dial(t.Context(), mgmt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return []view{
		{"API", func(n uint32) viewOfPort {
			r, err := client.GetStats(t.Context(), &pb.GetStatsRequest{FirstPort: n, LastPort: proto.Uint32(n)})
			if err != nil {
				t.Fatal(err)
			}
			return viewOfStats(t, r.GetStats().GetPorts()[0])
		}},
		{"vde ports", func(n uint32) viewOfPort {
			var list pb.ListPortsResponse
			parseOutput(t, &list, "ports", "--json", dir)
			for _, p := range list.GetPorts() {
				if p.GetNumber() == n {
					return viewOfStats(t, p.GetStats())
				}
			}
			t.Fatalf("vde ports does not show port %d", n)
			panic("unreachable")
		}},
		{"vde stats", func(n uint32) viewOfPort {
			var s pb.Stats
			parseOutput(t, &s, "stats", "--json", "--port", strconv.Itoa(int(n)), dir)
			return viewOfStats(t, s.GetPorts()[0])
		}},
		{"metrics", func(n uint32) viewOfPort { return viewOfMetrics(t, addr, n) }},
		{"console", func(n uint32) viewOfPort {
			p, err := terminal.Port(t.Context(), int(n))
			if err != nil {
				t.Fatal(err)
			}
			return viewOfPort{p.In.Frames, p.Out.Frames}
		}},
	}
}

// parseOutput parses what the command args prints, which has to succeed.
func parseOutput(t *testing.T, m proto.Message, args ...string) {
	t.Helper()
	out, err := execute(t.Context(), args...)
	if err == nil {
		err = protojson.Unmarshal([]byte(out), m)
	}
	if err != nil {
		t.Fatalf("vde %v: %v\n%s", args, err, out)
	}
}

func viewOfStats(t *testing.T, s *pb.PortStats) viewOfPort {
	in, out := s.GetIn(), s.GetOut()
	left, dropped := in.GetFrames()-in.GetForwarded(), out.GetOffered()-out.GetFrames()-out.GetQueued()
	for _, n := range in.GetDropped() {
		left -= n
	}
	for _, n := range out.GetDropped() {
		dropped -= n
	}
	if left != 0 || dropped != 0 {
		t.Errorf("does not add up: %v", s)
	}
	return viewOfPort{in.GetFrames(), out.GetFrames()}
}

func viewOfMetrics(t *testing.T, addr string, n uint32) viewOfPort {
	_, text := fetch(t, "GET", addr, "/metrics", "")
	count := func(direction string) uint64 {
		m := regexp.MustCompile(`(?m)^vde_switch_port_frames_total\{direction="` + direction + `",port="` + strconv.Itoa(int(n)) + `",.*\} (\S+)$`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("no frames of port %d in\n%s", n, text)
		}
		v, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		return uint64(v)
	}
	return viewOfPort{count("in"), count("out")}
}

// TestViewsAgree asks all views of a switch in turn while frames pass. None shows less than
// the one before, and when all have arrived they show the same: what was sent.
func TestViewsAgree(t *testing.T) {
	testutil.NoLeaks(t)
	mgmt := filepath.Join(testutil.ShortDir(t), "mgmt")
	dir, addr := startMetrics(t, "--mgmt", mgmt, "--wait", vswitch.Forever.String()) // no frame is lost
	from, to := openNet(t, dir+"[3]"), openNet(t, dir+"[4]")
	passes(t, to, from, frameFor(stationA, stationB), frameFor(stationA, stationB)) // stationB becomes known
	views := viewsOf(t, dir, addr, mgmt)
	before := views[0].ask(3)

	looked := make(chan struct{})
	var running sync.WaitGroup
	sent, got := 0, 0
	running.Go(func() { sent = sendUntil(t, from, looked) })
	running.Go(func() { got = receiveAll(t, to) })
	last := before
	for range 3 {
		for _, v := range views {
			now := v.ask(3)
			if now.in < last.in || now.out < last.out {
				t.Errorf("%s shows %+v after %+v", v.name, now, last)
			}
			last = now
		}
	}
	if last.in == before.in {
		t.Error("no frame has passed meanwhile")
	}
	close(looked)
	running.Wait()
	if got != sent {
		t.Errorf("%d of %d frames have come", got, sent)
	}
	for _, v := range views {
		a, b := v.ask(3), v.ask(4)
		if a.in-before.in != uint64(sent) || a.out != last.out || b.out != uint64(sent) {
			t.Errorf("%s shows %+v and %+v after %d frames and %+v", v.name, a, b, sent, last)
		}
	}
}
