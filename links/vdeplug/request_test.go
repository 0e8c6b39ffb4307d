// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// requestBytes builds a request from the protocol's description alone.
func requestBytes(word uint32, path, description string) []byte {
	b := binary.NativeEndian.AppendUint32(nil, 0xfeedface)
	b = binary.NativeEndian.AppendUint32(b, 3)
	b = binary.NativeEndian.AppendUint32(b, word)
	b = binary.NativeEndian.AppendUint16(b, 1) // AF_UNIX
	b = append(b, path...)
	b = append(b, make([]byte, 108-len(path))...)
	return append(b, description...)
}

func username() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return fmt.Sprint(os.Geteuid())
}

// staleSocket leaves a stream socket at path that nobody listens on any more.
func staleSocket(t testing.TB, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

func TestOpenDescription(t *testing.T) {
	owner := fmt.Sprintf(" user=%s pid=%d", username(), os.Getpid())
	for _, tt := range []struct {
		name, text, ssh string
		want            string
	}{
		{"plain", "my program", "", "my program" + owner},
		{"empty", "", "", owner},
		{"in an SSH session", "my program", "10.1.2.3 4711 22", "my program" + owner + " SSH=10.1.2.3"},
		{"control characters", "a\nb\x00c\x1b[2J\x7f", "", "a?b?c?[2J?" + owner},
		{"forged answer", "x\n.\n1000 Success\n\nvde$ ", "", "x?.?1000 Success??vde$ " + owner},
		{"too long", strings.Repeat("x", 300), "", strings.Repeat("x", 127-len(owner)) + owner},
		{"too long, in an SSH session", strings.Repeat("x", 300), "::1 1 2", strings.Repeat("x", 127-len(owner)-8) + owner + " SSH=::1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("SSH_CLIENT", tt.ssh)
			sw := testutil.NewFakeSwitch(t)
			conntest.Open(t, sw.VNL(), vde.WithDescription(tt.text))
			r := requestOf(t, sw)
			if r.Description != tt.want || len(r.Description) > 127 {
				t.Errorf("%d bytes:\n got %q\nwant %q", len(r.Description), r.Description, tt.want)
			}
		})
	}
}

// A requestTest is a locator with options, and what the client asks for with them.
type requestTest struct {
	name   string
	params string // behind the directory
	opts   []vde.Option
	word   uint32
	group  string // the port group that was connected to
}

var requestTests = []requestTest{
	{name: "any port"},
	{name: "empty brackets", params: "[]"},
	{name: "port 5", params: "[5]", word: 0x500},
	{name: "port=5", params: "[port=5]", word: 0x500},
	{name: "the highest port", params: "[8388607]", word: 0x7fffff00},
	{name: "the management port", params: "[0]", word: 1},
	{name: "WithPort", opts: []vde.Option{vde.WithPort(7)}, word: 0x700},
	{name: "WithPort 0 is any", opts: []vde.Option{vde.WithPort(0)}},
	{name: "WithPort -1 is the management port", opts: []vde.Option{vde.WithPort(-1)}, word: 1},
	{name: "WithPort of the least int", opts: []vde.Option{vde.WithPort(math.MinInt)}, word: 1},
	{name: "the last WithPort", opts: []vde.Option{vde.WithPort(7), nil, vde.WithPort(8)}, word: 0x800},
	{name: "the VNL's port wins", params: "[5]", opts: []vde.Option{vde.WithPort(7)}, word: 0x500},
	{name: "a port group", params: "[lan]", group: "lan"},
	{name: "a port group wins over WithPort", params: "[lan]", opts: []vde.Option{vde.WithPort(7)}, group: "lan"},
	{name: "a port group with a number for a name", params: "[9]", group: "9"},
	{name: "WithPort finds a port group", opts: []vde.Option{vde.WithPort(9)}, group: "9"},
	{name: "no port group, with fallback", params: "[typo]", opts: []vde.Option{vde.WithPortGroupFallback()}},
	{name: "a port group, with fallback", params: "[lan]", opts: []vde.Option{vde.WithPortGroupFallback()}, group: "lan"},
	{name: "a port group nobody listens on, with a number", params: "[11]", word: 0xb00},
}

func TestOpenRequest(t *testing.T) {
	testutil.NoLeaks(t)
	t.Setenv("SSH_CLIENT", "")
	for _, tt := range requestTests {
		t.Run(tt.name, func(t *testing.T) {
			sw := testutil.NewFakeSwitch(t)
			for _, name := range []string{"lan", "9"} {
				if err := sw.Portgroup(name); err != nil {
					t.Fatal(err)
				}
			}
			staleSocket(t, filepath.Join(sw.Dir(), "11"))
			tt.check(t, sw, filepath.Base(os.Args[0]), tt.opts) // the default description
			const description = "an endpoint"
			tt.check(t, sw, description, append(slices.Clip(tt.opts), vde.WithDescription(description)))
			os.Remove(filepath.Join(sw.Dir(), "11"))
			noStrays(t, sw)
		})
	}
}

// check joins sw with opts, which give this description, and checks the request.
func (tt requestTest) check(t *testing.T, sw *testutil.FakeSwitch, description string, opts []vde.Option) {
	t.Helper()
	c := conntest.Open(t, sw.VNL()+tt.params, opts...)
	client := conntest.Next(t, sw)
	r := client.Request()
	name := regexp.MustCompile("^" + regexp.QuoteMeta(sw.Dir()) + fmt.Sprintf("/\\.%05d-[0-9]{5}$", os.Getpid()))
	if !name.MatchString(r.Path) {
		t.Errorf("data socket %s, want %s", r.Path, name)
	}
	want := requestBytes(tt.word, r.Path, fmt.Sprintf("%s user=%s pid=%d", description, username(), os.Getpid()))
	if string(r.Raw) != string(want) {
		t.Errorf("request:\n got %q\nwant %q", r.Raw, want)
	}
	if client.Group != tt.group {
		t.Errorf("connected to port group %q, want %q", client.Group, tt.group)
	}
	if got := c.LocalAddr().String(); got != sw.VNL()+tt.params {
		t.Errorf("LocalAddr is %s", got)
	}
	conntest.Works(t, c, client)
	c.Close()
	conntest.Await(t, "the switch to see the end of the connection", client.Context().Done())
	if trailing := client.TrailingBytes(); len(trailing) > 0 {
		t.Errorf("the client said %q after its request", trailing)
	}
}
