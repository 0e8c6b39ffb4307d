// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A dead switch's socket is taken over, a live one's is not.
func TestTakeOver(t *testing.T) {
	testutil.NoLeaks(t)
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	testutil.NoFiles(t, dir)
	for _, name := range []string{"ctl", ".ct", "001.1"} {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, name), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
	}
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	l := listen(t, sw, dir)
	c := open(t, dir)
	for _, other := range []*vswitch.Switch{sw, vswitch.New(vswitch.Config{})} {
		if _, err := other.Listen(dir); !errors.Is(err, vswitch.ErrInUse) || !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("another switch: %v", err)
		}
	}
	if err := c.Err(); err != nil {
		t.Errorf("the attempt ended an endpoint: %v", err)
	}
	if err := sw.Close(); err != nil {
		t.Error(err)
	}
	<-c.Context().Done()
	if err := l.Serve(t.Context()); !errors.Is(err, vswitch.ErrClosed) {
		t.Errorf("Serve after Close: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ctl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := vswitch.New(vswitch.Config{}).Listen(dir); !errors.Is(err, fs.ErrExist) {
		t.Errorf("with a file called ctl: %v", err)
	}
	os.Remove(filepath.Join(dir, "ctl"))
}

// Many switches that start at the same time in a directory with a dead socket:
// one wins, and stays reachable.
func TestStartRace(t *testing.T) {
	testutil.NoLeaks(t)
	for range 20 {
		dir := testutil.ShortDir(t)
		stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/ctl", Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		stale.SetUnlinkOnClose(false)
		stale.Close()
		type result struct {
			sw  *vswitch.Switch
			l   *vswitch.Listener
			err error
		}
		results := make(chan result)
		const starters = 8
		for range starters {
			go func() {
				sw := vswitch.New(vswitch.Config{})
				l, err := sw.Listen(dir)
				results <- result{sw, l, err}
			}()
		}
		won := 0
		for range starters {
			switch r := <-results; {
			case r.err == nil:
				won++
				defer r.sw.Close()
			case !errors.Is(r.err, vswitch.ErrInUse):
				t.Error(r.err)
			}
		}
		if won != 1 {
			t.Fatalf("%d of %d started", won, starters)
		}
		c, err := net.Dial("unix", dir+"/ctl")
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
}

// The end of Serve's context ends the endpoints of that directory only. Close ends
// everything.
func TestServeEnds(t *testing.T) {
	testutil.NoLeaks(t)
	base := testutil.ShortDir(t)
	testutil.NoFiles(t, base)
	sw := vswitch.New(vswitch.Config{})
	inside, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	served := make(chan error, 2)
	dirs := []string{base + "/a", base + "/b"}
	for i, dir := range dirs {
		l, err := sw.Listen(dir)
		if err != nil {
			t.Fatal(err)
		}
		c := ctx
		if i == 1 {
			c = context.Background()
		}
		go func() { served <- l.Serve(c) }()
	}
	a, b := open(t, dirs[0]), open(t, dirs[1])
	why := errors.New("enough")
	cancel(why)
	if err := <-served; !errors.Is(err, why) {
		t.Errorf("Serve: %v", err)
	}
	<-a.Context().Done()
	if !errors.Is(a.Err(), vde.ErrHangup) || b.Err() != nil || inside.Err() != nil {
		t.Errorf("after one directory's end: %v, %v, %v", a.Err(), b.Err(), inside.Err())
	}
	if _, err := os.Lstat(dirs[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there", dirs[0])
	}
	if err := sw.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != vswitch.ErrClosed {
		t.Errorf("Serve: %v", err)
	}
	<-b.Context().Done()
	<-inside.Context().Done()
	if !errors.Is(b.Err(), vde.ErrHangup) || !errors.Is(inside.Err(), vswitch.ErrClosed) || !errors.Is(inside.Err(), vde.ErrHangup) {
		t.Errorf("after Close: %v, %v", b.Err(), inside.Err())
	}
	if _, err := sw.Attach(); !errors.Is(err, vswitch.ErrClosed) {
		t.Errorf("Attach after Close: %v", err)
	}
	if _, err := sw.Listen(dirs[0]); !errors.Is(err, vswitch.ErrClosed) {
		t.Errorf("Listen after Close: %v", err)
	}
}

// Mode and DirMode decide the modes of the directory and of the sockets in it.
func TestFileModes(t *testing.T) {
	for _, test := range []struct {
		cfg            vswitch.Config
		ctl, dir, data fs.FileMode
	}{
		{vswitch.Config{}, 0o600, 0o700 | fs.ModeSetgid, 0o600},
		{vswitch.Config{Mode: 0o660}, 0o660, 0o770 | fs.ModeSetgid | fs.ModeSticky, 0o660},
		{vswitch.Config{Mode: 0o640}, 0o640, 0o750 | fs.ModeSetgid, 0o640},
		{vswitch.Config{DirMode: 0o770 | fs.ModeSticky}, 0o660, 0o770 | fs.ModeSticky, 0o660},
		{vswitch.Config{Mode: 0o666}, 0o666, 0o777 | fs.ModeSetgid | fs.ModeSticky, 0o666},
		{vswitch.Config{DirMode: 0o755}, 0o644, 0o755, 0o644},
		{vswitch.Config{Mode: 0o600, DirMode: 0o711}, 0o600, 0o711, 0o600},
	} {
		t.Run(fmt.Sprintf("%#o-%#o", test.cfg.Mode, test.cfg.DirMode), func(t *testing.T) {
			_, dir := start(t, test.cfg)
			p := plug(t, dir, plugOptions{})
			for path, want := range map[string]fs.FileMode{dir: test.dir | fs.ModeDir, dir + "/ctl": test.ctl | fs.ModeSocket, p.peer: test.data | fs.ModeSocket} {
				info, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				if info.Mode() != want {
					t.Errorf("%s has %v, want %v", path, info.Mode(), want)
				}
			}
		})
	}
}

// A client that names a port group gets one of its ports, with its configuration.
func TestPortGroups(t *testing.T) {
	sw, dir := start(t, vswitch.Config{PortGroups: map[string]vswitch.PortGroup{
		"lan": {First: 10, Last: 11, DefaultPort: vswitch.PortConfig{VLAN: 7}},
	}})
	for _, want := range []int{10, 11} {
		open(t, dir+"[lan]")
		if got := active(sw); got[len(got)-1] != want {
			t.Errorf("active ports %v, want %d last", got, want)
		}
	}
	if _, err := vde.Open(t.Context(), dir+"[lan]"); err == nil {
		t.Error("a third one joined a group of two")
	}
	if _, err := vde.Open(t.Context(), dir+"[nal]"); !errors.Is(err, vde.ErrNoPortGroup) {
		t.Errorf("misspelt: %v", err)
	}
	if pc, err := sw.Port(11); err != nil || pc.VLAN != 7 {
		t.Errorf("port 11 is in VLAN %d, %v", pc.VLAN, err)
	}
}
