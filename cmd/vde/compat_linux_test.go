// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch/console"
)

// asVdeSwitch returns a command that runs this program under the name vde_switch, with no
// start-up file but the one in args.
func asVdeSwitch(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, testpeers.TestBinary(t), args...)
	cmd.Args[0] = compatName
	cmd.Env = append(os.Environ(), commandVariable+"=1", "HOME="+t.TempDir())
	return cmd
}

// daemonize starts a switch in the background and returns its process id. It is killed at
// the end of the test.
func daemonize(t *testing.T, pidFile string, args ...string) int {
	t.Helper()
	if out, err := asVdeSwitch(t, append(args, "-d", "-p", pidFile)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p, err := os.FindProcess(pid); err == nil {
			p.Kill()
		}
	})
	return pid
}

// TestCompatKathara does what Kathará's network plugin does: a hub of 65535 ports in the
// background, stations by libvdeplug, and a kill.
func TestCompatKathara(t *testing.T) {
	testpeers.Need(t, "vde_plug")
	dir := filepath.Join(testutil.ShortDir(t), "kt-0123")
	if err := os.MkdirAll(dir, os.ModePerm); err != nil {
		t.Fatal(err)
	}
	ctl, pidFile := filepath.Join(dir, "ctl"), filepath.Join(dir, "pid")
	pid := daemonize(t, pidFile, "-n", "65535", "-x", "-s", ctl)
	a, b, c := testpeers.StartVdePlug(t, ctl), testpeers.StartVdePlug(t, ctl), testpeers.StartVdePlug(t, ctl)
	want := stationFrame(1, 2)
	if err := a.Send(want); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*testpeers.VdePlug{b, c} { // it is a hub
		if got, err := p.Recv(t.Context()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %x, %v", got, err)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
	for _, p := range []*testpeers.VdePlug{a, b, c} {
		<-p.Done()
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

func stationFrame(src, dst byte) []byte {
	f := make([]byte, 60)
	copy(f, []byte{2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 8, 0})
	return f
}

// TestCompatKatharaVLANs does what Kathará's plugin does with the console: ports of its own
// for stations, and VLANs.
func TestCompatKatharaVLANs(t *testing.T) {
	testpeers.Need(t, "vde_plug")
	dir := testutil.ShortDir(t)
	ctl, mgmt := filepath.Join(dir, "ctl"), filepath.Join(dir, "mgmt")
	daemonize(t, filepath.Join(dir, "pid"), "-n", "65535", "-s", ctl, "-M", mgmt)
	client, err := console.Dial(t.Context(), mgmt)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	run := func(command string, tolerated ...console.Status) []string {
		t.Helper()
		data, err := client.Command(t.Context(), command)
		if err != nil && !slices.ContainsFunc(tolerated, func(s console.Status) bool { return errors.Is(err, s) }) {
			t.Error(err)
		}
		return data
	}
	for _, port := range []string{"1", "2", "3"} {
		if got := run("port/createauto"); !slices.Equal(got, []string{"Port 000" + port}) {
			t.Errorf("port/createauto: %q", got)
		}
		run("port/remove " + port)
		run("port/create " + port)
	}
	run("vlan/create 7")
	run("vlan/create 7", console.Exists)
	run("port/setvlan 1 7")
	run("port/setvlan 2 7")
	a, b := testpeers.StartVdePlug(t, ctl+"[1]"), testpeers.StartVdePlug(t, ctl+"[2]")
	c := testpeers.StartVdePlug(t, ctl+"[3]")
	goes := func(from, to *testpeers.VdePlug, f []byte) {
		t.Helper()
		if err := from.Send(f); err != nil {
			t.Fatal(err)
		}
		if got, err := to.Recv(t.Context()); err != nil || !bytes.Equal(got, f) {
			t.Errorf("got %x, %v, want %x", got, err, f)
		}
	}
	goes(a, b, stationFrame(1, 2))
	// When one more frame of a has arrived, for b alone, the one for all has been to all.
	goes(b, a, stationFrame(2, 1))
	goes(a, b, stationFrame(1, 2))
	run("port/setvlan 3 7")
	goes(a, c, stationFrame(1, 3)) // and none from before it was in the VLAN
	run("port/remove 3", console.InUse)
	if err := client.Subscribe(t.Context(), "port/-"); err != nil {
		t.Fatal(err)
	}
	c.CloseInput()
	if e, err := client.NextEvent(t.Context()); err != nil || e.Path != "port/-" || e.Text != "03" {
		t.Fatalf("%+v, %v", e, err)
	}
	run("port/remove 3")
}

// TestCompatForeground uses a switch in the foreground by its standard input.
func TestCompatForeground(t *testing.T) {
	dir := testutil.ShortDir(t)
	rc, pid := filepath.Join(dir, "rc"), filepath.Join(dir, "pid")
	if err := os.WriteFile(rc, []byte("port/create 3\nbogus\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctl := filepath.Join(dir, "ctl")
	for _, test := range []struct{ in, out, end string }{
		{"\nport/print\nport/allprint 3\n", "0000 DATA END WITH '.'\n.\n1000 Success\n0000 DATA END WITH '.'\n" +
			"Port 0003 untagged_vlan=0000 INACTIVE - NOT Unnamed Allocatable\n Current User: NONE Access Control: (User: NONE - Group: NONE)\n" +
			" IN:  pkts          0          bytes                    0\n OUT: pkts          0          bytes                    0\n" +
			".\n1000 Success\n", "vde_switch: EOF on stdin, cleaning up and exiting\n"},
		{"shutdown\n", "", "vde_switch: Shutdown from mgmt command\n"},
	} {
		cmd := asVdeSwitch(t, "-hub", "-sock", ctl, "-mod", "666", "-numports", "5", "-f", rc, "-p", pid, "--macaddr", "02:00:00:00:00:01")
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		var out, messages bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &messages
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		io.WriteString(in, test.in)
		if test.in != "shutdown\n" {
			in.Close()
		}
		if err := cmd.Wait(); err != nil || out.String() != test.out || messages.String() != test.end {
			t.Errorf("%v\n%s%s\nwant\n%s%s", err, &out, &messages, test.out, test.end)
		}
		for _, path := range []string{ctl, pid} {
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s was left: %v", path, err)
			}
		}
	}
}

// TestCompatDaemonFails checks that the parent says what has failed in the background.
func TestCompatDaemonFails(t *testing.T) {
	dir := testutil.ShortDir(t)
	ctl := filepath.Join(dir, "ctl")
	daemonize(t, filepath.Join(dir, "pid"), "-s", ctl)
	for i, args := range [][]string{
		{"-s", ctl, "-d", "-p", filepath.Join(dir, "pid2")},
		{"-s", filepath.Join(dir, "x"), "-d", "-M", filepath.Join(dir, "none", "mgmt")},
		{"-s", filepath.Join(dir, "none", "ctl"), "-d"},
		{"-s", filepath.Join(dir, "x"), "-d", "-t", "no/such"},
		{"-s", filepath.Join(dir, "x"), "-d", "-n", "0"},
		{"-s", filepath.Join(dir, "x"), "-d", "-p", dir},
		{"-s", filepath.Join(dir, "x"), "extra"},
	} {
		if testing.Short() && i > 1 {
			break
		}
		var exit *exec.ExitError
		out, err := asVdeSwitch(t, args...).CombinedOutput()
		if !errors.As(err, &exit) || exit.ExitCode() < 1 || !strings.Contains(string(out), "vde: ") {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "[px]*")); len(left) != 1 {
		t.Errorf("left %q", left)
	}
}

// TestCompatTap connects a tap interface.
func TestCompatTap(t *testing.T) {
	testpeers.Need(t, "CAP_NET_ADMIN", "/dev/net/tun")
	ns := testpeers.NewNamespace(t)
	dir := testutil.ShortDir(t)
	program := filepath.Join(dir, compatName)
	if err := os.Symlink(testpeers.TestBinary(t), program); err != nil {
		t.Fatal(err)
	}
	mgmt := filepath.Join(dir, "mgmt")
	p := testpeers.StartProcess(t, testpeers.ProcessConfig{
		Args: []string{program, "-s", filepath.Join(dir, "ctl"), "-M", mgmt, "-t", "lan0,lan1"},
		Env:  []string{commandVariable + "=1", "HOME=" + dir}, Namespace: ns,
	})
	client := awaitConsole(t, mgmt, p.Done())
	ports, err := client.Ports(t.Context(), false)
	if err != nil || len(ports) != 2 || ports[0].User != "NONE" || len(ports[1].Endpoints) != 1 ||
		ports[1].Endpoints[0].Module != "tuntap" || ports[1].Endpoints[0].Description != "lan1" {
		t.Errorf("%+v, %v", ports, err)
	}
}

// awaitConsole dials a console that will be there, unless done is closed before.
func awaitConsole(t *testing.T, path string, done <-chan struct{}) *console.Client {
	t.Helper()
	for {
		client, err := console.Dial(t.Context(), path)
		if err == nil {
			t.Cleanup(func() { client.Close() })
			return client
		}
		select {
		case <-done:
			t.Fatal(err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestSwitchConsole uses the console of vde switch.
func TestSwitchConsole(t *testing.T) {
	testutil.NoLeaks(t)
	dir := testutil.ShortDir(t)
	ctl, mgmt := filepath.Join(dir, "ctl"), filepath.Join(dir, "mgmt")
	done := make(chan struct{})
	go func() {
		defer close(done)
		if out, err := execute(t.Context(), "switch", ctl, "-M", mgmt, "--mgmtmode", "640", "--ports", "31"); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}()
	client := awaitConsole(t, mgmt, done)
	if fi, err := os.Stat(mgmt); err != nil || fi.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", fi, err)
	}
	if _, err := client.Command(t.Context(), "port/create 1"); err != nil {
		t.Error(err)
	}
	c, err := vde.Open(t.Context(), ctl)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	info, err := client.Info(t.Context())
	if err != nil || info.Dir != ctl || info.Ports != 32 || info.MAC == (frame.MAC{}) {
		t.Errorf("%+v, %v", info, err)
	}
	if ports, err := client.Ports(t.Context(), false); err != nil || len(ports) != 1 || ports[0].Number != 2 {
		t.Errorf("%+v, %v", ports, err)
	}
	client.Command(t.Context(), "shutdown") // it has no answer but the end
	<-done
}

// TestCompatArguments checks the forms of options that getopt_long_only takes.
func TestCompatArguments(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-hub -sock x -mod 666 -daemon", "--hub --sock x --mode 666 --daemon"},
		{"--num=5 --vdesock x --unix y -n65535 -xd", "--numports=5 --vdesock x --unix y -n65535 -xd"},
		{"-m 600 -M x -s - -g users --mgmt y -mgmtm 600", "-m 600 -M x -s - -g users --mgmt y --mgmtmode 600"},
		{"-d -- -hub", "-d -- -hub"},
		{"--bogus -version -help", "--bogus --version --help"},
	} {
		want := append([]string{compatName}, strings.Fields(test.want)...)
		if got := commandLine(append([]string{"/usr/bin/vde_switch"}, strings.Fields(test.args)...)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", test.args, got, want)
		}
		if got := commandLine(append([]string{"vde", "switch", "--compat"}, strings.Fields(test.args)...)); !slices.Equal(got, want) {
			t.Errorf("switch --compat %s: %q, want %q", test.args, got, want)
		}
	}
}
