// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package ptp_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/ptp"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watchdog bounds hangs.
const watchdog = time.Minute

func open(tb testing.TB, path string) (link.Link, error) {
	tb.Helper()
	l, err := ptp.Driver{}.Open(tb.Context(), vnl.Locator{Scheme: "ptp", Arg: path}, link.Settings{})
	if err == nil {
		tb.Cleanup(func() { l.Close() })
		_ = l.SetReadDeadline(time.Now().Add(watchdog))
		_ = l.SetWriteDeadline(time.Now().Add(watchdog))
	}
	return l, err
}

func mustOpen(tb testing.TB, path string) link.Link {
	tb.Helper()
	l, err := open(tb, path)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func newPath(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(testutil.ShortDir(tb), "p")
}

func numbered(n int) []byte {
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	return append(f, bytes.Repeat([]byte{byte(n)}, 46+n*13%1400)...)
}

func recv(tb testing.TB, l link.Link) []byte {
	tb.Helper()
	buf, sizes := make([]byte, 2000), make([]int, 1)
	if n, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 {
		tb.Fatalf("Recv: %v", err)
	}
	return buf[:sizes[0]]
}

func send(tb testing.TB, l link.Link, f []byte) {
	tb.Helper()
	if n, _, err := l.Send(link.Tx{Frames: [][]byte{f}}); n != 1 {
		tb.Fatalf("Send: %v", err)
	}
}

func exchange(tb testing.TB, a, b link.Link) {
	tb.Helper()
	for i := range 20 {
		for _, pair := range [][2]link.Link{{a, b}, {b, a}} {
			send(tb, pair[0], numbered(i))
			if f := recv(tb, pair[1]); !bytes.Equal(f, numbered(i)) {
				tb.Fatalf("frame %d is %d bytes % x…", i, len(f), f[:min(len(f), 20)])
			}
		}
	}
}

// await waits until l is up, or down.
func await(tb testing.TB, l link.Link, up bool) {
	tb.Helper()
	state := l.Caps().State
	changed := make(chan struct{}, 1)
	defer state.OnChange(func(link.State) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	timer := time.NewTimer(watchdog)
	defer timer.Stop()
	for state.State().Up != up {
		select {
		case <-changed:
		case <-timer.C:
			tb.Fatalf("the link is not up=%v: %+v", up, state.State())
		}
	}
}

// TestLink holds two of our ends to what is promised of every link. They do not end
// with each other.
func TestLink(t *testing.T) {
	linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
		path := newPath(tb)
		a, b = mustOpen(tb, path), mustOpen(tb, path)
		for _, l := range []link.Link{a, b} {
			await(tb, l, true)
			_, _ = l.SetReadDeadline(time.Time{}), l.SetWriteDeadline(time.Time{})
		}
		return a, b, nil
	}, linktest.Options{NoHangup: true, Down: true, Reason: "it waits for the next peer"})
}

// TestRoles: either end may go and come back, in whatever role, and the names that it
// had are gone.
func TestRoles(t *testing.T) {
	path := newPath(t)
	a, b := mustOpen(t, path), mustOpen(t, path)
	for range 3 {
		exchange(t, a, b)
		if _, err := open(t, path); !errors.Is(err, unix.EADDRINUSE) || !strings.Contains(err.Error(), "two programs") {
			t.Errorf("a third program: %v", err)
		}
		a.Close()
		await(t, b, false)
		if n, _, err := b.Send(link.Tx{Frames: [][]byte{numbered(0)}, NoWait: true}); n != 0 || !errors.Is(err, link.ErrDown) {
			t.Errorf("without a peer: %d, %v", n, err)
		}
		a = b
		b = mustOpen(t, path)
	}
	a.Close()
	b.Close()
	for _, name := range []string{path, path + "+"} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("left: %s, %v", name, err)
		}
	}
}

// leave leaves the file of a dead socket of a kind.
func leave(tb testing.TB, path string, kind int) {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		tb.Fatal(err)
	}
}

// TestStale: what dead processes have left, of any kind, is replaced.
func TestStale(t *testing.T) {
	for _, kind := range []int{unix.SOCK_DGRAM, unix.SOCK_SEQPACKET, unix.SOCK_STREAM} {
		path := newPath(t)
		leave(t, path, kind)
		leave(t, path+"+", kind)
		a := mustOpen(t, path)
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", fi.Mode(), err)
		}
		exchange(t, a, mustOpen(t, path))
	}
}

// TestNotOurs: other files and sockets are left alone.
func TestNotOurs(t *testing.T) {
	path := newPath(t)
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, path); err == nil {
		t.Error("a file was taken for a cable")
	}
	if b, err := os.ReadFile(path); string(b) != "mine" {
		t.Errorf("%q, %v", b, err)
	}
	path = newPath(t)
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	if _, err := open(t, path); !errors.Is(err, unix.EPROTOTYPE) {
		t.Errorf("a stream socket: %v", err)
	}
	if _, err := open(t, ""); !errors.Is(err, unix.EINVAL) {
		t.Errorf("no path: %v", err)
	}
	if _, err := open(t, "/nowhere/p"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if _, err := open(t, "/tmp/"+strings.Repeat("x", 200)); !errors.Is(err, unix.ENAMETOOLONG) {
		t.Errorf("too long: %v", err)
	}
	// Our name is removed only as long as it is ours.
	path = newPath(t)
	a := mustOpen(t, path)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

// crossing sends frames between an end and vde_plug.
func crossing(t *testing.T, l link.Link, p *testpeers.VdePlug) {
	t.Helper()
	await(t, l, true)
	for i := range 50 {
		send(t, l, numbered(i))
		if f, err := p.Recv(t.Context()); err != nil || !bytes.Equal(f, numbered(i)) {
			t.Fatalf("to C: frame %d: % x, %v", i, f, err)
		}
		if err := p.Send(numbered(i)); err != nil {
			t.Fatal(err)
		}
		if f := recv(t, l); !bytes.Equal(f, numbered(i)) {
			t.Fatalf("from C: frame %d: % x", i, f)
		}
	}
}

// bound waits until there is a socket at path.
func bound(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(watchdog); ; time.Sleep(time.Millisecond) {
		if fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err == nil {
			err := unix.Connect(fd, &unix.SockaddrUnix{Name: path})
			unix.Close(fd)
			if err == nil || err == unix.EPERM {
				return
			}
		}
		if time.Now().After(end) {
			t.Fatalf("nothing is bound to %s", path)
		}
	}
}

// TestAgainstVdePlug joins Debian's vde_plug in either role, ends it or kills it, and
// joins the next one. Our end stays open.
func TestAgainstVdePlug(t *testing.T) {
	for _, c := range []struct {
		name  string
		first bool // we come first
		kill  bool
	}{{"first, ended", true, false}, {"first, killed", true, true}, {"second, ended", false, false}, {"second, killed", false, true}} {
		t.Run(c.name, func(t *testing.T) {
			path := newPath(t)
			var p *testpeers.VdePlug
			if !c.first {
				p = testpeers.StartVdePlug(t, "ptp://"+path)
				bound(t, path)
			}
			l := mustOpen(t, path)
			for range 3 {
				if p == nil {
					p = testpeers.StartVdePlug(t, "ptp://"+path)
				}
				crossing(t, l, p)
				if c.kill {
					p.Kill()
				} else {
					p.CloseInput()
					if err := p.Wait(t.Context()); err != nil {
						t.Error(err)
					}
				}
				await(t, l, false)
				bound(t, path)
				p = nil
			}
		})
	}
}

// TestThirdPlug: a third program is refused, theirs by us and ours by theirs.
func TestThirdPlug(t *testing.T) {
	path := newPath(t)
	l := mustOpen(t, path)
	p := testpeers.StartVdePlug(t, "ptp://"+path)
	crossing(t, l, p)
	third := testpeers.StartVdePlug(t, "ptp://"+path)
	if err := third.Wait(t.Context()); err == nil {
		t.Error("vde_plug was not refused")
	}
	if _, err := open(t, path); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("ours: %v", err)
	}
	crossing(t, l, p)
}

// A listener speaks the later protocol as the specification has it.
type listener struct {
	t  *testing.T
	ln *net.UnixListener
}

func listen(t *testing.T, path string) *listener {
	t.Helper()
	ln, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &listener{t, ln}
}

// accept accepts a connection and greets it.
func (l *listener) accept(greeting ...byte) *net.UnixConn {
	l.t.Helper()
	_ = l.ln.SetDeadline(time.Now().Add(watchdog))
	c, err := l.ln.AcceptUnix()
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(watchdog))
	if len(greeting) > 0 {
		if _, err := c.Write(greeting); err != nil {
			l.t.Fatal(err)
		}
	}
	return c
}

// TestLaterProtocol connects to a listener of the later protocol, which goes and comes
// again.
func TestLaterProtocol(t *testing.T) {
	path := newPath(t)
	ln := listen(t, path)
	opened := make(chan link.Link, 1)
	go func() {
		l, err := open(t, path)
		if err != nil {
			t.Error(err)
		}
		opened <- l
	}()
	c := ln.accept(0)
	l := <-opened
	if l == nil {
		return
	}
	buf := make([]byte, 2000)
	for range 3 {
		for i := range 20 {
			send(t, l, numbered(i))
			if n, err := c.Read(buf); err != nil || !bytes.Equal(buf[:n], numbered(i)) {
				t.Fatalf("% x, %v", buf[:n], err)
			}
			if _, err := c.Write(numbered(i)); err != nil {
				t.Fatal(err)
			}
			if f := recv(t, l); !bytes.Equal(f, numbered(i)) {
				t.Fatalf("% x", f)
			}
		}
		c.Close()
		c = ln.accept(0)
		await(t, l, true)
	}
	l.Close()
	if n, err := c.Read(buf); err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
}

// TestGreetings: a listener that refuses, says nothing or goes away makes Open fail
// with a reason, in time.
func TestGreetings(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes []byte
		hang  bool
		want  error
	}{
		{"in use", []byte{106}, false, unix.EADDRINUSE},
		{"other errno", []byte{13}, false, unix.EACCES},
		{"closed", nil, false, io.ErrUnexpectedEOF},
		{"silent", nil, true, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := newPath(t)
			ln := listen(t, path)
			ctx, cancel := t.Context(), func() {}
			if c.hang {
				ctx, cancel = context.WithTimeout(ctx, 50*time.Millisecond)
			}
			defer cancel()
			failed := make(chan error, 1)
			go func() {
				l, err := ptp.Driver{}.Open(ctx, vnl.Locator{Scheme: "ptp", Arg: path}, link.Settings{})
				if err == nil {
					l.Close()
				}
				failed <- err
			}()
			conn := ln.accept(c.bytes...)
			if !c.hang {
				conn.Close()
			}
			if err := <-failed; !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// Two programs open the same path.
func Example() {
	dir, err := os.MkdirTemp("/tmp", "vde")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	a, err := vde.Open(context.Background(), "ptp://"+dir+"/cable")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer a.Close()
	b, err := vde.Open(context.Background(), "ptp://"+dir+"/cable")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close()
	if _, err := a.Write(make([]byte, 60)); err != nil { // waits until b is there
		fmt.Println(err)
		return
	}
	n, err := b.Read(make([]byte, 2000))
	fmt.Println(n, err)
	// Output: 60 <nil>
}
