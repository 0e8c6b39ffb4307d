// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A lab is a running switch with two stations, a at port 1 and b at port 2, which have
// exchanged three frames: one of a for all, one of b for a, and one of a VLAN that there
// is none of.
type lab struct {
	dir  string
	a, b *vde.Conn
}

func newLab(t *testing.T) lab {
	t.Helper()
	l := lab{dir: filepath.Join(testutil.ShortDir(t), "sw")}
	startSwitch(t, l.dir)
	open := func(port int, description string) *vde.Conn {
		c, err := vde.Open(t.Context(), l.dir, vde.WithPort(port), vde.WithDescription(description))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	l.a, l.b = open(1, "station a"), open(2, "station\x1b[2Jb")
	l.send(t, l.a, l.b, frame.Broadcast(), 1)
	l.send(t, l.b, l.a, station(1), 2)
	tagged := append(make([]byte, 12), 0x81, 0, 0, 9)
	if _, err := l.a.Write(append(tagged, make([]byte, 60)...)); err != nil {
		t.Fatal(err)
	}
	l.send(t, l.a, l.b, station(2), 1) // it is behind the dropped one
	return l
}

func station(n byte) frame.MAC { return frame.MAC{2, 0, 0, 0, 0, n} }

// send sends a frame and waits until it has arrived.
func (l lab) send(t *testing.T, from, to *vde.Conn, dst frame.MAC, src byte) {
	t.Helper()
	f := make([]byte, 100)
	frame.PutHeader(f, dst, station(src), 0x88b5)
	if _, err := from.Write(f); err != nil {
		t.Fatal(err)
	}
	if n, err := to.Read(make([]byte, 2000)); err != nil || n != len(f) {
		t.Fatalf("%d bytes arrived, %v", n, err)
	}
}

// run executes a command that has to succeed.
func (l lab) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := execute(t.Context(), append(args, "--net", l.dir)...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// fields returns the line of a table that begins with the fields first.
func fields(table string, first ...string) []string {
	for line := range strings.Lines(table) {
		if f := strings.Fields(line); len(f) >= len(first) && strings.Join(f[:len(first)], " ") == strings.Join(first, " ") {
			return f
		}
	}
	return nil
}

// The tables show what the switch has counted, and nothing that could move the cursor.
func TestShow(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	ports := l.run(t, "ports")
	if got := strings.Join(fields(ports, "1"), " "); got != "1 0 1 3 1 0 1 station a (shared-memory)" {
		t.Errorf("port 1: %s\n%s", got, ports)
	}
	if got := strings.Join(fields(ports, "2"), " "); got != `2 0 1 1 2 0 0 station?[2Jb (shared-memory)` {
		t.Errorf("port 2: %s", got)
	}
	fdb := l.run(t, "fdb")
	for n, mac := range map[string]string{"1": station(1).String(), "2": station(2).String()} {
		if f := fields(fdb, mac); len(f) != 4 || f[1] != "0" || f[2] != n {
			t.Errorf("%s: %v", mac, f)
		}
	}
	if f := fields(l.run(t, "fdb", "--port", "2"), station(1).String()); f != nil {
		t.Errorf("filtered: %v", f)
	}
	stats := l.run(t, "stats")
	for line, want := range map[string]string{"frames in": "4", "forwarded": "3", "dropped, vlan": "1", "delivered": "3", "copies out": "3"} {
		first := strings.Fields(line)
		if f := fields(stats, first...); len(f) != len(first)+1 || f[len(first)] != want {
			t.Errorf("%s: %v, want %s", line, f, want)
		}
	}
	if f := fields(l.run(t, "stats", "-p", "2"), "frames", "in"); len(f) != 3 || f[2] != "1" {
		t.Errorf("frames in at port 2: %v", f)
	}
	events := l.run(t, "events", "--past", "--kind", "attached,learned", "-c", "4")
	for _, want := range []string{"attached    port 1 endpoint 1, shared-memory, station a", `station?[2Jb`, "learned     port 2 02:00:00:00:00:02 VLAN 0"} {
		if !strings.Contains(events, want) {
			t.Errorf("no %q in\n%s", want, events)
		}
	}
}

func TestShowJSON(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	for _, args := range [][]string{{"ports"}, {"fdb"}, {"stats"}, {"stats", "--port", "1"}, {"events", "--past", "-c", "1"}} {
		out := l.run(t, append(args, "--json")...)
		var got map[string]any
		if err := json.Unmarshal([]byte(out), &got); err != nil || len(got) == 0 {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

func TestChange(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	l.run(t, "set", "2:vlan=10,tagged=20+30")
	l.run(t, "set", "2:tagged=20+21+22") // the VLAN stays
	if f := strings.Join(fields(l.run(t, "ports"), "2"), " "); !strings.HasPrefix(f, "2 10, tagged 20-22 ") {
		t.Errorf("port 2: %s", f)
	}
	l.run(t, "set", "2:tagged=all")
	if f := strings.Join(fields(l.run(t, "ports"), "2"), " "); !strings.HasPrefix(f, "2 10, tagged all ") {
		t.Errorf("port 2: %s", f)
	}
	l.run(t, "set", "2:delay=20ms,out-loss=1,seed=7")
	if out := l.run(t, "ports"); strings.Count(out, "impaired; ") != 1 {
		t.Errorf("port 2 is not shown as impaired:\n%s", out)
	}
	l.run(t, "set", "2:impair=none")
	if out := l.run(t, "ports"); strings.Contains(out, "impaired") {
		t.Errorf("port 2 is shown as impaired:\n%s", out)
	}
	l.run(t, "set", "2:default")
	for _, what := range []string{"hub=on", "ports=50", "ageing-time=5m", "fdb=flush"} {
		l.run(t, "set", what)
	}
	if s := getSwitch(t, l.dir); !s.GetHub() || s.GetConfig().GetNumPorts() != 50 || s.GetConfig().GetAgeingTime().GetSeconds() != 300 || s.GetFdbEntries() != 0 {
		t.Errorf("the switch is %v", s)
	}
	l.run(t, "mirror", "1:5")
	if f := fields(l.run(t, "mirror", "list"), "1", "5"); f == nil {
		t.Error("no mirror")
	}
	l.run(t, "mirror", "--stop", "1:5")
	if f := fields(l.run(t, "mirror", "list"), "1", "5"); f != nil {
		t.Error("still a mirror")
	}
	l.run(t, "disconnect", "2/2")
	<-l.b.Context().Done()
	l.run(t, "disconnect", "1")
	<-l.a.Context().Done()
	for _, args := range [][]string{{"disconnect", "1"}, {"set", "9999:vlan=1"}, {"mirror", "1:1"}, {"stats", "-p", "40"}, {"events", "--kind", "plugged"}} {
		if out, err := execute(t.Context(), append(args, "--net", l.dir)...); err == nil || errors.As(err, new(usageError)) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

// What a command line says wrong is a usage error, before anything is dialled or after.
func TestControlUsage(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	for _, args := range [][]string{
		{"set", "hub"}, {"set", "hub=maybe"}, {"set", "1:colour=red"}, {"set", "x:vlan=1"}, {"set", "ports=-1"}, {"set", "ageing-time=5"},
		{"mirror", "1"}, {"mirror", "1:x"}, {"disconnect", "1/x"}, {"disconnect", "-"}, {"ports", "--watch=1ms"}, {"capture", "--port", "x", "-w", "x"},
	} {
		if out, err := execute(t.Context(), append(args, "--net", l.dir)...); !errors.As(err, new(usageError)) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	if _, err := execute(t.Context(), "ports", "tap://lan0"); !errors.As(err, new(usageError)) {
		t.Errorf("a tap: %v", err)
	}
	if _, err := execute(t.Context(), "ports", l.dir+"x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no switch: %v", err)
	}
}

// The numbers of ports complete as they are at this moment.
func TestCompletePorts(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	for _, c := range []struct{ command, want string }{
		{"disconnect", "1\tstation a (shared-memory)"}, {"set", "1:\tstation a"}, {"mirror", "2:\tstation"},
	} {
		if out, err := execute(t.Context(), "__complete", c.command, "--net", l.dir, ""); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v\n%s", c.command, err, out)
		}
	}
	for _, command := range []string{"fdb", "stats", "capture"} {
		if out, err := execute(t.Context(), "__complete", command, "--net", l.dir, "--port", ""); err != nil || !strings.Contains(out, "2\tstation") {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
	}
}

// A capture at a port has what comes from it and goes to it, and a failing one leaves the
// file alone.
func TestPortCapture(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	file := new(memoryFile)
	o := captureOptions{jsonOption: jsonOption{true}, output: "x", count: 2, port: "1", create: func(context.Context, string) (io.WriteCloser, error) {
		l.send(t, l.a, l.b, station(2), 1)
		l.send(t, l.b, l.a, station(1), 2)
		return file, nil
	}}
	var out, messages strings.Builder
	if err := runCapture(t.Context(), &out, &messages, l.dir, o); err != nil {
		t.Fatal(err)
	}
	var got portCaptureResult
	if err := json.Unmarshal([]byte(out.String()), &got); err != nil || got != (portCaptureResult{l.dir, 1, "x", 2, 0}) {
		t.Errorf("%+v, %v", got, err)
	}
	o.port = "99999"
	o.create = func(context.Context, string) (io.WriteCloser, error) {
		t.Error("the file is made all the same")
		return file, nil
	}
	if err := runCapture(t.Context(), &out, &messages, l.dir, o); err == nil {
		t.Error("a capture at a port that does not exist")
	}
}

// With --watch a command shows it again, until it is interrupted.
func TestWatch(t *testing.T) {
	testutil.NoLeaks(t)
	l := newLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, w := io.Pipe()
	root := newRoot()
	root.SetOut(w)
	root.SetArgs([]string{"ports", "--net", l.dir, "--watch=100ms"})
	done := make(chan error, 1)
	go func() {
		done <- root.ExecuteContext(ctx)
		w.Close()
	}()
	b := make([]byte, 4096)
	for seen := 0; seen < 3; {
		n, err := r.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		seen += strings.Count(string(b[:n]), "station a")
	}
	cancel()
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
