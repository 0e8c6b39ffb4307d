// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/recordtb"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
)

var (
	macA      = [6]byte{2, 0, 0, 0, 0, 0xa}
	macB      = [6]byte{2, 0, 0, 0, 0, 0xb}
	broadcast = [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
)

// testFrame returns a test frame of n bytes.
func testFrame(dst, src [6]byte, n int, seq uint64) []byte {
	b := make([]byte, n)
	copy(b, dst[:])
	copy(b[6:], src[:])
	testframe.Fill(b, seq)
	return b
}

// exchange sends a frame from a to b and back.
func exchange(t *testing.T, a, b *testpeers.VdePlug) {
	t.Helper()
	for i, p := range [][2]*testpeers.VdePlug{{a, b}, {b, a}} {
		src, dst := macA, broadcast
		if i == 1 {
			src, dst = macB, macA
		}
		frame := testFrame(dst, src, 100, uint64(i))
		if err := p[0].Send(frame); err != nil {
			t.Fatal(err)
		}
		got, err := p[1].Recv(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, frame) {
			t.Fatalf("got % x, want % x", got, frame)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestSwitch(t *testing.T) {
	testutil.NoLeaks(t)
	var dir string
	t.Run("", func(t *testing.T) {
		sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
		dir = sw.Dir()
		if sw.VNL() != "vde://"+dir {
			t.Error(sw.VNL())
		}
		a := testpeers.StartVdePlug(t, sw.Dir(), "-D", "station A")
		b := testpeers.StartVdePlug(t, sw.VNL()+"[7]", "-D", "station B")
		exchange(t, a, b)

		if p, err := sw.WaitEndpoint(t.Context(), "station A"); err != nil || p.Number != 1 {
			t.Errorf("station A at %+v, %v", p, err)
		}
		checkPorts(t, sw)
		checkFDB(t, sw)

		b.CloseInput()
		if err := b.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		if err := sw.WaitActive(t.Context(), 1); err != nil {
			t.Error(err)
		}
		// The end of the switch ends the other plug.
		sw.Stop()
		if exists(sw.Dir()) || exists(sw.Mgmt()) {
			t.Error("a stopped switch left files")
		}
		if _, err := a.Recv(t.Context()); !errors.Is(err, io.EOF) {
			t.Errorf("received %v", err)
		}
		if err := a.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if exists(filepath.Dir(dir)) {
		t.Error("the switch's directory outlived the test")
	}
}

// checkPorts checks the list of ports after [exchange] between "station A" and "station B" on port 7.
func checkPorts(t *testing.T, sw *testpeers.Switch) {
	t.Helper()
	ports, err := sw.Ports()
	if err != nil {
		t.Fatal(err)
	}
	active := make(map[int]testpeers.SwitchPort)
	for _, p := range ports {
		if p.Active {
			active[p.Number] = p
		}
	}
	p, ok := active[7]
	if !ok || len(active) != 2 {
		t.Fatalf("ports %+v", ports)
	}
	if len(p.Endpoints) != 1 || p.Endpoints[0].ID == 0 || p.Endpoints[0].Module != "unix prog" ||
		!strings.HasPrefix(p.Endpoints[0].Description, "station B user=") {
		t.Errorf("endpoints %+v", p.Endpoints)
	}
	if p.VLAN != 0 || !p.Allocatable || p.User == "" || p.AllowUser != "NONE" || p.AllowGroup != "NONE" {
		t.Errorf("port %+v", p)
	}
	if p.InPackets != 1 || p.InBytes != 100 || p.OutPackets != 1 || p.OutBytes != 100 {
		t.Errorf("counters %+v", p)
	}
}

// checkFDB checks that the switch has learned macA on port 1 and macB on port 7.
func checkFDB(t *testing.T, sw *testpeers.Switch) {
	t.Helper()
	table, err := sw.FDB()
	if err != nil {
		t.Fatal(err)
	}
	at := make(map[[6]byte]int)
	for _, l := range table {
		at[l.MAC] = l.Port
	}
	if at[macA] != 1 || at[macB] != 7 {
		t.Errorf("table %v", table)
	}
}

func TestSwitchKillAndRestart(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	a := testpeers.StartVdePlug(t, sw.Dir())
	pid := sw.PID()
	sw.Kill()
	if sw.Running() || !exists(filepath.Join(sw.Dir(), "ctl")) {
		t.Error("killed, and yet running or without ctl")
	}
	if err := a.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	sw.Restart()
	if sw.PID() == pid || !sw.Running() {
		t.Error("not restarted")
	}
	exchange(t, testpeers.StartVdePlug(t, sw.Dir()), testpeers.StartVdePlug(t, sw.Dir()))
	sw.Restart() // a running one
	exchange(t, testpeers.StartVdePlug(t, sw.Dir()), testpeers.StartVdePlug(t, sw.Dir()))
	if err := sw.WaitActive(t.Context(), 2); err != nil {
		t.Error(err)
	}
}

func TestSwitchPause(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	a, b := testpeers.StartVdePlug(t, sw.Dir()), testpeers.StartVdePlug(t, sw.Dir())
	exchange(t, a, b)
	sw.Pause()
	if s := state(t, sw.PID()); s != "T" {
		t.Errorf("state %s", s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if err := sw.WaitActive(ctx, 2); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused switch answered its console: %v", err)
	}
	frame := testFrame(macB, macA, 64, 5)
	if err := a.Send(frame); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Recv(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused switch forwarded % x, %v", got, err)
	}
	sw.Resume()
	if got, err := b.Recv(t.Context()); err != nil || !bytes.Equal(got, frame) {
		t.Errorf("after the pause: % x, %v", got, err)
	}
}

// checkMode checks the permissions of a file.
func checkMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode() & (fs.ModePerm | fs.ModeSetgid); got != want {
		t.Errorf("%s has mode %v, want %v", filepath.Base(path), got, want)
	}
}

// checkConsole checks that the answer to a command contains want.
func checkConsole(t *testing.T, sw *testpeers.Switch, command, want string) {
	t.Helper()
	if text, err := sw.Console(command); err != nil || !strings.Contains(text, want) {
		t.Errorf("%s: %q, %v; want %q", command, text, err, want)
	}
}

func TestSwitchModes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		cfg            testpeers.SwitchConfig
		dir, ctl, mgmt fs.FileMode
	}{
		{"defaults", testpeers.SwitchConfig{}, 0o700 | fs.ModeSetgid, 0o600, 0o600},
		{"given", testpeers.SwitchConfig{Mode: 0o660, DirMode: 0o755, MgmtMode: 0o640}, 0o755, 0o660, 0o640},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sw := testpeers.StartSwitch(t, tt.cfg)
			checkMode(t, sw.Dir(), tt.dir)
			checkMode(t, sw.Dir()+"/ctl", tt.ctl)
			checkMode(t, sw.Mgmt(), tt.mgmt)
		})
	}
}

func TestSwitchDefaults(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	checkConsole(t, sw, "port/showinfo", "Numports=32\nHUB=false\n")
}

func TestSwitchHubPortsAndDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(testutil.ShortDir(t), "given")
	t.Run("", func(t *testing.T) {
		sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{Dir: dir, Ports: 5, Hub: true, Args: []string{"--hashsize", "64"}})
		if sw.Dir() != dir {
			t.Error(sw.Dir())
		}
		checkConsole(t, sw, "port/showinfo", "Numports=5\nHUB=true\n")
		checkConsole(t, sw, "hash/showinfo", "Hash size 64\n")
		sw.Kill()
	})
	if exists(dir) {
		t.Error("the directory of a killed switch was left")
	}
}

func TestSwitchWithoutConsole(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{NoMgmt: true})
	if _, err := sw.Ports(); err == nil || sw.Mgmt() != "" {
		t.Error("a console without a socket")
	}
}

func TestSwitchOfAnotherUser(t *testing.T) {
	t.Parallel()
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID")
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{User: &testpeers.Credential{UID: 65534, GID: 65534}})
	checkConsole(t, sw, "port/showinfo", "")
	info, err := os.Stat(sw.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if owner := fmt.Sprint(info.Sys()); !strings.Contains(owner, "65534") {
		t.Error(owner)
	}
	exchange(t, testpeers.StartVdePlug(t, sw.Dir()), testpeers.StartVdePlug(t, sw.Dir()))
}

func TestSwitchDoesNotStart(t *testing.T) {
	t.Parallel()
	r := recordtb.Run(t, func(tb testing.TB) { testpeers.StartSwitch(tb, testpeers.SwitchConfig{Dir: "/no/such/directory"}) })
	if len(r.Fatals) != 1 || !strings.Contains(r.Fatals[0], "vde_switch ended") {
		t.Errorf("fatal %q", r.Fatals)
	}
}

func TestConsole(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	for _, tt := range []struct {
		command string
		want    string
		errno   syscall.Errno
	}{
		{"port/create 5", "", 0},
		{"port/create 5", "", syscall.EEXIST},
		{"vlan/create 9", "", 0},
		{"port/setvlan 5 9", "", 0},
		{"port/setvlan 5 10", "", syscall.ENXIO},
		{"no/such/command", "", syscall.ENOSYS},
		{"vlan/print", "VLAN 0000", 0},
		{"load /dev/null", "", 0},
		{"ds/showinfo", "ctl dir " + sw.Dir(), 0},
	} {
		text, err := sw.Console(tt.command)
		var refused *testpeers.ConsoleError
		if tt.errno == 0 && err != nil || tt.errno != 0 && (!errors.Is(err, tt.errno) || !errors.As(err, &refused)) {
			t.Errorf("%s: error %v, want %v", tt.command, err, tt.errno)
		}
		if !strings.Contains(text, tt.want) {
			t.Errorf("%s: %q", tt.command, text)
		}
	}
	ports, err := sw.Ports()
	if err != nil || len(ports) != 1 || ports[0].Number != 5 || ports[0].VLAN != 9 || ports[0].Active || ports[0].Allocatable {
		t.Errorf("ports %+v, %v", ports, err)
	}
	for _, bad := range []string{"", "  ", "# comment", "two\nlines", strings.Repeat("x", 127)} {
		if _, err := sw.Console(bad); err == nil {
			t.Errorf("%q was sent", bad)
		}
	}
	// An answer of many pieces.
	text, err := sw.Console("help")
	if err != nil || !strings.Contains(text, "port/allprint") {
		t.Errorf("help: %v %q", err, text)
	}
	if _, err := sw.Console("shutdown"); err != nil {
		t.Error(err)
	}
	if err := sw.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := sw.Console("showinfo"); err == nil {
		t.Error("answered after its end")
	}
}

func TestWaitPortsSeesEachChange(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	for i := range 5 {
		name := fmt.Sprintf("endpoint %d", i)
		found := make(chan error, 1)
		go func() {
			_, err := sw.WaitEndpoint(t.Context(), name)
			found <- err
		}()
		p := testpeers.StartVdePlug(t, sw.Dir(), "-D", name)
		if err := <-found; err != nil {
			t.Fatal(err)
		}
		p.Kill()
		if err := sw.WaitActive(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNode(t *testing.T) {
	testutil.NoLeaks(t)
	for _, kind := range []string{"switch", "hub"} {
		t.Run(kind, func(t *testing.T) {
			n := testpeers.StartNode(t, kind, "mode=666", "hashsize=64")
			info, err := os.Stat(filepath.Join(n.Dir(), "ctl"))
			if err != nil || info.Mode().Perm() != 0o666 {
				t.Errorf("ctl has mode %v, %v", info.Mode(), err)
			}
			exchange(t, testpeers.StartVdePlug(t, n.VNL()), testpeers.StartVdePlug(t, n.Dir()))

			n.Pause()
			if s := state(t, n.PID()); s != "T" {
				t.Errorf("state %s", s)
			}
			n.Resume()
			n.Kill()
			if !exists(n.Dir()) {
				t.Error("a killed node tidied up")
			}
			n.Restart()
			a := testpeers.StartVdePlug(t, n.Dir())
			exchange(t, a, testpeers.StartVdePlug(t, n.Dir()))
			n.CloseInput()
			if err := n.Wait(t.Context()); err != nil || exists(n.Dir()) {
				t.Errorf("the end of its input ended the node with %v, directory left: %v", err, exists(n.Dir()))
			}
			if err := a.Wait(t.Context()); err != nil {
				t.Error(err)
			}
			n.Restart()
			n.Stop()
			if exists(n.Dir()) {
				t.Error("a stopped node left its directory")
			}
		})
	}
	t.Run("multi", func(t *testing.T) {
		n := testpeers.StartNode(t, "multi")
		a, b := testpeers.StartVdePlug(t, n.Dir()), testpeers.StartVdePlug(t, n.Dir())
		if err := a.Send(testFrame(broadcast, macA, 60, 0)); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		if f, err := b.Recv(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("multi forwarded % x, %v", f, err)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		r := recordtb.Run(t, func(tb testing.TB) { testpeers.StartNode(tb, "nosuch") })
		if len(r.Fatals) != 1 || !strings.Contains(r.Fatals[0], "vde_plug ended") {
			t.Errorf("fatal %q", r.Fatals)
		}
	})
}

// TestVdePlugBurst sends without pause: each record must reach vde_plug in one piece.
func TestVdePlugBurst(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	a, b := testpeers.StartVdePlug(t, sw.Dir()), testpeers.StartVdePlug(t, sw.Dir())
	exchange(t, a, b)
	const n = 3000
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			if err := a.Send(testFrame(macB, macA, 60+i%1400, uint64(i))); err != nil {
				sent <- err
				return
			}
		}
		sent <- a.Send(testFrame(macB, macA, 60, n))
	}()
	// The switch may drop frames, but what comes is whole and in order; and then it comes to an end, for a
	// last frame of a kind is sent until it arrives.
	var next uint64
	got := 0
	quiet := context.Background()
	for {
		ctx, cancel := context.WithTimeout(quiet, 200*time.Millisecond)
		frame, err := b.Recv(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			if err := a.Send(testFrame(macB, macA, 60, n)); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		seq, err := testframe.Check(frame)
		if err != nil || seq < next {
			t.Fatalf("frame %d after %d: %v", seq, next, err)
		}
		next = seq
		got++
		if seq == n {
			break
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	if got < n/100 {
		t.Errorf("only %d frames of %d arrived", got, n)
	}
	if log := a.Log() + b.Log(); log != "" {
		t.Errorf("vde_plug complained: %s", log)
	}
	if err := a.Send(make([]byte, 9235)); err == nil {
		t.Error("a frame too long for vde_plug was sent")
	}
}
