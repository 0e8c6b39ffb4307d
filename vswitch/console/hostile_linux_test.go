// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

// ended waits until the other side has closed s.
func (r *raw) ended() {
	r.t.Helper()
	r.conn.SetReadDeadline(time.Now().Add(hang))
	if _, err := io.Copy(io.Discard, r.conn); errors.Is(err, os.ErrDeadlineExceeded) {
		r.t.Error("the session goes on")
	}
}

// hungUp waits until the other side has closed s, without reading.
func (r *raw) hungUp() {
	r.t.Helper()
	for end := time.Now().Add(hang); time.Now().Before(end); time.Sleep(time.Millisecond) {
		r.conn.SetWriteDeadline(end)
		if _, err := r.conn.Write([]byte("\n")); err != nil {
			return
		}
	}
	r.t.Error("the session goes on")
}

// TestManySessions opens a thousand sessions. One that is used stays, as does that of
// Terminal, new ones take the place of those that say nothing, and when all are used one
// more is refused.
func TestManySessions(t *testing.T) {
	testutil.NoLeaks(t)
	const limit = 50
	r := start(t, vswitch.Config{}, console.Options{MaxSessions: limit})
	in, typed := io.Pipe()
	terminal := make(chan error, 1)
	go func() { terminal <- r.server.Terminal(t.Context(), in, io.Discard, false) }()
	defer func() {
		select {
		case <-terminal:
			t.Error("the terminal has ended")
		default:
			typed.Close()
			<-terminal
		}
	}()
	typed.Write(nil) // it reads
	used := r.open(t)
	used.run("port/showinfo")
	var silent []*raw
	for i := range 1000 {
		silent = append(silent, dialRaw(t, r.mgmt))
		if i >= 4*limit { // others have its place: a process may have 1024 descriptors only
			silent[i-4*limit].conn.Close()
		}
	}
	last := silent[len(silent)-1]
	last.answer()
	if got := last.run("port/showinfo"); !strings.HasSuffix(got, success) {
		t.Errorf("the last: %q", got)
	}
	if got := used.run("port/showinfo"); !strings.HasSuffix(got, success) {
		t.Errorf("the first: %q", got)
	}
	for range limit - 3 {
		r.open(t).run("port/showinfo")
	}
	dialRaw(t, r.mgmt).ended()
	if got := used.run("port/showinfo"); !strings.HasSuffix(got, success) {
		t.Errorf("the first: %q", got)
	}
}

// TestSessionsThatDoNotRead checks that sessions that ask for long answers and events, and
// read nothing, delay no other session, keep little memory, and end.
func TestSessionsThatDoNotRead(t *testing.T) {
	const sessions, ports = 12, 600
	cfg := vswitch.Config{Ports: make(map[int]vswitch.PortConfig)}
	for n := range ports {
		cfg.Ports[n+1] = vswitch.PortConfig{}
	}
	r := start(t, cfg, console.Options{WriteTimeout: time.Second})
	good := r.open(t)
	want := good.run("port/allprint")
	if len(want) < 100<<10 {
		t.Fatalf("an answer of %d bytes", len(want))
	}
	before := heap()
	var deaf []*raw
	for range sessions {
		s := r.open(t)
		s.run("debug/add")
		s.send(strings.Repeat("port/allprint\n", 50))
		deaf = append(deaf, s)
	}
	for i := range 50 { // events for all
		good.run(fmt.Sprintf("port/create %d", ports+1+i))
	}
	for range 5 {
		if got := good.run("port/print 7"); !strings.Contains(got, "1006 ") {
			t.Errorf("%q", got)
		}
	}
	if grown := heap() - before; grown > sessions*(512<<10) {
		t.Errorf("%d bytes for %d sessions", grown, sessions)
	} else {
		t.Logf("%d KiB for each session", grown/sessions>>10)
	}
	if got := good.run("port/allprint"); len(got) < len(want) || !strings.HasSuffix(got, success) {
		t.Errorf("an answer of %d bytes", len(got))
	}
	for _, s := range deaf {
		s.hungUp()
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestLongAnswers checks that answers are not cut, as those of vde_switch are.
func TestLongAnswers(t *testing.T) {
	const addresses = 6000
	var pc vswitch.PortConfig
	for i := range addresses {
		pc.Static = append(pc.Static, vswitch.StaticEntry{MAC: macOf(i)})
	}
	r := start(t, vswitch.Config{Ports: map[int]vswitch.PortConfig{3: pc}}, console.Options{HashSize: 64})
	c := dial(t, r.mgmt)
	list, err := c.FDB(t.Context())
	if err != nil || len(list) != addresses {
		t.Fatalf("%d addresses, %v", len(list), err)
	}
	seen := make(map[[6]byte]bool)
	for _, e := range list {
		seen[e.MAC] = true
	}
	if len(seen) != addresses {
		t.Errorf("%d addresses", len(seen))
	}
	if _, err := c.Command(t.Context(), "hash/find 02:00:00:00:00:07"); err != nil {
		t.Error(err)
	}
}

func macOf(i int) [6]byte { return [6]byte{2, 0, 0, 0, byte(i >> 8), byte(i)} }

// TestSocketTricks checks what Listen does with what is at its path.
func TestSocketTricks(t *testing.T) {
	dir := testutil.ShortDir(t)
	path := filepath.Join(dir, "m")
	l, err := console.Listen(path, 0o640, "")
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode() != os.ModeSocket|0o640 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if _, err := console.Listen(path, 0, ""); !errors.Is(err, console.ErrInUse) || !errors.Is(err, vswitch.ErrInUse) || !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("beside one that answers: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("left %v", left)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("the second time: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

// TestSocketsOfOthers checks what Listen does with what is at its path and not its own.
func TestSocketsOfOthers(t *testing.T) {
	dir := testutil.ShortDir(t)
	path := filepath.Join(dir, "m")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	stale.Close()
	l, err := console.Listen(path, 0, "")
	if err != nil {
		t.Fatalf("in the place of a stale one: %v", err)
	}
	os.Remove(path)
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(precious, path); err != nil {
		t.Fatal(err)
	}
	l.Close() // not what has taken its name
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("closing removed what is not its socket: %v", err)
	}
	if _, err := console.Listen(path, 0o666, ""); err == nil {
		t.Error("in the place of a symbolic link")
	}
	if fi, err := os.Stat(precious); err != nil || fi.Mode() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	if _, err := console.Listen(precious, 0, ""); err == nil {
		t.Error("in the place of a file")
	}
	if _, err := console.Listen(filepath.Join(dir, strings.Repeat("x", 120)), 0, ""); err == nil {
		t.Error("at a path that is too long")
	}
	if _, err := console.Listen(filepath.Join(dir, "g"), 0, "no such group"); err == nil {
		t.Error("with a group that does not exist")
	}
	if left, _ := os.ReadDir(dir); len(left) != 2 {
		t.Errorf("left %v", left)
	}
}
