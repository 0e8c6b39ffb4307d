// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// A reply that ends early, at each of its bytes, by the end of the connection or
// by silence.
func TestOpenReplyCutAtEachByte(t *testing.T) {
	testutil.NoLeaks(t)
	for n := range testutil.FakeSockaddrLen {
		reached := make(chan struct{})
		cut := func(c *testutil.FakeClient) {
			c.ReadRequest()
			c.ConnectBack()
			if b := c.ReplyBytes(); b != nil {
				c.WritePieces(b[:n])
			}
		}
		sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
			cut(c)
			c.Close()
		}, func(c *testutil.FakeClient) {
			cut(c)
			close(reached)
		})
		err := conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL())
		if n == 0 {
			checkOpenError(t, sw.VNL(), err, vde.ErrSwitchFull)
		} else {
			checkOpenError(t, sw.VNL(), err, vde.ErrNotSwitch, "read the reply of "+sw.Dir()+"/ctl", fmt.Sprintf("reply of %d bytes instead of 110", n), "control directory")
		}
		noStrays(t, sw)
		checkOpenError(t, sw.VNL(), openEnded(t, sw.VNL(), reached), context.Canceled)
		noStrays(t, sw)
		sw.Stop()
		if t.Failed() {
			t.Fatalf("after %d bytes", n)
		}
	}
}

// dirOf returns the directory of the switch that c is a client of.
func dirOf(c *testutil.FakeClient) string { return filepath.Dir(c.Request().Path) }

// otherSocket returns the name of a datagram socket outside any switch.
func otherSocket(t testing.TB) string {
	path := filepath.Join(testutil.ShortDir(t), "other")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return path
}

// Where its data socket is, is the switch's business.
func TestOpenReplyNamesAnySocket(t *testing.T) {
	for _, abstract := range []bool{false, true} {
		name := make(chan string, 1)
		sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
			c.ReadRequest()
			c.WriteCtl(testutil.FakeSockaddr(1, <-name))
		})
		var path string
		var foreign *net.UnixConn
		var err error
		if abstract {
			path = string(append([]byte("@"), testutil.FakeSockaddr(1, fmt.Sprintf("@vde test %d", os.Getpid()))[3:]...))
			foreign, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
		} else {
			foreign, path, err = sw.ForeignSocket("foreign")
		}
		if err != nil {
			t.Fatal(err)
		}
		defer foreign.Close()
		name <- path
		c := conntest.Open(t, sw.VNL())
		if _, err := c.Write(conntest.Frame(60, 1)); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		if err := foreign.SetReadDeadline(time.Now().Add(conntest.Patience)); err != nil {
			t.Fatal(err)
		}
		if n, err := foreign.Read(buf); err != nil || !bytes.Equal(buf[:n], conntest.Frame(60, 1)) {
			t.Errorf("received %x, %v", buf[:n], err)
		}
		noStrays(t, sw)
	}
}

// A right reply is right however it comes, and whatever comes behind it.
func TestOpenReplyForms(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write func(c *testutil.FakeClient, reply []byte)
	}{
		{"byte by byte", func(c *testutil.FakeClient, reply []byte) {
			var pieces [][]byte
			for i := range reply {
				pieces = append(pieces, reply[i:i+1])
			}
			c.WritePieces(pieces...)
		}},
		{"in two halves", func(c *testutil.FakeClient, reply []byte) { c.WritePieces(reply[:55], reply[55:]) }},
		{"with garbage behind the path", func(c *testutil.FakeClient, reply []byte) {
			end := bytes.IndexByte(reply[2:], 0) + 3
			copy(reply[end:], bytes.Repeat([]byte("garbage"), 20))
			c.WriteCtl(reply)
		}},
		{"with a byte behind it", func(c *testutil.FakeClient, reply []byte) { c.WriteCtl(append(reply, 'x')) }},
		{"twice", func(c *testutil.FakeClient, reply []byte) { c.WriteCtl(append(reply, reply...)) }},
		{"with much behind it", func(c *testutil.FakeClient, reply []byte) { c.WriteCtl(append(reply, make([]byte, 50_000)...)) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
				c.ReadRequest()
				c.ConnectBack()
				if b := c.ReplyBytes(); b != nil {
					tt.write(c, b)
				}
			})
			c := conntest.Open(t, sw.VNL())
			conntest.Works(t, c, conntest.Next(t, sw))
			if c.Err() != nil {
				t.Error(c.Err())
			}
			noStrays(t, sw)
		})
	}
}

// A wrongReply is whole but not right, and the error of Open for it.
type wrongReply struct {
	name  string
	reply func(c *testutil.FakeClient) []byte
	kind  error
	parts []string
}

// replies returns a reply of this family and path.
func replies(family uint16, path string) func(*testutil.FakeClient) []byte {
	return func(*testutil.FakeClient) []byte { return testutil.FakeSockaddr(family, path) }
}

// repliesInDir returns a reply with the path of name in the switch's directory.
func repliesInDir(name string) func(*testutil.FakeClient) []byte {
	return func(c *testutil.FakeClient) []byte { return testutil.FakeSockaddr(1, filepath.Join(dirOf(c), name)) }
}

var wrongReplies = []wrongReply{
	{"family 0", replies(0, "/tmp/x"), vde.ErrNotSwitch, []string{"family 0"}},
	{"family of IPv4", replies(2, "/tmp/x"), vde.ErrNotSwitch, []string{"family 2"}},
	{"family in the other byte order", replies(256, "/tmp/x"), vde.ErrNotSwitch, []string{"family"}},
	{"zeros", func(*testutil.FakeClient) []byte { return make([]byte, 110) }, vde.ErrNotSwitch, nil},
	{"empty path", replies(1, ""), vde.ErrNotSwitch, []string{"empty"}},
	{"HTTP", func(*testutil.FakeClient) []byte {
		return append([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), bytes.Repeat([]byte("x"), 100)...)
	}, vde.ErrNotSwitch, nil},
	{"the request", func(c *testutil.FakeClient) []byte { return c.Request().Raw }, vde.ErrNotSwitch, nil},
	{"path without an end", replies(1, "/"+strings.Repeat("p", 107)), vde.ErrNotSwitch, []string{"connect to the switch's data socket"}},
	{"no such path", replies(1, "/nowhere/001.7"), vde.ErrNoSwitch,
		[]string{"connect to the switch's data socket /nowhere/001.7", "no such file", "went away"}},
	{"no such abstract name", replies(1, "@vde test, nobody"), vde.ErrNoSwitch, []string{"connection refused"}},
	{"a socket nobody has", repliesInDir("gone"), vde.ErrNoSwitch, []string{"connection refused"}},
	{"a file", repliesInDir("file"), vde.ErrNotSwitch, []string{"does not name a data socket"}},
	{"a stream socket", repliesInDir("stream"), vde.ErrNotSwitch, []string{"does not name a data socket"}},
	{"the control socket", repliesInDir("ctl"), vde.ErrNotSwitch, nil},
	{"the directory", repliesInDir(""), vde.ErrNotSwitch, nil},
	{"a directory of all users", replies(1, "/tmp"), vde.ErrNotSwitch, nil},
	{"another client's data socket", repliesInDir("taken"), vde.ErrDataDenied, []string{"not permitted"}},
}

// putTargets puts things that a reply can lead to into the switch's directory.
func putTargets(t *testing.T, sw *testutil.FakeSwitch) {
	t.Helper()
	if err := errors.Join(
		os.WriteFile(filepath.Join(sw.Dir(), "file"), nil, 0o777),
		sw.Portgroup("stream"),
		listenGram(filepath.Join(sw.Dir(), "gone")),
	); err != nil {
		t.Fatal(err)
	}
	// A socket that is connected to another one takes nothing from us.
	taken, err := net.DialUnix("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(sw.Dir(), "taken")}, &net.UnixAddr{Net: "unixgram", Name: otherSocket(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
}

func TestOpenReplyContent(t *testing.T) {
	for _, tt := range wrongReplies {
		t.Run(tt.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			made := make(chan struct{})
			sw := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
				c.Wait(made)
				c.ReadRequest()
				c.ConnectBack()
				c.WriteCtl(tt.reply(c))
			})
			putTargets(t, sw)
			close(made)
			checkOpenError(t, sw.VNL(), conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL()), tt.kind, tt.parts...)
			if names, err := sw.Strays(); err != nil || len(names) != 3 {
				t.Errorf("in the directory: %q, %v; want what was put there", names, err)
			}
		})
	}
}
