// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A requestTest is a request and what the switch makes of it.
type requestTest struct {
	name string
	o    plugOptions
	port int // -1: refused
	desc string
}

// docs/spec/vde-protocol.md, section 9: what each kind of request gets, and that
// refusals are answered at once by the end of the stream.
func TestRequests(t *testing.T) {
	sw, dir := start(t, vswitch.Config{NumPorts: 31})
	abstract := "@" + strings.Repeat("n", 40) + fmt.Sprint(os.Getpid()) + strings.Repeat("\x00", 107)
	missing := filepath.Join(dir, ".missing")
	file := filepath.Join(testutil.ShortDir(t), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	words := func(description string, words ...uint32) plugOptions {
		return plugOptions{request: func(path string) []byte { return request(path, description, words...) }}
	}
	long := func(n int) plugOptions { return words(strings.Repeat("d", n-122), magic, 3, 0) }
	for _, test := range []requestTest{
		{"any port", plugOptions{}, 1, "probe"},
		{"port 5", plugOptions{request: v3(0, 5)}, 5, "probe"},
		{"highest port", plugOptions{request: v3(0, 31)}, 31, "probe"},
		{"port too high", plugOptions{request: v3(0, 32)}, -1, ""},
		{"port 9999", plugOptions{request: v3(0, 9999)}, -1, ""},
		{"port field ffffff", plugOptions{request: v3(0, 0xffffff)}, 0, "probe"},
		{"port 0", plugOptions{request: v3(1, 0)}, 0, "probe"},
		{"port 0 with port bits", plugOptions{request: v3(1, 7)}, 0, "probe"},
		{"kind 2", plugOptions{request: v3(2, 0)}, -1, ""},
		{"magic", words("", 1, 3, 0), -1, ""},
		{"version 2", words("", magic, 2, 0), -1, ""},
		{"version 4", words("", magic, 4, 0), -1, ""},
		{"version 1", plugOptions{request: v1(0)}, 1, "old probe"},
		{"version 1, port 0", plugOptions{request: v1(1)}, 0, "old probe"},
		{"unreachable data path", plugOptions{foreign: true, name: missing}, -1, ""},
		{"data path no socket", plugOptions{foreign: true, name: file}, -1, ""},
		{"relative data path", plugOptions{foreign: true, name: "relative"}, -1, ""},
		{"abstract data name", plugOptions{name: abstract[:108]}, 1, "probe"},
		{"no description", long(122), 1, ""},
		{"256 bytes", long(256), 1, strings.Repeat("d", 134)},
		{"257 bytes", long(257), -1, ""},
		{"hostile description", words("a\n1000 Success\x1b[2J\xff", magic, 3, 0), 1, "a?1000 Success?[2J?"},
		{"description with a NUL", words("a\x00b", magic, 3, 0), 1, "a"},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, sw, dir) })
	}
}

// run is the subtest of a requestTest.
func (test requestTest) run(t *testing.T, sw *vswitch.Switch, dir string) {
	p := plug(t, dir, test.o)
	defer p.close()
	if test.port < 0 {
		if p.peer != "" {
			t.Fatalf("accepted as %s", p.peer)
		}
		return
	}
	if p.peer == "" {
		t.Fatal("refused")
	}
	ports := sw.Ports()
	i := slices.IndexFunc(ports, func(i vswitch.PortInfo) bool { return i.Active() })
	if got := ports[i]; got.Number != test.port || got.Endpoints[0].Description != test.desc ||
		got.Endpoints[0].UID != uint32(os.Geteuid()) || got.Endpoints[0].PID != int32(os.Getpid()) {
		t.Errorf("port %+v, want port %d, description %q", got, test.port, test.desc)
	}
	if want := fmt.Sprintf("%s/%03d.", dir, test.port); !strings.HasPrefix(p.peer, want) {
		t.Errorf("data socket %s, want %s…", p.peer, want)
	}
	p.close()
	until(t, "endpoint pulled", func() bool { return len(active(sw)) == 0 })
	until(t, "data socket removed", func() bool { _, err := os.Lstat(p.peer); return errors.Is(err, fs.ErrNotExist) })
}

// docs/spec/vde-protocol.md, section 10, and
// docs/spec/vde-protocol.md, section 15, items 5, 7 and 13: whatever comes on ctl and
// however, no endpoint outlives its stream, and no byte of one client gets into the
// request of another.
func TestControlStream(t *testing.T) {
	sw, dir := start(t, vswitch.Config{})
	for _, test := range []struct {
		name string
		run  func(t *testing.T, dir string)
	}{
		{"garbage", endsAfterGarbage},
		{"second request", endsAfterSecondRequest},
		{"half-close", endsAfterHalfClose},
		{"byte by byte", joinsByteByByte},
		{"short request", refusesShortRequest},
		{"close while others join", closesWhileOthersJoin},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.run(t, dir)
			until(t, "all endpoints pulled", func() bool { return len(active(sw)) == 0 })
		})
	}
	if s := sw.Stats().Serve; s.TrailingBytes != 2 || s.Silent < 2 {
		t.Errorf("%+v", s)
	}
}

func endsAfterGarbage(t *testing.T, dir string) {
	p := plug(t, dir, plugOptions{})
	p.ctl.Write([]byte("x"))
	p.ended()
}

func endsAfterSecondRequest(t *testing.T, dir string) {
	p := plug(t, dir, plugOptions{})
	q := plugData(t, dir, plugOptions{})
	p.ctl.Write(v3(0, 0)(q.name))
	p.ended()
}

func endsAfterHalfClose(t *testing.T, dir string) {
	p := plug(t, dir, plugOptions{})
	p.ctl.CloseWrite()
	p.ended()
}

func joinsByteByByte(t *testing.T, dir string) {
	p := plug(t, dir, plugOptions{slow: true, request: func(path string) []byte { return request(path, "", magic, 3, 0) }})
	if p.peer == "" {
		t.Error("refused")
	}
	p.close()
}

// refusesShortRequest has a request end early while another client has joined.
func refusesShortRequest(t *testing.T, dir string) {
	first := plug(t, dir, plugOptions{})
	if first.peer == "" {
		t.Fatal("refused")
	}
	second := plugData(t, dir, plugOptions{})
	second.ctl = dialControl(t, dir)
	second.ctl.Write(v3(0, 0)(second.name)[:12])
	second.ctl.CloseWrite()
	second.ended()
	second.ctl.Close()
	first.close()
}

func closesWhileOthersJoin(t *testing.T, dir string) {
	idle := dialControl(t, dir)
	p := plug(t, dir, plugOptions{})
	idle.Close()
	p.close()
}

// All ports taken: refused at once; port numbers from 1.
func TestFullSwitch(t *testing.T) {
	sw, dir := start(t, vswitch.Config{NumPorts: 3})
	var clients []*rawPlug
	for range 3 {
		clients = append(clients, plug(t, dir, plugOptions{}))
	}
	if p := plug(t, dir, plugOptions{}); p.peer != "" {
		t.Errorf("a fourth client got %s", p.peer)
	}
	if _, err := sw.Attach(); !errors.Is(err, vswitch.ErrNoFreePort) {
		t.Errorf("Attach: %v", err)
	}
	clients[1].close()
	until(t, "a free port", func() bool { return len(active(sw)) == 2 })
	if p := plug(t, dir, plugOptions{}); !strings.HasPrefix(filepath.Base(p.peer), "002.") {
		t.Errorf("got %s", p.peer)
	}
}

// docs/spec/vde-protocol.md, section 15, items 4 and 9: refusals and silent
// connections cost nothing lasting.
func TestSilentConnections(t *testing.T) {
	sw, dir := start(t, vswitch.Config{MaxPending: 10, HandshakeTimeout: 50 * time.Millisecond})
	before := openfiles.Open()
	var conns []*net.UnixConn
	for range 50 {
		conns = append(conns, dialControl(t, dir))
	}
	for range 20 {
		if p := plug(t, dir, plugOptions{request: v3(0, 9999)}); p.peer != "" {
			t.Error("port 9999 exists")
		} else {
			p.close()
		}
	}
	if p := plug(t, dir, plugOptions{}); p.peer == "" {
		t.Error("silent connections keep others out")
	} else {
		p.close()
	}
	until(t, "silent ones gone", func() bool {
		s := sw.Stats().Serve
		return s.Silent+s.Evicted == 50 && s.Refused == 20
	})
	for _, c := range conns {
		c.SetReadDeadline(time.Now().Add(long))
		if n, err := c.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a silent connection got %d, %v", n, err)
		}
		c.Close()
	}
	until(t, "descriptors closed", func() bool { return openfiles.Open().Since(before) == nil })
}

// A refusal tells a client that requests before its own have been answered, as
// it does at vde_switch: package vde relies on it when a reply is long in coming.
func TestRefusalsWaitForEarlierRequests(t *testing.T) {
	deciding, decide := make(chan struct{}), make(chan struct{})
	sw, dir := start(t, vswitch.Config{Admit: func(p vswitch.Peer) (int, error) {
		if p.Port == 5 {
			close(deciding)
			<-decide
		}
		return p.Port, nil
	}})
	opened := make(chan error, 1)
	go func() {
		c, err := vde.Open(t.Context(), dir, vde.WithPort(5))
		if err == nil {
			defer c.Close()
		}
		opened <- err
	}()
	<-deciding
	ctl := dialControl(t, dir)
	if _, err := ctl.Write(v3(0, 0)(filepath.Join(dir, ".missing"))); err != nil {
		t.Fatal(err)
	}
	until(t, "refused", func() bool { return sw.Stats().Serve.Refused > 0 })
	ctl.SetReadDeadline(time.Now().Add(short))
	if n, err := ctl.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the refusal is told before the other request was answered: %d, %v", n, err)
	}
	close(decide)
	if err := <-opened; err != nil {
		t.Error(err)
	}
	ctl.SetReadDeadline(time.Now().Add(long))
	if n, err := ctl.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("refused with %d bytes, %v", n, err)
	}
}
