// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// full gives each key of a file.
const full = `
dir: /run/lab.ctl
name: lab
num-ports: 40
hub: true
keep-tags: true
max-frame-size: 1518
ageing-time: forever
max-fdb-entries: 99
ports: # before default-port: the order does not matter
  3:
    vlan: none
    tagged: [20, 30]
    policy: head-drop
    wait: 3ms
    queue: 16
    isolated: true
    round-robin: true
    loop-protection: "off"
    storm-limit: 10
    mac-limit: -1
    static:
      - {mac: 52:54:00:12:34:56, vlan: 20}
  4:
  11: {vlan: 7}
default-port: &p
  wait: 5ms
  tagged: all
port-groups:
  servers: {first: 10, last: 19, default-port: {vlan: 5}}
  clients:
    first: 20
    last: 29
    default-port:
      <<: *p
      wait: 6ms
shared-memory: never
no-streams: true
no-polling: true
max-shared-memory: 1048576
loop-interval: 2s
mode: 0660
dir-mode: 02770
group: 100
write-buffer: 65536
max-pending: 7
handshake-timeout: 1m
uplinks:
  - /run/vde.ctl
  - {locator: 'udp://1->h:2', port: 5, description: far, required: true, min-delay: 1s, max-delay: 2s}
mirrors: ["1:5", {src: 2, dst: 5}]
console: {path: /run/lab.mgmt, mode: 0600, group: vde}
api: {path: /run/lab.api, mode: 0660, group: vde, disabled: false}
http: 8080
metrics: localhost:9100
log: debug
`

func TestParse(t *testing.T) {
	f, err := config.Parse("lab.yaml", []byte(full), nil)
	if err != nil {
		t.Fatal(err)
	}
	normal := vswitch.PortConfig{Wait: 5 * time.Millisecond, Tagged: vswitch.AllVLANs()}
	server, client := normal, normal
	server.VLAN, client.Wait = 5, 6*time.Millisecond
	eleven := server
	eleven.VLAN = 7
	want := vswitch.Config{
		Name: "lab", NumPorts: 40, Hub: true, KeepTags: true, MaxFrameSize: 1518, AgeingTime: vswitch.Forever, MaxFDBEntries: 99,
		DefaultPort: normal,
		Ports: map[int]vswitch.PortConfig{
			3: {
				VLAN: vswitch.NoVLAN, Tagged: []uint16{20, 30}, Policy: vswitch.HeadDrop, Wait: 3 * time.Millisecond, Queue: 16,
				Isolated: true, RoundRobin: true, LoopProtection: vswitch.LoopProtectionOff, StormLimit: 10, MACLimit: -1,
				Static: []vswitch.StaticEntry{{MAC: frame.MAC{0x52, 0x54, 0, 0x12, 0x34, 0x56}, VLAN: 20}},
			},
			4: normal, 11: eleven,
		},
		PortGroups:   map[string]vswitch.PortGroup{"servers": {First: 10, Last: 19, DefaultPort: server}, "clients": {First: 20, Last: 29, DefaultPort: client}},
		SharedMemory: vde.SharedMemoryNever, NoStreams: true, NoPolling: true, MaxSharedMemory: 1 << 20, LoopInterval: 2 * time.Second,
		Mode: 0o660, DirMode: 0o770 | fs.ModeSetgid, Group: "100", WriteBuffer: 65536, MaxPending: 7, HandshakeTimeout: time.Minute,
	}
	for i := range reflect.TypeFor[vswitch.Config]().NumField() {
		name := reflect.TypeFor[vswitch.Config]().Field(i).Name
		got, want := reflect.ValueOf(f.Config).Field(i), reflect.ValueOf(want).Field(i)
		if name != "Admit" && name != "Logger" && want.IsZero() {
			t.Errorf("the test does not give %s", name)
		}
		if !reflect.DeepEqual(got.Interface(), want.Interface()) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	uplinks := []config.Uplink{
		{Locator: "/run/vde.ctl"},
		{Locator: "udp://1->h:2", Port: 5, Description: "far", Required: true, MinDelay: time.Second, MaxDelay: 2 * time.Second},
	}
	if !reflect.DeepEqual(f.Uplinks, uplinks) {
		t.Errorf("%+v", f.Uplinks)
	}
	if !reflect.DeepEqual(f.Mirrors, []config.Mirror{{1, 5}, {2, 5}}) || f.Console != (config.Socket{Path: "/run/lab.mgmt", Mode: 0o600, Group: "vde"}) || f.Dir != "/run/lab.ctl" || f.Log != slog.LevelDebug ||
		f.API != (config.API{Path: "/run/lab.api", Mode: 0o660, Group: "vde"}) || f.HTTP != (config.HTTP{Address: "8080"}) || f.Metrics != "localhost:9100" {
		t.Errorf("%+v", f)
	}
}

// mistakes are files with what the error about each says.
var mistakes = []struct{ text, want string }{
	{"dir: [", "lab.yaml:1: not YAML: "},
	{"a: b: c", "lab.yaml: not YAML: mapping values are not allowed in this context"},
	{"dir: x\n---\ndir: y", "lab.yaml:2: a second document begins here"},
	{"- dir", "lab.yaml:1: a list: give keys and values"},
	{"\nnum-port: 3", "lab.yaml:2: num-port: unknown key; write num-ports"},
	{"NumPorts: 3", "lab.yaml:1: NumPorts: unknown key; write num-ports"},
	{"ports: {3: {vlans: 3}}", "lab.yaml:1: ports.3.vlans: unknown key; write vlan"},
	{"console: {colour: red}", "lab.yaml:1: console.colour: unknown key; there are group, mode, path"},
	{"admit: x", "lab.yaml:1: admit: unknown key; there are ageing-time, "},
	{"logger: x", "lab.yaml:1: logger: unknown key"},
	{"dir: x\ndir: y", "lab.yaml:2: dir: is given twice, first in line 1"},
	{"ports: {3: {}, 03: {}}", "lab.yaml:1: ports.03: is given twice"},
	{"hub: yes", `lab.yaml:1: hub: "yes": give true or false`},
	{"num-ports: many", `lab.yaml:1: num-ports: "many": give a whole number`},
	{"num-ports:", "lab.yaml:1: num-ports: no value: give a whole number"},
	{"num-ports: [1]", "lab.yaml:1: num-ports: a list: give a whole number"},
	{"num-ports: 99999999999999999999", `give a whole number`},
	{"name: {}", "lab.yaml:1: name: a mapping: give a text"},
	{`name: "a\0b"`, "lab.yaml:1: name: "},
	{"ageing-time: 100", `lab.yaml:1: ageing-time: "100": give a time with its unit, such as 100s or 20ms, or forever`},
	{"ageing-time: -1s", `lab.yaml:1: ageing-time: "-1s": give a time`},
	{"mode: 0999", `lab.yaml:1: mode: "0999": give permissions as an octal number, such as 0660`},
	{"mode: 01777", `lab.yaml:1: mode: mode `},
	{"dir-mode: 07777", `lab.yaml:1: dir-mode: "07777": give permissions`},
	{"default-port: {policy: wait}", `lab.yaml:1: default-port.policy: unknown policy "wait", want one of backpressure, tail-drop, head-drop`},
	{"default-port: {vlan: 4095}", `lab.yaml:1: default-port.vlan: "4095": give a number from 0 to 4094, or none`},
	{"default-port: {vlan: 5000}", "lab.yaml:1: default-port.vlan: VLAN is 5000, want 0 to 4094 or none"},
	{"default-port: {vlan: 70000}", `lab.yaml:1: default-port.vlan: "70000": give a number from 0 to 4094, or none`},
	{"default-port: {tagged: 20}", `lab.yaml:1: default-port.tagged: "20": give a list of numbers, such as [20, 30], or all`},
	{"default-port: {tagged: [20, 4095]}", "lab.yaml:1: default-port.tagged[1]: tagged: 4095, want 0 to 4094"},
	{"default-port:\n  static: [{mac: 52:54:00:12:34:56}]", "lab.yaml:2: default-port.static: a static entry belongs to one port; name the port in ports"},
	{"ports: {3: {static: [{mac: x}]}}", "lab.yaml:1: ports.3.static[0].mac: "},
	{"ports:\n  3:\n    static:\n      - {mac: ff:54:00:12:34:56}", "lab.yaml:4: ports.3.static[0].mac: static: ff:54:00:12:34:56 is a group address"},
	{"ports: {a: {}}", `lab.yaml:1: ports.a: the key has to be the number of a port: "a": give a whole number`},
	{"ports: {-1: {}}", "lab.yaml:1: ports.-1: there are ports 0 to 4096"},
	{"ports:\n  3: {}\n  50: {vlan: 3}\n  6: {}\nnum-ports: 40", "lab.yaml:3: ports.50: there are ports 0 to 40"},
	{"ports: {1: {queue: 8}, 2: {vlan: 3, queue: -3}}", "lab.yaml:1: ports.2.queue: queue is -3, want 1 to 1048576"},
	{"ports: {1: {loop-protection: maybe}}", "lab.yaml:1: ports.1.loop-protection: "},
	{"num-ports: -1\nports: {3: {}}", "lab.yaml:1: num-ports: num-ports is -1, want 1 to 8388607"},
	{"max-frame-size: 3", "lab.yaml:1: max-frame-size: max-frame-size is 3, want 18 to 65550"},
	{"handshake-timeout: forever", `lab.yaml:1: handshake-timeout: "forever": give a time with its unit, such as 100s or 20ms`},
	{"max-pending: -1", "lab.yaml:1: max-pending: write-buffer, max-pending and handshake-timeout must not be negative"},
	{"port-groups:\n  a: {first: 1, last: 9}\n  b:\n    last: 12\n    first: 9", "lab.yaml:3: port-groups.b: "},
	{"port-groups:\n  ctl: {first: 1, last: 9}", "lab.yaml:2: port-groups.ctl: not usable as the name of a socket beside ctl"},
	{"port-groups:\n  a: {first: 1, last: 9, default-port: {queue: -1}}", "lab.yaml:2: port-groups.a.default-port.queue: queue is -1"},
	{"uplinks: [{port: 3}]", "lab.yaml:1: uplinks[0]: has no locator; give one, such as /run/vde.ctl"},
	{"uplinks: [{locator: x, port: 5000}]", "lab.yaml:1: uplinks[0].port: 5000: give a port from 0 to 4096"},
	{"uplinks: [{locator: x, min-delay: 3s, max-delay: 2s}]", "lab.yaml:1: uplinks[0].min-delay: 3s: give a time that is no longer than max-delay"},
	{"uplinks: /run/vde.ctl", `lab.yaml:1: uplinks: "/run/vde.ctl": give a list`},
	{"mirrors: [1:1]", "lab.yaml:1: mirrors[0]: 1 is mirrored to itself; give two ports"},
	{"mirrors:\n- 1:2\n- 1:2", "lab.yaml:3: mirrors[1]: is the same as mirrors[0]; leave one out"},
	{"mirrors: [1]", `lab.yaml:1: mirrors[0]: "1": give the numbers of two ports, such as 1:5`},
	{"mirrors: [{src: 1, dst: 5000}]", "lab.yaml:1: mirrors[0].dst: 5000: give a port from 0 to 4096"},
	{"console: {mode: 0600}", "lab.yaml:1: console: has no path; give the path of its socket"},
	{"console: {path: x, mode: 02770}", "lab.yaml:1: console.mode: give permissions up to 0777"},
	{"api: {disabled: true, path: x}", "lab.yaml:1: api.disabled: the other keys of api have no effect; leave them out"},
	{"metrics: example.org", `lab.yaml:1: metrics: "example.org": give HOST:PORT, or a port on this machine, such as 9100`},
	{"metrics: ':http'", `lab.yaml:1: metrics: ":http": give HOST:PORT`},
	{"http: 99999", `lab.yaml:1: http: "99999": give HOST:PORT`},
	{"http: {write: true}", "lab.yaml:1: http: has no address; give one, such as 127.0.0.1:8080"},
	{"http: 0.0.0.0:8080", "lab.yaml:1: http: others can reach 0.0.0.0:8080; use 127.0.0.1, or give a token-file"},
	{"http: {address: 'lab.example:80', write: true}", "lab.yaml:1: http: others can reach"},
	{"log: loud", `lab.yaml:1: log: `},
	{"a: &a {<<: *a}", "lab.yaml:"},
	{"default-port: &a {<<: *a}", "lab.yaml:1: "},
	{"? [1]\n: 2", "lab.yaml:1: a key has to be a word or a number"},
}

// TestParseErrors checks that an error names the file, the line and the key, and says
// what can be given.
func TestParseErrors(t *testing.T) {
	for _, test := range mistakes {
		_, err := config.Parse("lab.yaml", []byte(test.text), nil)
		var at *config.Error
		if err == nil || !strings.Contains(err.Error(), test.want) || !errors.As(err, &at) {
			t.Errorf("%s\ngot  %v\nwant %s", test.text, err, test.want)
		}
	}
}

// TestParseGroups checks that an error about two groups names both, whichever the switch
// finds first.
func TestParseGroups(t *testing.T) {
	for range 20 {
		_, err := config.Parse("lab.yaml", []byte("port-groups:\n  a: {first: 1, last: 9}\n  b: {first: 9, last: 12}"), nil)
		if err == nil {
			t.Fatal("taken")
		}
		switch err.Error() {
		case `lab.yaml:3: port-groups.b: port 9 is also in group "a"`, `lab.yaml:3: port-groups.b: port-groups["a"]: port 9 is also in group "b"`:
		default:
			t.Error(err)
		}
	}
}

// TestParseReportsAll checks that all errors are reported at once, unless there are too many.
func TestParseReportsAll(t *testing.T) {
	_, err := config.Parse("lab.yaml", []byte("hub: 1\nspeed: 2\nports: {3: {vlan: x}}"), nil)
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("%v", err)
	}
	_, err = config.Parse("lab.yaml", []byte("ports: {3: {tagged: ["+strings.Repeat("x,", 1000)+"]}}"), nil)
	if err == nil || strings.Count(err.Error(), "\n") != 19 || !strings.HasSuffix(err.Error(), "more errors follow") {
		t.Errorf("%v", err)
	}
}

// TestParseNothing checks that a file may say nothing.
func TestParseNothing(t *testing.T) {
	for _, text := range []string{"", "# nothing", "---", "{}", "ports:", "uplinks:\nport-groups:"} {
		f, err := config.Parse("lab.yaml", []byte(text), nil)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		f.Ports, f.PortGroups = nil, nil
		if !reflect.DeepEqual(f.Config, vswitch.Config{}) {
			t.Errorf("%q: %+v", text, f.Config)
		}
	}
}

// TestParseFlags checks that what flags say of ports is inherited as what the file says,
// and that a file is held against them.
func TestParseFlags(t *testing.T) {
	flags := func(f *config.File) { f.DefaultPort.Policy, f.NumPorts = vswitch.TailDrop, 5 }
	f, err := config.Parse("lab.yaml", []byte("ports: {3: {vlan: 2}}\ndefault-port: {policy: head-drop}"), flags)
	if err != nil || f.Ports[3].Policy != vswitch.TailDrop || f.Ports[3].VLAN != 2 {
		t.Errorf("%+v, %v", f, err)
	}
	_, err = config.Parse("lab.yaml", []byte("ports:\n  6: {}"), flags)
	if err == nil || err.Error() != "lab.yaml:2: ports.6: there are ports 0 to 5" {
		t.Errorf("%v", err)
	}
}

// TestParseAliases checks that aliases do not make a small file a large one.
func TestParseAliases(t *testing.T) {
	var text strings.Builder
	text.WriteString("ports:\n  1: &a {tagged: &t [" + strings.Repeat("1,", 1000) + "]}\n")
	for n := range 300 {
		fmt.Fprintf(&text, "  %d: *a\n", n+2)
	}
	_, err := config.Parse("lab.yaml", []byte(text.String()), nil)
	if err == nil || !strings.Contains(err.Error(), "the file says too much") {
		t.Errorf("%v", err)
	}
}

func TestSetPort(t *testing.T) {
	var pc vswitch.PortConfig
	for _, s := range [][2]string{
		{"vlan", "none"}, {"tagged", "20+30"}, {"policy", "tail-drop"}, {"queue", "9"}, {"wait", "forever"}, {"mac-limit", "3"},
		{"storm-limit", "100"}, {"isolated", ""}, {"round-robin", "true"}, {"loop-protection", "on"},
	} {
		if err := config.SetPort(&pc, s[0], s[1]); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
	want := vswitch.PortConfig{
		VLAN: vswitch.NoVLAN, Tagged: []uint16{20, 30}, Policy: vswitch.TailDrop, Queue: 9, Wait: vswitch.Forever, MACLimit: 3,
		StormLimit: 100, Isolated: true, RoundRobin: true, LoopProtection: vswitch.LoopProtectionOn,
	}
	if !reflect.DeepEqual(pc, want) {
		t.Errorf("%+v", pc)
	}
	for _, s := range [][3]string{
		{"vlan", "5000", "VLAN is 5000"}, {"vlan", "", "give a number"}, {"tagged", "20,30", `VLAN "20,30"`}, {"speed", "1", "unknown setting"},
		{"mac_limit", "1", "write mac-limit"}, {"queue", "-1", "queue is -1"}, {"isolated", "no", "true or false"}, {"wait", "3", "give a time"}, {"static", "x", "unknown setting"},
	} {
		if err := config.SetPort(&pc, s[0], s[1]); err == nil || !strings.Contains(err.Error(), s[2]) {
			t.Errorf("%s: %v", s, err)
		}
	}
}

func TestRead(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lab.yaml")
	if _, err := config.Read(name, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(name, []byte("num-ports: 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f, err := config.Read(name, nil); err != nil || f.NumPorts != 3 || f.Where("num-ports") != 1 {
		t.Errorf("%+v, %v", f, err)
	}
	if err := os.Truncate(name, 16<<20+1); err != nil {
		t.Fatal(err)
	}
	if _, err := config.Read(name, nil); err == nil || !strings.Contains(err.Error(), "is longer than") {
		t.Errorf("a large file: %v", err)
	}
}

func TestListenAddress(t *testing.T) {
	for text, want := range map[string]string{
		"9100": "127.0.0.1:9100", ":9100": "127.0.0.1:9100", "0.0.0.0:9100": "0.0.0.0:9100", "[::]:0": "[::]:0", "lab.example:80": "lab.example:80",
	} {
		if got, err := config.ListenAddress(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("default-port: &p {wait: 5ms, tagged: all}\nports: {3: {<<: *p, vlan: none}}"))
	f.Add([]byte("uplinks: [x, {port: 5, min-delay: 1s}]\nmirrors: [1:5, {src: 2}]"))
	f.Add([]byte("mode: 0660\nhub: true\nconsole: {path: x}\nmetrics: 9100"))
	f.Add([]byte("ports: {1: &a {<<: *a}}"))
	f.Add([]byte("num-ports: 3\nports: {4: {vlan: 5000}}\nport-groups: {a: {first: 1}}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := config.Parse("lab.yaml", text, nil)
		var at *config.Error
		switch {
		case err != nil && !errors.As(err, &at):
			t.Errorf("%v names no place", err)
		case err == nil && config.Check(file.Config) != nil:
			t.Errorf("taken, but impossible: %v", config.Check(file.Config))
		}
	})
}
