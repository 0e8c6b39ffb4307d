// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"bytes"
	"io"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// settingsOf returns what the arguments of vde switch say.
func settingsOf(args ...string) (f *config.File, err error) {
	cmd, o := newSwitchCommand()
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		o.changed = cmd.Flags().Changed
		if err := o.parse(io.Discard); err != nil {
			return err
		}
		f, err = o.settings(args)
		return err
	}
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	return f, cmd.Execute()
}

// TestSettings checks which of a flag and the file wins.
func TestSettings(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lab.yaml")
	write(t, name, `
dir: /run/lab.ctl
num-ports: 50
ageing-time: 9s
hub: true
no-streams: true
mode: 0660
group: vde
max-frame-size: 1518
default-port: {policy: tail-drop, wait: 5ms}
ports:
  3: {vlan: 3, queue: 8}
  4: {}
uplinks: [/run/a]
mirrors: [1:2]
metrics: 9100
log: warn
shared-memory: never
no-polling: true
dir-mode: 02750
`)
	file, err := config.Read(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	same, err := settingsOf("-c", name)
	if err != nil || len(file.Differences(same)) != 0 {
		t.Errorf("without flags: %v differ, %v", file.Differences(same), err)
	}
	got, err := settingsOf("-c", name, "/run/other", "--ageing-time=7s", "--wait=6ms", "--hub=false", "--port=3:vlan=4,tagged=5+6", "--port=7:isolated,policy=head-drop",
		"--link=9=/run/b", "--mirror=3:5", "--metrics=9101", "--log=error", "--require-links")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"dir", "hub", "ageing-time", "default-port", "ports", "uplinks", "mirrors", "metrics", "log"}
	if keys := file.Differences(got); !reflect.DeepEqual(keys, want) {
		t.Errorf("%v differ, want %v", keys, want)
	}
	wait := 6 * time.Millisecond
	ports := map[int]vswitch.PortConfig{
		3: {VLAN: 4, Tagged: []uint16{5, 6}, Queue: 8, Policy: vswitch.TailDrop, Wait: wait},
		4: {Policy: vswitch.TailDrop, Wait: wait},
		7: {Isolated: true, Policy: vswitch.HeadDrop, Wait: wait},
	}
	uplinks := []config.Uplink{{Locator: "/run/a", Required: true}, {Locator: "/run/b", Port: 9, Required: true}}
	if !reflect.DeepEqual(got.Ports, ports) || !reflect.DeepEqual(got.Uplinks, uplinks) || !reflect.DeepEqual(got.Mirrors, []config.Mirror{{Src: 1, Dst: 2}, {Src: 3, Dst: 5}}) {
		t.Errorf("%+v", got)
	}
}

// TestSettingsOverrides checks that each flag which is about a setting takes the place of it, and
// of nothing else.
func TestSettingsOverrides(t *testing.T) {
	values := map[string]string{
		"ports": "7", "hub": "true", "mode": "0600", "dirmode": "02700", "group": "g", "max-frame": "1600", "ageing-time": "3s", "policy": "head-drop",
		"wait": "3s", "shared-memory": "always", "no-polling": "true", "no-streams": "true", "metrics": "1", "log": "debug",
		"api": "x", "api-mode": "0660", "api-group": "g", "http": "127.0.0.1:1", "http-write": "true", "http-token-file": "x",
		"mgmt": "x", "mgmtmode": "0660", "mgmtgroup": "g",
	}
	name := filepath.Join(t.TempDir(), "lab.yaml")
	write(t, name, "dir: /x")
	file, err := config.Read(name, nil)
	if err != nil {
		t.Fatal(err)
	}
	for flag := range overrides {
		args := []string{"-c", name, "--" + flag + "=" + values[flag]}
		if strings.HasPrefix(flag, "http-") {
			args = append(args, "--http=127.0.0.1:1") // they belong to it
		}
		if strings.HasPrefix(flag, "mgmt") {
			args = append(args, "--mgmt=x")
		}
		got, err := settingsOf(args...)
		if err != nil || len(file.Differences(got)) != 1 {
			t.Errorf("--%s: %v differ, %v", flag, file.Differences(got), err)
		}
	}
}

func TestSettingsErrors(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lab.yaml")
	write(t, name, "num-ports: 5\nports: {3: {vlan: 3}}")
	for _, test := range []struct {
		args, want string
		usage      bool
	}{
		{"", "give the control directory DIR, or a file with --config", true},
		{"-c " + name, "lab.yaml: dir: is not given", false},
		{"-c /nowhere/lab.yaml", "/nowhere/lab.yaml", false},
		{"x -c " + name + " --ports=2", "lab.yaml:2: ports.3: there are ports 0 to 2", false},
		{"x -c " + name + " --port=6:vlan=1", "--port 6: the highest port is 5", true},
		{"x -c " + name + " --link=6=/y", "--link 6=/y: the highest port is 5", true},
		{"x --port=3:queue=-1", "queue is -1, want 1 to 1048576", true},
		{"x --port=3:colour=red", `unknown setting "colour", want one of vlan, tagged, policy, wait, queue, isolated, reserved, round-robin, loop-protection, storm-limit, mac-limit`, true},
		{"x --mirror=1", `--mirror "1": give the numbers of two ports, such as 1:5`, true},
		{"x --mirror=1:1", "--mirror 1:1: give two ports, 0 to 4096", true},
		{"x --mirror=1:5000", "--mirror 1:5000: give two ports, 0 to 4096", true},
		{"x --metrics=here", `--metrics "here": give HOST:PORT`, true},
	} {
		_, err := settingsOf(strings.Fields(test.args)...)
		_, usage := err.(usageError)
		if err == nil || !strings.Contains(err.Error(), test.want) || usage != test.usage {
			t.Errorf("%s: %v, want %s", test.args, err, test.want)
		}
	}
}

// TestSwitchExample runs the example of the documents.
func TestSwitchExample(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "lab")
	l, stop := startSwitch(t, dir, "-c", "../../docs/lab.yaml", "--metrics", "0")
	a, b, mirror := openNet(t, dir+"[2]"), openNet(t, dir+"[12]"), openNet(t, dir+"[64]")
	f := frameFor(stationB, stationA)
	passes(t, a, b, f, f) // both in VLAN 20
	got := make([]byte, 100)
	if n, err := mirror.Read(got); err != nil || !bytes.Equal(got[:n], f) {
		t.Errorf("the mirror gets %x, %v", got[:n], err)
	}
	stop()
	l.await(t, `msg="uplink ended" port=1 locator=/run/vde.ctl`)
}

// TestSwitchFlags checks that what the flags say of ports is so in the switch.
func TestSwitchFlags(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	_, stop := startSwitch(t, dir, "--port", "3:vlan=10,mac-limit=1", "--port", "4:vlan=10", "--port", "6:isolated,storm-limit=9", "--mirror", "3:5")
	from, to, mirror := openNet(t, dir+"[3]"), openNet(t, dir+"[4]"), openNet(t, dir+"[5]")
	f := frameFor(stationB, stationA)
	passes(t, from, to, f, f)
	got := make([]byte, 100)
	if n, err := mirror.Read(got); err != nil || !bytes.Equal(got[:n], f) {
		t.Errorf("the mirror gets %x, %v", got[:n], err)
	}
	stop()
}
