// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

func TestOpenOptionErrors(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testutil.NewFakeSwitch(t)
	for _, tt := range []struct {
		params string
		opts   []vde.Option
		text   string
	}{
		{"", []vde.Option{vde.WithSocketMode(0o4700)}, "WithSocketMode"},
		{"", []vde.Option{vde.WithSocketMode(fs.ModeSetuid | 0o700)}, "WithSocketMode"},
		{"", []vde.Option{vde.WithMaxFrameSize(13)}, "WithMaxFrameSize(13)"},
		{"", []vde.Option{vde.WithMaxFrameSize(-1)}, "WithMaxFrameSize(-1)"},
		{"", []vde.Option{vde.WithMaxFrameSize(1 << 30)}, "WithMaxFrameSize"},
		{"", []vde.Option{vde.WithWriteBuffer(-1)}, "WithWriteBuffer(-1)"},
		{"", []vde.Option{vde.WithFrames(nil, -1)}, "WithFrames"},
		{"", []vde.Option{vde.WithPort(1 << 23)}, "WithPort(8388608)"},
		{"", []vde.Option{vde.WithSocketGroup("no such group")}, "look up group \"no such group\""},
		{"[group=nosuchgroup]", nil, "look up group \"nosuchgroup\""},
		{"", []vde.Option{vde.WithSocketGroup("-1")}, "look up group \"-1\""},
		{"", []vde.Option{vde.WithSocketGroup("99999999999")}, "look up group"},
	} {
		err := conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()+tt.params, tt.opts...)
		if !strings.Contains(err.Error(), tt.text) {
			t.Errorf("error %q does not say %q", err, tt.text)
		}
		for _, kind := range openKinds {
			if errors.Is(err, kind) {
				t.Errorf("error %q matches %q", err, kind)
			}
		}
	}
	if requests := sw.Requests(); len(requests) > 0 {
		t.Errorf("%d of them got as far as the switch", len(requests))
	}
	var unknown user.UnknownGroupError
	if err := conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()+"[group=nosuchgroup]"); !errors.As(err, &unknown) {
		t.Errorf("an unknown group is %v", err)
	}
	// 0 is the default of them all.
	c := conntest.Open(t, sw.VNL(), vde.WithMaxFrameSize(0), vde.WithWriteBuffer(0), vde.WithFrames(nil, 0), vde.WithSocketGroup(""))
	client := conntest.Next(t, sw)
	conntest.Works(t, c, client)
	if client.Index != 0 {
		t.Errorf("the switch has had %d connections before, without a request", client.Index)
	}
	if _, err := c.Write(conntest.Frame(9234, 1)); err != nil {
		t.Error(err)
	}
}

// The length of a directory's name is limited by that of its ctl, not by that of
// the data socket's usual name.
func TestOpenPathLengths(t *testing.T) {
	testutil.NoLeaks(t)
	for _, length := range []int{88, 93, 94, 95, 100, 102, 103, 104, 105, 108, 110} {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			sw := testutil.NewFakeSwitch(t)
			// The switch keeps its short name, which becomes a link.
			dir := testutil.ShortDir(t) + "/"
			dir += strings.Repeat("L", length-len(dir))
			if err := errors.Join(os.Rename(sw.Dir(), dir), os.Symlink(dir, sw.Dir())); err != nil {
				t.Fatal(err)
			}
			if length+len("/ctl") > 107 {
				err := conntest.FailsToOpen(t, conntest.Watchdog(t), dir)
				checkOpenError(t, dir, err, vde.ErrPathTooLong, "connect to the control socket "+dir+"/ctl", fmt.Sprintf("%d bytes", length+4), "at most 107", "shorter directory")
				return
			}
			// Several at a time: the names must differ.
			for range 40 {
				c := conntest.Open(t, dir)
				client := conntest.Next(t, sw)
				r := client.Request()
				if len(r.Path) > 107 || filepath.Dir(r.Path) != dir || r.PathErr != nil {
					t.Errorf("data socket %s of %d bytes, %v", r.Path, len(r.Path), r.PathErr)
				}
				conntest.Works(t, c, client)
			}
			noStrays(t, sw)
		})
	}
}

func TestOpenThroughLinks(t *testing.T) {
	sw := testutil.NewFakeSwitch(t)
	dir := testutil.ShortDir(t)
	if err := errors.Join(os.Symlink(sw.Dir(), dir+"/link"), os.Mkdir(dir+"/sub", 0o755)); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir + "/sub")
	for _, vnl := range []string{dir + "/link", "../link", "vde://../link", dir + "/sub/../link/."} {
		c := conntest.Open(t, vnl)
		client := conntest.Next(t, sw)
		if got := filepath.Dir(client.Request().Path); got != sw.Dir() {
			t.Errorf("%s: the switch was told %s", vnl, got)
		}
		conntest.Works(t, c, client)
		if c.LocalAddr().String() != vnl {
			t.Errorf("LocalAddr is %s", c.LocalAddr())
		}
	}
}

// A path in the reply is as the switch sees it. Where its directory is mounted
// elsewhere for the client, the last element is in the client's directory.
func TestOpenMountPoint(t *testing.T) {
	for _, elsewhere := range []string{"/nowhere/else/", "/dev/null/", "relative/", ""} {
		sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
			c.ReadRequest()
			c.ConnectBack()
			c.Bind()
			c.WriteCtl(testutil.FakeSockaddr(1, elsewhere+filepath.Base(c.DataPath())))
		})
		c := conntest.Open(t, sw.VNL())
		conntest.Works(t, c, conntest.Next(t, sw))
		noStrays(t, sw)
	}
}

func TestOpenLocatorFile(t *testing.T) {
	sw := testutil.NewFakeSwitch(t)
	for _, text := range []string{sw.VNL() + "[5]\n", sw.Dir() + "[5]", sw.VNL() + "[5]\r\nsomething else\n"} {
		file := writeFile(t, "network", text)
		c := conntest.Open(t, file)
		client := conntest.Next(t, sw)
		if r := client.Request(); r.TypeWord != 5<<8 {
			t.Errorf("%q: type word %#x", text, r.TypeWord)
		}
		conntest.Works(t, c, client)
		if c.LocalAddr().String() != file {
			t.Errorf("LocalAddr is %s", c.LocalAddr())
		}
	}
}

// The empty locator is the user's default network.
func TestOpenDefault(t *testing.T) {
	first, second := testutil.NewFakeSwitch(t), testutil.NewFakeSwitch(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := errors.Join(
		os.Mkdir(home+"/.vdeplug", 0o755), os.Mkdir(home+"/.vde2", 0o755),
		os.WriteFile(home+"/.vdeplug/default", []byte(first.VNL()+"[3]\n"), 0o600),
		os.Symlink(second.Dir(), home+"/.vde2/default.switch"),
	); err != nil {
		t.Fatal(err)
	}
	c := conntest.Open(t, "")
	client := conntest.Next(t, first)
	conntest.Works(t, c, client)
	if r := client.Request(); r.TypeWord != 3<<8 {
		t.Errorf("type word %#x", r.TypeWord)
	}
	if got := c.LocalAddr().String(); got != first.VNL() {
		t.Errorf("LocalAddr is %s, want %s", got, first.VNL())
	}

	if err := os.Remove(home + "/.vdeplug/default"); err != nil {
		t.Fatal(err)
	}
	c = conntest.Open(t, "")
	conntest.Works(t, c, conntest.Next(t, second))
	if got := c.LocalAddr().String(); got != second.VNL() {
		t.Errorf("LocalAddr is %s, want %s", got, second.VNL())
	}

	// A broken default is an error, not another network.
	if err := os.Symlink("nowhere", home+"/.vdeplug/default"); err != nil {
		t.Fatal(err)
	}
	err := conntest.FailsToOpen(t, conntest.Watchdog(t), "")
	checkOpenError(t, "", err, vde.ErrNoSwitch, home+"/.vdeplug/default")
}

type contextKey struct{}

// ctx bounds opening and lends its values; its end is not the connection's.
func TestOpenContext(t *testing.T) {
	sw := testutil.NewFakeSwitch(t)
	ctx, cancel := context.WithCancel(context.WithValue(conntest.Watchdog(t), contextKey{}, "value"))
	ctx, cancelTimeout := context.WithTimeout(ctx, conntest.Patience)
	defer cancelTimeout()
	c, err := vde.Open(ctx, sw.VNL())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	cancel()
	conntest.Works(t, c, conntest.Next(t, sw))
	if v := c.Context().Value(contextKey{}); v != "value" {
		t.Errorf("value in Context is %v", v)
	}
	if _, ok := c.Context().Deadline(); ok || c.Context().Err() != nil || c.Err() != nil {
		t.Errorf("Context has a deadline (%v) or has ended: %v, %v", ok, c.Context().Err(), c.Err())
	}
	c.Close()
	if context.Cause(c.Context()) != net.ErrClosed || c.Err() != net.ErrClosed {
		t.Errorf("after Close the cause is %v", c.Err())
	}
}

func TestOpenContextEndedBefore(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testutil.NewFakeSwitch(t)
	ctx, cancel := context.WithCancelCause(conntest.Watchdog(t))
	reason := errors.New("the reason")
	cancel(reason)
	err := conntest.FailsToOpen(t, ctx, sw.VNL())
	checkOpenError(t, sw.VNL(), err, context.Canceled, "connect to the control socket "+sw.Dir()+"/ctl", "the reason")
	if !errors.Is(err, reason) {
		t.Errorf("error %q does not match the cause", err)
	}
	ctx, cancelTimeout := context.WithDeadline(conntest.Watchdog(t), time.Unix(1, 0))
	defer cancelTimeout()
	checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, ctx, sw.VNL()), context.DeadlineExceeded)
	noStrays(t, sw)
}

func TestOpenThousandTimes(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testutil.NewFakeSwitch(t)
	for i := range 1000 {
		c, err := vde.Open(conntest.Watchdog(t), sw.VNL())
		if err != nil {
			t.Fatal(err)
		}
		client := conntest.Next(t, sw)
		if i%100 == 0 {
			conntest.Works(t, c, client)
			c.Frames()
		}
		if i%2 == 0 {
			client.Close()
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		client.Close()
	}
	noStrays(t, sw)
}
