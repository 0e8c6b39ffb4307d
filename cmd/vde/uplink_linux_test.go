// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A log collects what a command writes to its standard error.
type log struct {
	mu      sync.Mutex
	text    bytes.Buffer  // guarded by mu
	written chan struct{} // closed by the next Write; nil if nobody waits; guarded by mu
}

func (l *log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.written != nil {
		close(l.written)
		l.written = nil
	}
	return l.text.Write(b)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until pattern, a regular expression, is in the log.
func (l *log) await(t *testing.T, pattern string) {
	t.Helper()
	re, hangs := regexp.MustCompile(pattern), time.After(time.Minute)
	for {
		l.mu.Lock()
		found := re.Match(l.text.Bytes())
		if l.written == nil {
			l.written = make(chan struct{})
		}
		written := l.written
		l.mu.Unlock()
		if found {
			return
		}
		select {
		case <-written:
		case <-hangs:
			t.Fatalf("no %s in:\n%s", pattern, l)
		}
	}
}

// startSwitch runs vde switch until stop is called, and returns when it serves.
func startSwitch(t *testing.T, args ...string) (l *log, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l = new(log)
	root := newRoot()
	root.SetErr(l)
	root.SetOut(io.Discard)
	root.SetArgs(append([]string{"switch"}, args...))
	done := make(chan error, 1)
	go func() { done <- root.ExecuteContext(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	l.await(t, "msg=serving")
	return l, stop
}

func openNet(t *testing.T, vnl string) *vde.Conn {
	t.Helper()
	c, err := vde.Open(t.Context(), vnl)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// passes sends f on from until it arrives at to as want.
func passes(t *testing.T, from, to *vde.Conn, f, want []byte) {
	t.Helper()
	b := make([]byte, 2000)
	for end := time.Now().Add(time.Minute); ; {
		if _, err := from.Write(f); err != nil {
			t.Fatal(err)
		}
		if err := to.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := to.Read(b); err == nil && bytes.Equal(b[:n], want) {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nothing arrives")
		}
	}
}

// TestSwitchUplinks joins a switch to another one that starts later and again, with a tag
// on the way, and to a hub that it is itself; the log says what becomes of the links.
func TestSwitchUplinks(t *testing.T) {
	base := testutil.ShortDir(t)
	first, second, hub := filepath.Join(base, "a"), filepath.Join(base, "b"), filepath.Join(base, "h")
	l, stop := startSwitch(t, first, "--link", "3="+second, "--link", "hub://"+hub, "--port", "3:vlan=none,tagged=20", "--port", "5:vlan=20", "--port", "1:vlan=20")
	l.await(t, `level=WARN msg="link down, will be opened again" port=3 .*description=\S*/b`)
	l.await(t, `level=INFO msg="link up" port=1 .*description=hub://`)
	near, onHub := openNet(t, first+"[5]"), openNet(t, hub)

	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 9}, 0x88b5)
	f = append(f, make([]byte, 46)...)
	tagged := append(append(append([]byte(nil), f[:12]...), 0x81, 0, 0, 20), f[12:]...)
	for range 2 {
		sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Tagged: vswitch.AllVLANs()}})
		listen(t, sw, second)
		far := openNet(t, second)
		passes(t, near, far, f, tagged)
		passes(t, far, near, tagged, f)
		passes(t, onHub, near, f, f)
		passes(t, near, onHub, f, f)
		if err := sw.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
	l.await(t, `msg="uplink ended" port=3 locator=\S*/b in=[1-9]\d* in_dropped=\d+ out=[1-9]`)
	l.await(t, `msg="uplink ended" port=1 locator=hub://`)
}

// TestSwitchLoop gives a switch two uplinks to the same network: the log names the port
// that is blocked.
func TestSwitchLoop(t *testing.T) {
	base := testutil.ShortDir(t)
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	other := listen(t, sw, filepath.Join(base, "o"))
	l, stop := startSwitch(t, filepath.Join(base, "s"), "--link", other, "--link", other)
	l.await(t, `level=WARN msg="loop found, port blocked until it is gone" port=2 from=1`)
	stop()
}

// TestSwitchUplinkErrors checks that what can never be opened ends the switch, and what
// cannot be opened yet only if that is asked for.
func TestSwitchUplinkErrors(t *testing.T) {
	base := testutil.ShortDir(t)
	dir := filepath.Join(base, "s")
	for _, test := range []struct {
		args []string
		want error
	}{
		{[]string{"--link", "carrier-pigeon://x"}, errors.ErrUnsupported},
		{[]string{"--link", "hub://" + base + "/h[speed=1]"}, nil},
		{[]string{"--link", "/nowhere", "--require-links"}, vde.ErrNoSwitch},
	} {
		out, err := execute(t.Context(), append([]string{"switch", dir}, test.args...)...)
		if err == nil || !strings.Contains(err.Error(), "uplink ") || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%v: %v\n%s", test.args, err, out)
		}
	}
}

func TestParseUplink(t *testing.T) {
	type uplink struct {
		port    int
		locator string
	}
	for text, want := range map[string]uplink{
		"/run/vde.ctl": {0, "/run/vde.ctl"}, "3=/run/vde.ctl": {3, "/run/vde.ctl"}, "3=vde:///x[5]": {3, "vde:///x[5]"},
		"/a=b": {0, "/a=b"}, "=x": {0, "=x"}, "12=udp://1->h:2": {12, "udp://1->h:2"}, "3": {0, "3"},
	} {
		if got, err := parseUplink(text); err != nil || got != (config.Uplink{Port: want.port, Locator: want.locator}) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
}

func TestParsePort(t *testing.T) {
	var f config.File
	f.DefaultPort.Wait = time.Second
	for _, text := range []string{"3:vlan=10,tagged=20+30", "4:vlan=none,tagged=all", "0:loops=on", "3:loops=off", "4:delay=20ms,in-loss=0.01"} {
		if err := parsePort(text, &f); err != nil {
			t.Fatal(err)
		}
	}
	want := map[int]vswitch.PortConfig{
		0: {LoopProtection: vswitch.LoopProtectionOn, Wait: time.Second},
		3: {VLAN: 10, Tagged: []uint16{20, 30}, LoopProtection: vswitch.LoopProtectionOff, Wait: time.Second},
		4: {VLAN: vswitch.NoVLAN, Tagged: vswitch.AllVLANs(), Wait: time.Second, Impair: impair.Config{
			In: impair.Impairment{Delay: 20 * time.Millisecond, Loss: 0.01}, Out: impair.Impairment{Delay: 20 * time.Millisecond},
		}},
	}
	if !reflect.DeepEqual(f.Ports, want) {
		t.Errorf("%+v", f.Ports)
	}
}
