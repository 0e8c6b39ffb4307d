// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A consoleTest is a switch with a console and two stations, a at port 1 and b at port 2 of
// VLAN 7, to which a has sent a frame.
type consoleTest struct {
	dir, mgmt string
	counts    bool // frames
}

// consoleTests runs a test with a vde_switch, and with a switch of ours.
func consoleTests(t *testing.T, test func(t *testing.T, c consoleTest)) {
	t.Run("vde_switch", func(t *testing.T) {
		testpeers.Need(t, "vde_switch")
		testutil.NoLeaks(t)
		s := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
		test(t, consoleTest{s.Dir(), s.Mgmt(), false})
	})
	t.Run("ours", func(t *testing.T) {
		testutil.NoLeaks(t)
		base := testutil.ShortDir(t)
		c := consoleTest{filepath.Join(base, "sw"), filepath.Join(base, "mgmt"), true}
		startSwitch(t, c.dir, "--no-api", "-M", c.mgmt)
		test(t, c)
	})
}

// attach attaches a station to a port until the test ends.
func (c consoleTest) attach(t *testing.T, port int, description string) *vde.Conn {
	t.Helper()
	conn, err := vde.Open(t.Context(), c.dir, vde.WithPort(port), vde.WithDescription(description))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// run executes a command on the console that has to succeed.
func (c consoleTest) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := execute(t.Context(), append(args, c.mgmt)...)
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

// TestConsoleShow shows ports and FDB of switches that have a console and no API.
func TestConsoleShow(t *testing.T) {
	consoleTests(t, func(t *testing.T, c consoleTest) {
		a, b := c.attach(t, 1, "station a"), c.attach(t, 2, "station b")
		lab{a: a, b: b}.send(t, a, b, frame.Broadcast(), 1)
		ports := c.run(t, "ports")
		one, two := fields(ports, "1", "0"), fields(ports, "2", "0")
		if len(one) < 5 || len(two) < 5 || strings.Join(one[4:6], " ") != "station a" || strings.Join(two[4:6], " ") != "station b" {
			t.Errorf("%q, %q in\n%s", one, two, ports)
		}
		if c.counts && (one[2] != "1" || two[3] != "1") {
			t.Errorf("frames: %q, %q", one, two)
		}
		if all := c.run(t, "ports", "--all"); !strings.Contains(all, "station a") {
			t.Errorf("all ports:\n%s", all)
		}
		var list struct {
			Ports []struct {
				Number    int
				Endpoints []struct{ Description string }
			}
		}
		if err := json.Unmarshal([]byte(c.run(t, "ports", "--json")), &list); err != nil || len(list.Ports) != 2 || list.Ports[1].Number != 2 ||
			!strings.HasPrefix(list.Ports[1].Endpoints[0].Description, "station b") {
			t.Errorf("%+v, %v", list, err)
		}
		if f := fields(c.run(t, "fdb"), station(1).String()); len(f) != 4 || f[1] != "0" || f[2] != "1" {
			t.Errorf("the FDB has %q", f)
		}
		for _, args := range [][]string{{"--port", "2"}, {"--vlan", "3"}, {"--mac", "03:"}} {
			if f := fields(c.run(t, append([]string{"fdb"}, args...)...), station(1).String()); f != nil {
				t.Errorf("%v: %q", args, f)
			}
		}
		var fdb struct{ Entries []struct{ Mac string } }
		if err := json.Unmarshal([]byte(c.run(t, "fdb", "--json", "--mac", "02:00")), &fdb); err != nil || len(fdb.Entries) != 1 || fdb.Entries[0].Mac != station(1).String() {
			t.Errorf("%+v, %v", fdb, err)
		}
	})
}

// TestConsoleTaggedVLANs checks that the VLANs of a port are shown.
func TestConsoleTaggedVLANs(t *testing.T) {
	base := testutil.ShortDir(t)
	c := consoleTest{dir: filepath.Join(base, "sw"), mgmt: filepath.Join(base, "mgmt")}
	startSwitch(t, c.dir, "-M", c.mgmt, "--port", "1:vlan=10,tagged=20+30")
	c.attach(t, 1, "station a")
	if ports := c.run(t, "ports"); !strings.Contains(ports, "10, tagged 20+30") {
		t.Errorf("the table is\n%s", ports)
	}
}

// TestConsoleEvents shows what a console tells.
func TestConsoleEvents(t *testing.T) {
	consoleTests(t, func(t *testing.T, c consoleTest) {
		for _, asJSON := range []string{"--json=false", "--json"} {
			root := newRoot()
			r, w := io.Pipe()
			root.SetOut(w)
			root.SetArgs([]string{"events", asJSON, c.mgmt})
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				done <- root.ExecuteContext(ctx)
				w.Close()
			}()
			// When events are told of is not said: attach until one comes.
			first := make(chan string, 1)
			go func() {
				b := make([]byte, 4096)
				n, _ := r.Read(b)
				first <- string(b[:n])
				io.Copy(io.Discard, r)
			}()
			var text string
			for text == "" {
				conn, err := vde.Open(t.Context(), c.dir, vde.WithDescription("station c"))
				if err != nil {
					t.Fatal(err)
				}
				conn.Close()
				select {
				case text = <-first:
				default:
				}
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if !strings.Contains(text, "port/") {
				t.Errorf("the first event is %q", text)
			}
			if asJSON == "--json" {
				var e consoleEvent
				if err := json.NewDecoder(strings.NewReader(text)).Decode(&e); err != nil || e.Code < 3000 || e.Path == "" {
					t.Errorf("%+v, %v", e, err)
				}
			}
		}
	})
}

// TestConsoleRemedies checks what commands say that need an API, and of sockets that have
// neither.
func TestConsoleRemedies(t *testing.T) {
	consoleTests(t, func(t *testing.T, c consoleTest) {
		for _, args := range [][]string{{"stats"}, {"set", "hub=on"}, {"mirror", "1:2"}, {"disconnect", "1"}} {
			if out, err := execute(t.Context(), append(args, c.mgmt)...); err == nil || !strings.Contains(err.Error(), "the socket of a console") || !strings.Contains(err.Error(), "unixcmd") {
				t.Errorf("%v: %v\n%s", args, err, out)
			}
		}
		if _, err := execute(t.Context(), "events", "--past", c.mgmt); !errors.As(err, new(usageError)) {
			t.Errorf("past events of a console: %v", err)
		}
		if _, err := execute(t.Context(), "ports", c.dir); err == nil || !strings.Contains(err.Error(), "management socket") {
			t.Errorf("a switch without API: %v", err)
		}
		// It still answers.
		if out := c.run(t, "ports"); !strings.Contains(out, "PORT") {
			t.Errorf("after all that:\n%s", out)
		}
	})
}

// TestConsoleHostile shows the list of a vde_switch in which a peer has forged a line by its
// description: nothing of it reaches the terminal as it is.
func TestConsoleHostile(t *testing.T) {
	testutil.NoLeaks(t)
	path := filepath.Join(testutil.ShortDir(t), "mgmt")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	const ports = "Port 0001 untagged_vlan=0000 ACTIVE - Unnamed Allocatable\n Current User: NONE Access Control: (User: NONE - Group: NONE)\n" +
		"  -- endpoint ID 0007 module unix \x1b[2Jprog: evil\x1b]0;title\x07\xff\n"
	served := make(chan struct{})
	go func() {
		defer close(served)
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			serveConsole(conn, map[string]string{"port/print\n": ports, "vlan/allprint\n": ""})
		}
	}()
	defer func() { l.Close(); <-served }()
	for _, args := range [][]string{{"ports"}, {"ports", "--json"}} {
		out, err := execute(t.Context(), append(args, path)...)
		if err != nil || !strings.Contains(out, "evil") || strings.ContainsAny(out, "\x1b\x07") || !utf8.ValidString(out) {
			t.Errorf("%v: %v, %q", args, err, out)
		}
	}
}

// serveConsole answers commands as a vde_switch does, until the client leaves.
func serveConsole(conn net.Conn, data map[string]string) {
	defer conn.Close()
	io.WriteString(conn, "VDE switch V.2.3.2\nnotice\n\nvde$ ")
	b := make([]byte, 128)
	for {
		n, err := conn.Read(b)
		if err != nil {
			return
		}
		text := "1038 Function not implemented\n\nvde$ "
		if lines, ok := data[string(b[:n])]; ok {
			text = "0000 DATA END WITH '.'\n" + lines + ".\n1000 Success\n\nvde$ "
		}
		io.WriteString(conn, text)
	}
}

// TestNeitherAPINorConsole checks the errors about sockets of other kinds.
func TestNeitherAPINorConsole(t *testing.T) {
	testutil.NoLeaks(t)
	path := filepath.Join(testutil.ShortDir(t), "socket")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for answer, want := range map[string]string{
		"":              "neither an API nor a console",
		"hello, world!": "neither the socket of an API nor that of a console",
	} {
		served := make(chan struct{})
		go func() {
			defer close(served)
			for range 2 {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				io.WriteString(conn, answer)
				conn.(*net.UnixConn).CloseWrite()
				io.Copy(io.Discard, conn)
				conn.Close()
				if answer == "" {
					return
				}
			}
		}()
		if _, err := execute(t.Context(), "ports", path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", answer, err, want)
		}
		<-served
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		if conn, err := l.Accept(); err == nil {
			cancel()
			io.Copy(io.Discard, conn)
			conn.Close()
		}
	}()
	if _, err := execute(ctx, "ports", path); !errors.Is(err, context.Canceled) {
		t.Errorf("a socket that says nothing: %v", err)
	}
}
