// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

// open returns a session that has been greeted.
func (r *rig) open(t testing.TB) *raw {
	t.Helper()
	s := dialRaw(t, r.mgmt)
	if got := s.answer(); !strings.HasPrefix(got, "VDE switch V.2.3.2\n") {
		t.Fatalf("banner %q", got)
	}
	return s
}

const success = "1000 Success\n" + prompt

// TestLines checks that lines are commands however they come.
func TestLines(t *testing.T) {
	r := start(t, vswitch.Config{NumPorts: 31}, console.Options{})
	s := r.open(t)
	info := s.run("port/showinfo")
	vlans := s.run("vlan/print")
	s.send("port/showinfo\nvlan/print\n")
	if got := s.until([]byte(vlans)); got != info+vlans {
		t.Errorf("two lines in one write: %q", got)
	}
	for _, piece := range []string{"port/", "show", "info", "\n"} {
		s.send(piece)
	}
	if got := s.answer(); got != info {
		t.Errorf("a line in pieces: %q", got)
	}
	long := "port/showinfo" + strings.Repeat("x", 3000)
	if got := s.run(long); got != info {
		t.Errorf("a long line: %q", got)
	}
	if got, want := s.run(strings.Repeat("x", 1<<20)), "1022 Invalid argument\n"+prompt; got != want {
		t.Errorf("a line that is too long: %q, want %q", got, want)
	}
	s.send("port/showinfo\nvlan/print")
	s.conn.(*net.UnixConn).CloseWrite()
	if got := s.until([]byte("<EOF>")); got != info+vlans+"<EOF>" {
		t.Errorf("after a half-close: %q", got)
	}
}

// TestNoEnd checks that commands without the end of a line are commands, as from vdeterm.
func TestNoEnd(t *testing.T) {
	r := startWith(t, vswitch.Config{NumPorts: 31}, console.Options{}, func(*console.Server) {})
	s := r.open(t)
	info := s.run("port/showinfo")
	for _, test := range []struct{ text, want string }{
		{"port/showinfo", info}, {"bogus", "1038 Function not implemented\n" + prompt}, {"port/showinfo", info}, {"# x", prompt},
	} {
		s.send(test.text)
		if got := s.answer(); got != test.want {
			t.Errorf("%q: %q, want %q", test.text, got, test.want)
		}
	}
}

// TestLogoutAndShutdown checks how sessions end.
func TestLogoutAndShutdown(t *testing.T) {
	shut := make(chan struct{})
	r := start(t, vswitch.Config{}, console.Options{Shutdown: func() { close(shut) }})
	const goodbye = "9999 END OF SESSION<EOF>"
	if got := r.open(t).run("logout"); got != goodbye {
		t.Errorf("logout: %q", got)
	}
	if got := r.open(t).run("shutdown"); got != goodbye {
		t.Errorf("shutdown: %q", got)
	}
	<-shut
	none := start(t, vswitch.Config{}, console.Options{})
	if got := none.open(t).run("shutdown"); !strings.HasPrefix(got, "1038 ") {
		t.Errorf("shutdown without a function for it: %q", got)
	}
}

// TestTerminal uses the console on streams, as a switch in the foreground does.
func TestTerminal(t *testing.T) {
	r := start(t, vswitch.Config{NumPorts: 31}, console.Options{})
	info := "0000 DATA END WITH '.'\nNumports=32\nHUB=false\ncounters=true\n.\n1000 Success\n"
	for _, test := range []struct {
		prompts bool
		want    string
	}{
		{false, info + "1038 Function not implemented\n" + info},
		{true, prompt + info + prompt + "1038 Function not implemented\n" + prompt + prompt + info + prompt},
	} {
		var out bytes.Buffer
		in := strings.NewReader("\nport/showinfo\nbogus\nlogout\nport/showinfo")
		if err := r.server.Terminal(t.Context(), in, &out, test.prompts); err != nil || out.String() != test.want {
			t.Errorf("prompts %t: %q, %v, want %q", test.prompts, out.String(), err, test.want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	in, theirs := io.Pipe()
	defer theirs.Close()
	if err := r.server.Terminal(ctx, in, io.Discard, false); err != context.Canceled {
		t.Errorf("%v", err)
	}
}

// TestRun runs a script without a session.
func TestRun(t *testing.T) {
	r := start(t, vswitch.Config{}, console.Options{})
	dir := testutil.ShortDir(t)
	path := filepath.Join(dir, "rc")
	text := "port/create 7\nbogus\n# comment\n\nvlan/create 9\nport/setvlan 7 9\ndebug/add\nlogout\nport/allocatable 7 1\nload " + path + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.server.Run(t.Context(), path); err != nil {
		t.Error(err)
	}
	if pc, err := r.sw.Port(7); err != nil || pc.VLAN != 9 || pc.Reserved {
		t.Errorf("%+v, %v", pc, err)
	}
	if err := r.server.Run(t.Context(), filepath.Join(dir, "none")); err == nil {
		t.Error("no error about a script that is not there")
	}
	s := r.open(t)
	if got := s.run("load " + path); strings.Count(got, "1040 Too many levels") != 1 || !strings.HasSuffix(got, success) {
		t.Errorf("a script that loads itself: %d bytes, the end %q", len(got), got[max(len(got)-200, 0):])
	}
}

// TestLoadWaitsForNobody loads what is no file.
func TestLoadWaitsForNobody(t *testing.T) {
	r := start(t, vswitch.Config{}, console.Options{})
	s := r.open(t)
	for _, path := range []string{"/dev/zero", "/dev/full", r.mgmt, mkfifo(t), t.TempDir()} {
		if got := s.run("load " + path); !strings.HasPrefix(got, "1000 ") && !strings.HasPrefix(got, "1002 ") {
			t.Errorf("load %s: %q", path, got)
		}
	}
}

// TestEvents checks what happens to events that a session asks for and no longer.
func TestEvents(t *testing.T) {
	r := start(t, vswitch.Config{}, console.Options{})
	s := r.open(t)
	if got := s.run("debug/add port/+"); got != success {
		t.Errorf("%q", got)
	}
	other := r.open(t)
	other.run("port/create 5")
	if got := s.until([]byte("\n")); got != "3021 port/+ 05\n" {
		t.Errorf("%q", got)
	}
	s.run("debug/del")
	other.run("port/create 6")
	if got := s.run("port/createauto"); got != "0000 DATA END WITH '.'\nPort 0001\n.\n"+success {
		t.Errorf("after debug/del: %q", got)
	}
}

// TestRemovedPorts checks that a removed port is as if it had never been, until it is
// used again.
func TestRemovedPorts(t *testing.T) {
	r := start(t, vswitch.Config{}, console.Options{})
	s := r.open(t)
	s.run("vlan/create 7")
	s.run("port/create 5")
	s.run("port/setvlan 5 7")
	s.run("port/remove 5")
	if got := s.run("port/allprint 5"); !strings.Contains(got, "1006 ") {
		t.Errorf("a removed port: %q", got)
	}
	if got := s.run("vlan/remove 7"); got != success {
		t.Errorf("the VLAN of a removed port: %q", got)
	}
	c, err := r.sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, _ := r.sw.PortOf(c); n != 1 {
		t.Errorf("port %d", n)
	}
	if got := s.run("port/remove 1"); !strings.HasPrefix(got, "1098 ") {
		t.Errorf("a port that is active: %q", got)
	}
	c.Close()
	s.run("port/remove 1")
	if got := s.run("port/allprint"); got != "0000 DATA END WITH '.'\n.\n"+success {
		t.Errorf("all ports removed: %q", got)
	}
}

// TestAccess checks that access lists and ports for those who ask hold at joins.
func TestAccess(t *testing.T) {
	access := &console.Access{}
	r := start(t, vswitch.Config{}, console.Options{Access: access})
	s := r.open(t)
	s.run("port/create 3")
	s.run("port/setuser 3 1001")
	s.run("port/setgroup 3 2001")
	for _, test := range []struct {
		peer vswitch.Peer
		ok   bool
	}{
		{vswitch.Peer{UID: 1001, GID: 9, Port: 3}, true},
		{vswitch.Peer{UID: 1002, GID: 2001, Port: 3}, true},
		{vswitch.Peer{UID: 1002, GID: 9, Port: 3}, false},
		{vswitch.Peer{UID: 0, GID: 9, Port: 3}, true},
		{vswitch.Peer{UID: 1002, GID: 9, Port: 4}, true},
		{vswitch.Peer{UID: 1002, GID: 9, Port: 0}, true},
	} {
		if n, err := access.Admit(test.peer); (err == nil) != test.ok || err == nil && n != test.peer.Port {
			t.Errorf("%+v: port %d, %v", test.peer, n, err)
		}
	}
	s.run("port/create 0") // 1
	s.run("port/setuser 0 1001")
	if got := s.run("port/setuser 0 1001"); !strings.HasPrefix(got, "1006 ") {
		t.Errorf("port 0 does not exist: %q", got)
	}
	s.run("port/allocatable 3 1")
	if pc, err := r.sw.Port(3); err != nil || !pc.Reserved {
		t.Errorf("who asks for any port may get one with a list: %+v, %v", pc, err)
	}
	if got := s.run("port/allprint 3"); !strings.Contains(got, "INACTIVE - Unnamed Allocatable") {
		t.Errorf("%q", got)
	}
	s.run("port/setuser 3 ANY")
	s.run("port/setgroup 3 ANY")
	if pc, err := r.sw.Port(3); err != nil || pc.Reserved {
		t.Errorf("without a list: %+v, %v", pc, err)
	}
	s.run("port/setuser 3 1001")
	s.run("port/remove 3")
	if _, err := access.Admit(vswitch.Peer{UID: 1002, GID: 9, Port: 3}); err != nil {
		t.Errorf("the list of a removed port: %v", err)
	}
}

// answerPattern is an answer to one command.
var answerPattern = regexp.MustCompile(`^(?:(?:0000 DATA END WITH '\.'\n(?:[^.\n][^\n]*\n|\n|\.[^\n]+\n)*\.\n)?1\d{3} [A-Z][^\n]*\n)?` + regexp.QuoteMeta(prompt))

var eventPattern = regexp.MustCompile(`^3\d{3} [^\n]*\n`)

// checkSession checks the frames of what a session has got for the lines data: one
// prompt for each, an outcome for each command, nothing else but events between.
func checkSession(data []byte, got string) error {
	lines := strings.Split(string(data), "\n")
	if n := len(lines) - 1; lines[n] == "" {
		lines = lines[:n]
	}
	_, got, ok := strings.Cut(got, prompt)
	if !ok {
		return fmt.Errorf("no banner")
	}
	for i := 0; ; {
		if e := eventPattern.FindString(got); e != "" {
			got = got[len(e):]
			continue
		}
		if i == len(lines) {
			if got != "" {
				return fmt.Errorf("%q after the last answer", got)
			}
			return nil
		}
		if got == "9999 END OF SESSION" && strings.HasPrefix(strings.TrimLeft(lines[i], " \t"), "logout") {
			return nil
		}
		a := answerPattern.FindString(got)
		if a == "" {
			return fmt.Errorf("no answer to %q in %q", lines[i], got)
		}
		line := strings.TrimLeft(lines[i], " \t")
		if empty := line == "" || line[0] == '#' || line[0] == 0; empty != (a == prompt) {
			return fmt.Errorf("answer %q to %q", a, lines[i])
		}
		got = got[len(a):]
		i++
	}
}

// FuzzSession sends anything to a console, in pieces of any size. Each line must get one
// answer of the right form.
func FuzzSession(f *testing.F) {
	r := start(f, vswitch.Config{NumPorts: 63}, console.Options{})
	for _, seed := range []string{
		"port/create 3\nport/setvlan 3 0\nport/allprint\n", "vlan/create 5\nvlan/addport 5 3\nvlan/allprint\nvlan/remove 5",
		"debug/add\nport/createauto\nport/remove 1\ndebug/del port\n", "hash/setsize 3\nhash/print\nhash/find 0:1:2:3:4:5 7\nhash/setexpire 5\n",
		"fstp/setedge 0 1 1\nfstp/bonus 0 3 4\nfstp/print\n", "port/setuser 3 root\nport/setgroup 3 0x10\nport/print\n\n#\nlogout\nhelp\n",
		"plugin/add x\nplugin/list\nshutdown\nport/epclose 3 1\nport/resetcounter\nport/setnumports 63\nport/sethub 1\n", "help port\rx\x00y\n \t\n",
	} {
		f.Add([]byte(seed), byte(0))
		f.Add([]byte(seed), byte(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, size byte) {
		data = bytes.ReplaceAll(data, []byte("load"), []byte("l0ad")) // other files
		s := dialRaw(t, r.mgmt)
		defer s.conn.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer s.conn.(*net.UnixConn).CloseWrite()
			piece := max(int(size), len(data)/64+1)
			for rest := data; len(rest) > 0; {
				n := min(piece, len(rest))
				if _, err := s.conn.Write(rest[:n]); err != nil {
					return // it has logged out
				}
				rest = rest[n:]
			}
		}()
		s.conn.SetReadDeadline(time.Now().Add(hang))
		got, err := io.ReadAll(s.conn)
		<-done
		if err != nil && !bytes.Contains(data, []byte("logout")) {
			t.Fatalf("%v after %q", err, got)
		}
		if err := checkSession(data, string(got)); err != nil {
			t.Errorf("%v\n%q", err, data)
		}
	})
}
