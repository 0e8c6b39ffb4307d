// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

// A both is a vde_switch and a Switch, to which the same is done.
type both struct {
	*testing.T
	stock *testpeers.Switch
	ours  *rig
	dir   string // the control directory of ours
	raws  [2]*raw
}

func startBoth(t *testing.T) *both {
	testpeers.Need(t, "unixcmd", "/etc/vde2/vdecmd")
	b := &both{T: t, stock: testpeers.StartSwitch(t, testpeers.SwitchConfig{})}
	b.dir = filepath.Join(testutil.ShortDir(t), "sw")
	b.ours = startWith(t, vswitch.Config{NumPorts: 31}, console.Options{Dir: b.dir}, func(*console.Server) {})
	l, err := b.ours.sw.Listen(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	go l.Serve(t.Context())
	for i, path := range b.mgmts() {
		b.raws[i] = dialRaw(t, path)
	}
	b.same("the banner", b.raws[0].answer(), b.raws[1].answer())
	return b
}

func (b *both) mgmts() [2]string { return [2]string{b.stock.Mgmt(), b.ours.mgmt} }

// What differs between two switches in the same state.
var differences = []struct{ pattern, by string }{
	{`\(C\) Virtual Square Team .*|go-vde, with .*`, "NOTICE"},
	{`pid \d+ MAC [0-9a-f:]+ uptime \d+`, "pid PID MAC MAC uptime SECONDS"},
	{`MAC 00:ff:[0-9a-f:]+`, "MAC MAC"},
	{`80:00:00:ff[0-9a-f:]+`, "ROOT"},
	{`age \d+`, "age AGE"},
	{`Hash: \d+`, "Hash: BUCKET"},
	{`endpoint ID \d+`, "endpoint ID ID"},
	{`FD +\d+`, "FD ID"},
	{`pid=\d+`, "pid=PID"},
}

var differencesRE = func() (list []*regexp.Regexp) {
	for _, d := range differences {
		list = append(list, regexp.MustCompile(d.pattern))
	}
	return list
}()

// normalize removes what differs between two switches.
func (b *both) normalize(text string) string {
	for i, d := range differences {
		text = differencesRE[i].ReplaceAllString(text, d.by)
	}
	text = strings.NewReplacer(b.stock.Mgmt(), "MGMT", b.ours.mgmt, "MGMT", b.stock.Dir(), "DIR", b.dir, "DIR").Replace(text)
	if strings.Contains(text, "\nHash: ") {
		lines := strings.Split(text, "\n")
		slices.Sort(lines[1 : len(lines)-5]) // the order of buckets
		text = strings.Join(lines, "\n")
	}
	return text
}

func (b *both) same(what, stock, ours string) {
	b.Helper()
	if stock, ours = b.normalize(stock), b.normalize(ours); stock != ours {
		b.Errorf("%s: vde_switch answers\n%s\nand we answer\n%s", what, stock, ours)
	}
}

// run runs commands on both and compares the bytes of the answers.
func (b *both) run(commands ...string) {
	b.Helper()
	for _, command := range commands {
		b.same(command, b.raws[0].run(command), b.raws[1].run(command))
	}
}

// unixcmd runs a command on both by unixcmd of Debian.
func (b *both) unixcmd(command string) {
	b.Helper()
	var out [2]string
	for i, path := range b.mgmts() {
		cmd := exec.CommandContext(b.Context(), "unixcmd", append([]string{"-s", path, "-f", "/etc/vde2/vdecmd"}, strings.Fields(command)...)...)
		text, _ := cmd.CombinedOutput() // its exit status says nothing
		out[i] = string(text) + cmd.ProcessState.String()
	}
	b.same("unixcmd "+command, out[0], out[1])
}

// Commands, in an order, and with each kind of argument.
var (
	infoCommands = []string{
		"help", "help port", "help xx", "help port/create", "showinfo", "ds/showinfo", "port/showinfo", "hash/showinfo", "fstp/showinfo",
		"port/print", "port/allprint", "vlan/print", "vlan/allprint", "hash/print", "fstp/print",
		"port", "bogus", "PORT/showinfo", "port/showinfojunk", "  port/showinfo", "\t port/showinfo", "", "#comment", "  # comment", "   ",
		"port/showinfo\r", "port/print\r", "bogus\r", "help\r", "\r", "showinfojunk",
		"plugin/list", "plugin/list x", "plugin/add nosuch", "plugin/add", "plugin/del nosuch", "plugin/del",
	}
	portCommands = []string{
		"port/create abc", "port/createauto", "port/create 8", "port/create 8", "port/create 32", "port/create 31",
		"port/create 100", "port/create -1", "port/create", "port/create 5x", "port/create 0x9", "port/create  12 ", "port/create 12",
		"port/create 4294967306", "vlan/create 5", "vlan/create 6",
		"port/setvlan 0010 5", "port/setvlan 9 5", "port/setvlan 1 7", "port/setvlan 1", "port/setvlan", "port/setvlan x y",
		"port/setvlan 1 4095", "port/setvlan 1 4096", "port/setvlan 1 -1", "port/setvlan 99 5", "port/setvlan -1 5", "port/setvlan 2 4095",
		"port/setvlan 3 5 junk", "port/setvlan 3 6junk", "port/setvlan 3 0x5", "port/setvlan 3 4094",
		"port/allprint", "port/allprint 8", "port/allprint 9", "port/allprint 99", "port/allprint 0", "port/allprint x",
		"port/print 8", "port/print 9", "port/print 0", "port/print x", "port/print -1", "port/print 4294967296",
		"port/allocatable 8 1", "port/allocatable 2 2", "port/allocatable 8", "port/allocatable 9 1", "port/allocatable", "port/allocatable 8 x",
		"port/allocatable 99 1", "port/allocatable 31 1 junk", "port/allocatable 31 0", "port/allprint",
		"port/setuser 8 root", "port/setuser 8 nosuch", "port/setuser 9 nosuch", "port/setuser 8 12345", "port/allprint 8", "port/setuser 8 NONE",
		"port/allprint 8", "port/setuser 8", "port/setuser 9 root", "port/setuser 8 ANY", "port/setuser", "port/setuser 8 -1", "port/setuser 8 0",
		"port/allprint 8", "port/setuser 8 none", "port/setuser 8 12x", "port/allprint 8", "port/setuser 8 54321", "port/allprint 8",
		"port/setuser 8 4294967295", "port/allprint 8", "port/setuser 8 0x10", "port/setuser 8 root junk", "port/setuser 8 daemon ",
		"port/setuser 99 root", "port/setuser 8   daemon", "port/allprint 8",
		"port/setgroup 8 daemon", "port/setgroup 8 nosuch", "port/setgroup 8 4242", "port/allprint 8", "port/setgroup 8", "port/setgroup 9 root",
		"port/setgroup 8 -1", "port/setgroup 8 NONE", "port/setgroup 8 root", "port/allprint 8", "port/setgroup 8 ANY",
		"port/sethub 1", "port/showinfo", "fstp/setfstp 1", "fstp/setfstp 0", "port/sethub", "port/sethub 5", "port/showinfo", "port/sethub 0", "port/sethub -1", "port/sethub x", "port/showinfo",
		"port/setnumports 8", "port/setnumports 31", "port/setnumports 64", "port/showinfo", "port/setnumports 0", "port/setnumports -5", "port/setnumports x", "port/setnumports",
		"port/remove 31", "port/remove 31", "port/remove 99", "port/remove", "port/remove x", "port/remove -1", "port/setnumports 13", "port/showinfo",
		"port/setnumports 12", "port/create 13", "port/setnumports 32",
		"port/resetcounter", "port/resetcounter 8", "port/resetcounter 9", "port/resetcounter 99", "port/resetcounter x", "port/resetcounter -1",
		"port/epclose 8 1", "port/epclose 9 1", "port/epclose", "port/epclose x", "port/epclose 8", "port/epclose 99 1", "port/epclose -1 3",
		"port/remove 8", "port/allprint", "port/create 8", "port/allprint 8",
	}
	vlanCommands = []string{
		"vlan/create 5", "vlan/create 0", "vlan/create 4094", "vlan/create 4093", "vlan/create 4095", "vlan/create -1", "vlan/create", "vlan/create x", "vlan/create 010", "vlan/create 10",
		"vlan/allprint", "vlan/print", "vlan/print 5", "vlan/print 0", "vlan/print 7", "vlan/print x", "vlan/print 4095", "vlan/print 4094", "vlan/print -1",
		"vlan/allprint 5", "vlan/allprint 0", "vlan/allprint 7", "vlan/allprint x", "vlan/allprint 5000",
		"vlan/addport 5 1", "vlan/addport 5 9", "vlan/addport 7 1", "vlan/addport 5", "vlan/addport", "vlan/addport 5 8", "vlan/addport 0 1", "vlan/addport 5 99", "vlan/addport x 1",
		"vlan/addport 4095 1", "vlan/addport 4094 1", "vlan/addport 7 9", "vlan/addport 7 99", "vlan/addport -1 1", "vlan/addport 05 02", "vlan/allprint",
		"vlan/remove 5", "vlan/remove 7", "vlan/remove 0", "vlan/remove 4095", "vlan/remove 4094", "vlan/remove x", "vlan/remove", "vlan/remove -1",
		"vlan/delport 5 1", "vlan/delport 5 1", "vlan/delport 5 8", "vlan/delport 5 9", "vlan/delport 7 1", "vlan/delport", "vlan/delport 0 1", "vlan/delport 5 99", "vlan/delport 4094 1",
		"vlan/allprint", "vlan/remove 4093", "vlan/remove 4093", "port/setvlan 1 10", "vlan/addport 10 2", "port/setvlan 2 10", "vlan/allprint", "port/setvlan 2 0", "vlan/allprint",
		"vlan/addport 10 2", "vlan/remove 10", "port/remove 2", "port/remove 1", "vlan/allprint", "vlan/remove 10", "vlan/allprint",
	}
	hashCommands = []string{
		"hash/find", "hash/find zz", "hash/find 00:11:22:33:44:55", "hash/find 00.11.22.33.44.55", "hash/find 00-11-22-33-44-55",
		"hash/find 00:11:22:33:44:55 5", "hash/find 00:11:22:33:44:55 x", "hash/find 00:11:22:33:44:55 5000", "hash/find 0:1:2:3:4:5",
		"hash/find 00:11:22:33:44", "hash/find 00:11:22:33:44:55:66", "hash/find 001:11:22:33:44:55", "hash/find 0x1:2:3:4:5:6", "hash/find 1:2.3:4:5:6",
		"hash/find -1:2:3:4:5:6", "hash/find ff",
		"hash/setsize 100", "hash/showinfo", "hash/setsize 0", "hash/setsize -4", "hash/setsize x", "hash/setsize", "hash/setsize 1", "hash/showinfo", "hash/setsize 3", "hash/showinfo", "hash/setsize 128",
		"hash/setgcint 5", "hash/setexpire 50", "hash/setminper 7", "hash/showinfo", "hash/setgcint 0", "hash/setexpire 0", "hash/setminper 0", "hash/showinfo",
		"hash/setgcint 2", "hash/setexpire -1", "hash/setminper -1", "hash/showinfo", "hash/setexpire x", "hash/showinfo", "hash/setexpire", "hash/setexpire 100", "hash/setminper 3", "hash/showinfo",
	}
	fstpCommands = []string{
		"vlan/create 5", "fstp/setfstp 0", "fstp/setfstp", "fstp/showinfo",
		"fstp/setedge 0 8 1", "fstp/setedge 5 8 1", "fstp/setedge 7 8 1", "fstp/setedge 0 9 1", "fstp/setedge 5 1 1", "fstp/setedge", "fstp/setedge 5 8", "fstp/setedge 5 8 2",
		"fstp/setedge 5 99 1", "fstp/setedge 5000 8 1", "fstp/setedge -1 8 1", "fstp/setedge 5 -1 1", "fstp/setedge 4094 8 1", "fstp/setedge 4095 8 1",
		"fstp/bonus 0 8 10", "fstp/bonus 5 8 10", "fstp/bonus 7 8 10", "fstp/bonus 5 9 10", "fstp/bonus", "fstp/bonus 5 8", "fstp/bonus 5 99 10", "fstp/bonus 5 8 -4", "fstp/bonus 5 8 x",
		"fstp/print", "fstp/print 5", "fstp/print 7", "fstp/print x", "fstp/print 5000", "fstp/print 0", "fstp/print -1", "fstp/print 4094", "fstp/print 4095",
	}
	debugCommands = []string{
		"debug/list", "debug/list port", "debug/list zz", "debug/list hash/+ ", "debug/list\r", "debug/add nosuch", "debug/add port", "debug/add port", "debug/list", "debug/add", "debug/add", "debug/list",
		"debug/del port", "debug/del port", "debug/del zz", "debug/list", "debug/del", "debug/del", "debug/add hash/+", "debug/list hash", "debug/del hash",
	}
)

// TestStockAnswers runs each command of vde_switch, with arguments of all kinds, on
// vde_switch and on ours, and compares the bytes of the answers.
func TestStockAnswers(t *testing.T) {
	for _, set := range []struct {
		name     string
		before   []string
		commands []string
	}{
		{"info", nil, infoCommands},
		{"port", nil, portCommands},
		{"vlan", []string{"port/create 1", "port/create 2", "port/create 8", "vlan/create 5", "port/setvlan 8 5"}, vlanCommands},
		{"hash", nil, hashCommands},
		{"fstp", []string{"port/create 8", "port/create 1"}, fstpCommands},
		{"debug", nil, debugCommands},
	} {
		t.Run(set.name, func(t *testing.T) {
			b := startBoth(t)
			b.run(set.before...)
			b.run(set.commands...)
			b.run("logout")
		})
	}
}

// TestUnixcmd runs each command by unixcmd of Debian, on vde_switch and on ours.
func TestUnixcmd(t *testing.T) {
	b := startBoth(t)
	for _, c := range slices.Concat(infoCommands, portCommands, vlanCommands, hashCommands, fstpCommands, debugCommands) {
		if c == strings.TrimSpace(c) && c != "" && (!testing.Short() || !strings.Contains(c, " ")) {
			b.unixcmd(c)
		}
	}
}

// TestStockScripts compares what load answers.
func TestStockScripts(t *testing.T) {
	b := startBoth(t)
	dir := testutil.ShortDir(t)
	path := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	inner := path("inner", "vlan/print")
	outer := path("outer", "port/showinfo\n# c\n\nbogus\n  port/print\nload "+inner+"\n\n\n \nport/create 4\n")
	long := path("long", "help "+strings.Repeat("x", 200)+"\n#"+strings.Repeat("y", 200)+"\n"+strings.Repeat("#", 127)+"\n"+strings.Repeat("#", 126)+"\nbogus\n")
	b.run("load "+outer, "load "+long, "load "+inner+" junk", "load   "+inner+"  ", "load /nonexistent", "load", "load "+dir, "load /dev/null",
		"load "+path("end", "logout\nshutdown\nport/showinfo\n"), "load "+path("debug", "debug/add port\n"), "debug/list", "port/allprint")
}
