// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// write writes a configuration file.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startLive starts a switch with the configuration file name, without a control directory.
func startLive(t *testing.T, name string) *liveSwitch {
	t.Helper()
	read := func() (*config.File, error) {
		f, err := config.Read(name, nil)
		if err == nil {
			f.Logger = slog.New(slog.DiscardHandler)
		}
		return f, err
	}
	settings, err := read()
	if err != nil {
		t.Fatal(err)
	}
	sw := vswitch.New(settings.Config)
	t.Cleanup(func() { sw.Close() })
	l := newLiveSwitch(sw, settings, read, new(slog.LevelVar))
	if err := l.start(t.Context(), func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	return l
}

// stateOf returns the configuration of sw and all its ports, and its mirrors, as text.
func stateOf(t *testing.T, sw *vswitch.Switch) string {
	t.Helper()
	var ports []any
	for _, p := range sw.Ports() {
		ids := []uint64{}
		for _, e := range p.Endpoints {
			ids = append(ids, e.ID)
		}
		ports = append(ports, p.Number, p.Config, ids)
	}
	b, err := json.MarshalIndent([]any{sw.Config(), ports, sw.Mirrors()}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

const before = `
num-ports: 20
ageing-time: 50s
default-port: {vlan: 1, wait: 1m}
ports:
  3: {vlan: 3}
  4: {vlan: 4, queue: 8}
  18: {vlan: 18}
port-groups: {g: {first: 8, last: 9}}
mirrors: [1:7, 2:7, 2:19]
uplinks:
  - {locator: 'null://', port: 5}
  - {locator: 'null://', port: 15, description: goes}
`

const after = `
num-ports: 12
hub: true
ageing-time: forever
default-port: {vlan: 2, wait: 1m}
ports:
  3: {vlan: 30}
  6: {tagged: all, static: [{mac: 52:54:00:12:34:56, vlan: 6}]}
port-groups: {g: {first: 8, last: 9, default-port: {queue: 9}}}
mirrors: [2:7, 3:7]
uplinks:
  - {locator: 'null://', port: 5}
  - {locator: 'null://', port: 11, description: comes}
log: debug
`

// TestReload checks that a switch whose file has changed is as one that was started with
// the file, and that the endpoints that stay are the same.
func TestReload(t *testing.T) {
	testutil.NoLeaks(t)
	name := filepath.Join(t.TempDir(), "lab.yaml")
	write(t, name, before)
	l := startLive(t, name)
	stays := portInfo(t, l.sw, 5).Endpoints[0].ID
	bare := "num-ports: 20\nport-groups: {g: {first: 8, last: 9}}\nuplinks: [{locator: 'null://', port: 5}]"
	for _, text := range []string{after, before, after, bare, before, bare} {
		write(t, name, text)
		if _, err := l.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := startLive(t, name)
		sameSettings(t, l.sw, want.sw)
		for _, p := range want.sw.Ports() {
			if p.Active() != portInfo(t, l.sw, p.Number).Active() {
				t.Errorf("port %d: in use: %v", p.Number, !p.Active())
			}
		}
		if id := portInfo(t, l.sw, 5).Endpoints[0].ID; id != stays {
			t.Errorf("the uplink that stays is endpoint %d, was %d", id, stays)
		}
		if l.level.Level() != want.level.Level() {
			t.Errorf("the log level is %v", l.level.Level())
		}
		closeLive(t, want)
	}
	closeLive(t, l)
}

// sameSettings checks that sw is configured as want is.
func sameSettings(t *testing.T, sw, want *vswitch.Switch) {
	t.Helper()
	for n := range 20 {
		got, err := sw.Port(n)
		same, sameErr := want.Port(n)
		if !reflect.DeepEqual(got, same) || (err == nil) != (sameErr == nil) {
			t.Errorf("port %d is %+v, want %+v (%v, %v)", n, got, same, err, sameErr)
		}
	}
	got, same := sw.Config(), want.Config()
	if got.NumPorts != same.NumPorts || got.Hub != same.Hub || got.AgeingTime != same.AgeingTime || !reflect.DeepEqual(got.DefaultPort, same.DefaultPort) {
		t.Errorf("%+v, want %+v", got, same)
	}
	if got, same := sw.Mirrors(), want.Mirrors(); !reflect.DeepEqual(got, same) {
		t.Errorf("mirrors %v, want %v", got, same)
	}
}

func closeLive(t *testing.T, l *liveSwitch) {
	t.Helper()
	if err := l.sw.Close(); err != nil {
		t.Error(err)
	}
}

func portInfo(t *testing.T, sw *vswitch.Switch, n int) vswitch.PortInfo {
	t.Helper()
	for _, p := range sw.Ports() {
		if p.Number == n {
			return p
		}
	}
	return vswitch.PortInfo{Number: n}
}

// TestReloadRefused checks that nothing at all is changed if part of a file is wrong or
// cannot be applied, and that the error names the place.
func TestReloadRefused(t *testing.T) {
	testutil.NoLeaks(t)
	name := filepath.Join(t.TempDir(), "lab.yaml")
	write(t, name, before)
	l := startLive(t, name)
	defer closeLive(t, l)
	client, err := l.sw.Attach(vde.WithPort(14))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	first := stateOf(t, l.sw)
	changed := strings.Replace(after, "num-ports: 12", "num-ports: 20", 1) // can be applied
	for _, test := range []struct{ text, want string }{
		{changed + "speed: 1\n", ":15: speed: unknown key"},
		{changed + "max-pending: -1\n", ":15: max-pending: "},
		{changed + "max-frame-size: 1518\n", ":15: max-frame-size: cannot be changed while the switch runs; start it again, or put back what was here"},
		{changed + "mode: 0666\ngroup: x\n", ":16: group: cannot be changed"},
		{changed + "metrics: 9100\n", ":15: metrics: cannot be changed"},
		{strings.Replace(changed, "last: 9", "last: 10", 1), "port-groups.g: cannot be changed"},
		{strings.Replace(changed, "{g: ", "{h: ", 1), "port-groups.h: cannot be changed"},
		{strings.Replace(changed, "'null://', port: 11", "'carrier-pigeon://x'", 1), ":13: uplinks[1]: carrier-pigeon://x: "},
		{strings.Replace(changed, "'null://', port: 11", "/nowhere, required: true", 1), ":13: uplinks[1]: /nowhere: "},
		{after, ":2: num-ports: port 14 is in use; disconnect it first"},
		{"[", "not YAML"},
	} {
		write(t, name, test.text)
		_, err := l.Reload(t.Context())
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "lab.yaml") {
			t.Errorf("%v, want %q for\n%s", err, test.want, test.text)
		}
		if got := stateOf(t, l.sw); got != first {
			t.Errorf("something has changed, for %q:\n%s\nwas\n%s", test.want, got, first)
		}
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Reload(t.Context()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	write(t, name, changed)
	if _, err := l.Reload(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestReloadUndone checks that what was changed before a change fails is changed back.
func TestReloadUndone(t *testing.T) {
	testutil.NoLeaks(t)
	name := filepath.Join(t.TempDir(), "lab.yaml")
	write(t, name, before)
	l := startLive(t, name)
	defer closeLive(t, l)
	// Another user is at the port that the last uplink asks for.
	null, err := vde.OpenLink(t.Context(), "null://")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.sw.AttachLink(null, vswitch.LinkConfig{Port: 11, UID: 4711, PID: 1}); err != nil {
		t.Fatal(err)
	}
	goes := portInfo(t, l.sw, 15).Endpoints[0].ID
	write(t, name, after)
	_, err = l.Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "uplinks: uplink null://: ") || !errors.Is(err, vswitch.ErrNoPort) {
		t.Fatal(err)
	}
	back := portInfo(t, l.sw, 15).Endpoints
	if len(back) != 1 || back[0].ID == goes {
		t.Fatalf("the uplink that was removed did not come back: %+v", back)
	}
	write(t, name, before)
	want := startLive(t, name)
	sameSettings(t, l.sw, want.sw)
	closeLive(t, want)
}

// TestReloadUnderLoad reloads again and again while frames pass between ports that the
// changes do not concern: each frame arrives, and the counters add up.
func TestReloadUnderLoad(t *testing.T) {
	testutil.NoLeaks(t)
	name := filepath.Join(t.TempDir(), "lab.yaml")
	write(t, name, before)
	l := startLive(t, name)
	defer closeLive(t, l)
	from, to := attachPair(t, l.sw, 1, 2)
	reloaded := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		defer close(reloaded)
		for i := range 20 {
			write(t, name, []string{loaded, before}[i%2])
			if _, err := l.Reload(context.Background()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	sent := 0
	running.Go(func() { sent = sendUntil(t, from, reloaded) })
	got := receiveAll(t, to)
	running.Wait()
	if got != sent {
		t.Errorf("%d of %d frames have come", got, sent)
	}
	s := l.sw.Stats()
	checkAccount(t, s)
	for _, p := range s.Ports {
		if p.Port == 1 && (p.In.Frames != uint64(sent) || p.In.Dropped.Sum() != 0) || p.Port == 2 && p.Out.Dropped.Sum() != 0 {
			t.Errorf("%+v", p)
		}
	}
	if err := errors.Join(from.Close(), to.Close()); err != nil {
		t.Error(err)
	}
}

// stations of attachPair.
var stationA, stationB = frame.MAC{2, 0, 0, 0, 0, 1}, frame.MAC{2, 0, 0, 0, 0, 2}

// attachPair attaches stationA to port n and stationB, whose address is learned, to port m.
func attachPair(t *testing.T, sw *vswitch.Switch, n, m int) (a, b *vde.Conn) {
	t.Helper()
	a, err := sw.Attach(vde.WithPort(n))
	if err != nil {
		t.Fatal(err)
	}
	b, err = sw.Attach(vde.WithPort(m))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write(frameFor(frame.Broadcast(), stationB)); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// Types of frames: numbered ones, and the last.
const numbered, last = 0x88b5, 0x88b6

// frameFor returns a frame of 60 bytes.
func frameFor(dst, src frame.MAC) []byte {
	return append(frame.AppendHeader(nil, dst, src, numbered), make([]byte, 46)...)
}

// sendUntil sends numbered frames from stationA to stationB until done is closed, and then
// the last one. It returns how many those are.
func sendUntil(t *testing.T, conn *vde.Conn, done <-chan struct{}) int {
	f := frameFor(stationB, stationA)
	for n := 1; ; n++ {
		binary.BigEndian.PutUint32(f[14:], uint32(n))
		select {
		case <-done:
			binary.BigEndian.PutUint16(f[12:], last)
		default:
		}
		if _, err := conn.Write(f); err != nil {
			t.Error(err)
			return n
		}
		if binary.BigEndian.Uint16(f[12:]) == last {
			return n
		}
	}
}

// receiveAll reads what sendUntil sends, to the last frame, and returns how many frames
// have come. It checks their order.
func receiveAll(t *testing.T, conn *vde.Conn) (n int) {
	t.Helper()
	f := make([]byte, 100)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil { // for hangs
			t.Fatal(err)
		}
		if _, err := conn.Read(f); err != nil {
			t.Errorf("after %d frames: %v", n, err)
			return n
		}
		n++
		if got := binary.BigEndian.Uint32(f[14:]); int(got) != n {
			t.Errorf("frame %d has come as frame %d", got, n)
			return n
		}
		if binary.BigEndian.Uint16(f[12:]) == last {
			return n
		}
	}
}

// loaded differs from before in all that can be changed, but for what ports 1 and 2 are.
const loaded = `
num-ports: 30
ageing-time: 60s
default-port: {vlan: 1, wait: 1m, queue: 100}
ports:
  3: {vlan: 30}
  6: {tagged: all, static: [{mac: 52:54:00:12:34:56, vlan: 6}]}
port-groups: {g: {first: 8, last: 9, default-port: {queue: 9}}}
mirrors: [2:7, 3:7]
uplinks:
  - {locator: 'null://', port: 5}
  - {locator: 'null://', port: 25, description: comes}
log: debug
`

// checkAccount checks that the counters of a switch at rest add up.
func checkAccount(t *testing.T, s vswitch.Stats) {
	t.Helper()
	var copies, offered uint64
	for _, p := range s.Ports {
		if p.In.Frames != p.In.Forwarded+p.In.Dropped.Sum() || p.Out.Offered != p.Out.Frames+p.Out.Dropped.Sum()+p.Out.Queued {
			t.Errorf("port %d: %+v", p.Port, p)
		}
		copies += p.In.Copies
		offered += p.Out.Offered - p.Out.Probes - p.Out.Duplicated
	}
	if copies != offered+s.Monitors.Offered {
		t.Errorf("%d copies, %d offered", copies, offered)
	}
}

// TestReloadSignal sends SIGHUP to the command: with a configuration file it reads that
// again, flags stay above it, and a client keeps its port; a wrong file is logged. That the
// signal was ignored at the start, as under nohup, makes no difference.
func TestReloadSignal(t *testing.T) {
	testutil.NoLeaks(t)
	t.Run("alone", func(t *testing.T) { testReloadSignal(t, "") })
	t.Run("under nohup", func(t *testing.T) { testReloadSignal(t, "trap '' HUP; ") })
}

func testReloadSignal(t *testing.T, before string) {
	base := testutil.ShortDir(t)
	dir, name := filepath.Join(base, "sw"), filepath.Join(base, "lab.yaml")
	write(t, name, "ports: {3: {vlan: 3}}\nageing-time: 9s")
	cmd := command(t, "switch", "-c", name, dir, "--ageing-time", "7s", "--port", "3:queue=8")
	cmd.Args = append([]string{"sh", "-c", before + `exec "$0" "$@"`, cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	var l log
	cmd.Stderr = &l
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	l.await(t, "msg=serving dir")
	conn := openNet(t, dir+"[3]")
	write(t, name, "speed: 9")
	hangup(t, cmd.Process)
	l.await(t, `level=ERROR msg="configuration not reloaded, nothing is changed" reason=".*lab.yaml:1: speed: unknown key`)
	write(t, name, "ports: {3: {vlan: 4}}\nageing-time: 8s\nlog: debug")
	hangup(t, cmd.Process)
	l.await(t, `level=INFO msg="configuration reloaded" changed="\[log ports.3\]"`)
	if err := conn.Err(); err != nil {
		t.Errorf("the client was disconnected: %v", err)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &l)
	}
}

func hangup(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(unix.SIGHUP); err != nil {
		t.Fatal(err)
	}
}
