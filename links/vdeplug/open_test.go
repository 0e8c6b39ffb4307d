// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vdeplug_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/links/vdeplug"
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

func TestOpenRequest(t *testing.T) {
	testutil.NoLeaks(t)
	t.Setenv("SSH_CLIENT", "")
	for _, tt := range []struct {
		name   string
		params string // behind the directory
		opts   []vde.Option
		word   uint32
		group  string // the port group that was connected to
	}{
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
	} {
		t.Run(tt.name, func(t *testing.T) {
			sw := testutil.NewFakeSwitch(t)
			for _, name := range []string{"lan", "9"} {
				if err := sw.Portgroup(name); err != nil {
					t.Fatal(err)
				}
			}
			staleSocket(t, filepath.Join(sw.Dir(), "11"))
			// With a description of our own, and with the default.
			for _, description := range []string{"a plug", filepath.Base(os.Args[0])} {
				opts := tt.opts
				if description == "a plug" {
					opts = append(opts[:len(opts):len(opts)], vde.WithDescription(description))
				}
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
				if late := client.TrailingBytes(); len(late) > 0 {
					t.Errorf("the client said %q after its request", late)
				}
			}
			os.Remove(filepath.Join(sw.Dir(), "11"))
			noStrays(t, sw)
		})
	}
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
		{"plain", "my plug", "", "my plug" + owner},
		{"empty", "", "", owner},
		{"in an SSH session", "my plug", "10.1.2.3 4711 22", "my plug" + owner + " SSH=10.1.2.3"},
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

// What the file system shows of the data socket at the moment of the request.
func TestOpenDataSocket(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name     string
		params   string
		opts     []vde.Option
		ctlOwner int // a switch of this user and group
		mode     fs.FileMode
		gid      int
	}{
		{name: "default", mode: 0o700},
		{name: "mode in the VNL", params: "[mode=0770]", mode: 0o770},
		{name: "mode 0 in the VNL", params: "[mode=0]", mode: 0o700},
		{name: "WithSocketMode", opts: []vde.Option{vde.WithSocketMode(0o640)}, mode: 0o640},
		{name: "WithSocketMode 0", opts: []vde.Option{vde.WithSocketMode(0)}, mode: 0o700},
		{name: "WithSocketMode, then 0", opts: []vde.Option{vde.WithSocketMode(0o777), vde.WithSocketMode(0)}, mode: 0o700},
		{name: "the VNL's mode wins", params: "[mode=750]", opts: []vde.Option{vde.WithSocketMode(0o777)}, mode: 0o750},
		{name: "group in the VNL", params: "[group=daemon/mode=0770]", mode: 0o770, gid: 1},
		{name: "group by number", params: "[group=4711]", mode: 0o700, gid: 4711},
		{name: "WithSocketGroup", opts: []vde.Option{vde.WithSocketGroup("daemon")}, mode: 0o700, gid: 1},
		{name: "the VNL's group wins", params: "[group=4711]", opts: []vde.Option{vde.WithSocketGroup("daemon")}, mode: 0o700, gid: 4711},

		// The reverse channel: somebody else's switch must be able to write here.
		{name: "another user's switch", ctlOwner: 1, mode: 0o770, gid: 1},
		{name: "another user's switch, owner only", ctlOwner: 1, opts: []vde.Option{vde.WithSocketMode(0o600)}, mode: 0o670, gid: 1},
		{name: "another user's switch, but the mode lets others in", ctlOwner: 1, opts: []vde.Option{vde.WithSocketMode(0o770)}, mode: 0o770},
		{name: "another user's switch, but a group is given", ctlOwner: 1, opts: []vde.Option{vde.WithSocketGroup("4711")}, mode: 0o700, gid: 4711},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, umask := range []int{0, 0o022, 0o777} {
				sw := testutil.NewFakeSwitch(t)
				if err := os.Chown(filepath.Join(sw.Dir(), "ctl"), tt.ctlOwner, tt.ctlOwner); err != nil {
					t.Fatal(err)
				}
				old := syscall.Umask(umask)
				c, err := vde.Open(conntest.Watchdog(t), sw.VNL()+tt.params, tt.opts...)
				syscall.Umask(old)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				r := requestOf(t, sw)
				if want := tt.mode | fs.ModeSocket; r.PathErr != nil || r.PathMode != want || r.PathUID != 0 || r.PathGID != tt.gid {
					t.Errorf("umask %03o: %v of %d:%d, %v; want %v of 0:%d", umask, r.PathMode, r.PathUID, r.PathGID, r.PathErr, want, tt.gid)
				}
				noStrays(t, sw)
			}
		})
	}
}

// The file is looked at whenever something has been done to it: from its
// creation on it must never be open to more than was asked for, under any umask.
func TestOpenDataSocketIsNeverWider(t *testing.T) {
	needRoot(t)
	for _, mode := range []fs.FileMode{0o700, 0o600, 0o770, 0o777, 0o070, 0o604} {
		for _, group := range []string{"", "4711"} {
			t.Run(fmt.Sprintf("%03o%s", mode, group), func(t *testing.T) {
				sw := testutil.NewFakeSwitch(t)
				changes := 0
				defer vdeplug.SetDataFileHook(func(path string) {
					changes++
					var st unix.Stat_t
					if err := unix.Lstat(path, &st); err != nil {
						t.Error(err)
						return
					}
					is := fs.FileMode(st.Mode & 0o7777)
					if is&^mode != 0 {
						t.Errorf("change %d: mode %03o where %03o was asked for", changes, is, mode)
					}
					if is&0o070 != 0 && group != "" && st.Gid != 4711 {
						t.Errorf("change %d: mode %03o for group %d", changes, is, st.Gid)
					}
				})()
				defer syscall.Umask(syscall.Umask(0))
				conntest.Open(t, sw.VNL(), vde.WithSocketMode(mode), vde.WithSocketGroup(group))
				if r := requestOf(t, sw); r.PathMode.Perm() != mode || changes < 2 {
					t.Errorf("mode %v in the end, after %d changes", r.PathMode, changes)
				}
			})
		}
	}
}

// Whoever owns the switch's directory can put something else in the place of the
// data socket. A client must not lend its power to that.
func TestOpenDataSocketReplaced(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name    string
		replace func(path, victim string) error
	}{
		{"link to a file", func(path, victim string) error { return os.Symlink(victim, path) }},
		{"link to a socket", func(path, victim string) error {
			return errors.Join(os.Remove(victim), listenGram(victim), os.Symlink(victim, path))
		}},
		{"second name of a socket", func(path, victim string) error {
			return errors.Join(os.Remove(victim), listenGram(victim), os.Link(victim, path))
		}},
		{"second name of a file", func(path, victim string) error { return os.Link(victim, path) }},
		{"another user's socket", func(path, victim string) error {
			return errors.Join(os.Remove(victim), listenGram(victim), os.Chown(victim, 1, 1), os.Rename(victim, path), os.WriteFile(victim, nil, 0o600))
		}},
		{"nothing", func(path, victim string) error { return nil }},
	} {
		for change := 1; change <= 2; change++ {
			t.Run(fmt.Sprintf("%s after change %d", tt.name, change), func(t *testing.T) {
				testutil.NoLeaks(t)
				sw := testutil.NewFakeSwitch(t)
				// Another user's switch, whose group is to be let in.
				if err := os.Chown(filepath.Join(sw.Dir(), "ctl"), 1, 1); err != nil {
					t.Fatal(err)
				}
				victim := filepath.Join(testutil.ShortDir(t), "victim")
				if err := os.WriteFile(victim, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				var before unix.Stat_t
				changes := 0
				defer vdeplug.SetDataFileHook(func(path string) {
					if changes++; changes == change {
						if err := errors.Join(os.Remove(path), tt.replace(path, victim), unix.Stat(victim, &before)); err != nil {
							t.Error(err)
						}
					}
				})()
				err := conntest.FailsToOpen(t, conntest.Watchdog(t), sw.VNL())
				if change == 1 && tt.name != "nothing" {
					checkOpenError(t, sw.VNL(), err, vde.ErrDataDenied, "set the permissions of the data socket", sw.Dir()+"/.", "somebody interferes")
				}
				var after unix.Stat_t
				if err := unix.Stat(victim, &after); err != nil {
					t.Fatal(err)
				}
				if after.Mode != before.Mode || after.Uid != before.Uid || after.Gid != before.Gid {
					t.Errorf("what was put there became %o %d:%d, was %o %d:%d", after.Mode, after.Uid, after.Gid, before.Mode, before.Uid, before.Gid)
				}
				noStrays(t, sw)
			})
		}
	}
}

// listenGram leaves a datagram socket at path.
func listenGram(path string) error {
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: path})
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(path, 0o600), c.Close())
}

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

// What can be in the way of a control socket.
func TestOpenNoSwitch(t *testing.T) {
	testutil.NoLeaks(t)
	dir := testutil.ShortDir(t)
	mk := func(name string) string {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	staleSocket(t, mk("stale")+"/ctl")
	if err := os.WriteFile(mk("file")+"/ctl", nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(mk("dir")+"/ctl", 0o755); err != nil {
		t.Fatal(err)
	}
	gram, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: mk("gram") + "/ctl"})
	if err != nil {
		t.Fatal(err)
	}
	defer gram.Close()
	if err := errors.Join(
		os.Symlink("loop", filepath.Join(dir, "loop")),
		os.Symlink("nowhere", filepath.Join(dir, "dangling")),
		os.Symlink(filepath.Join(dir, "stale"), mk("link")+"/ctl"),
	); err != nil {
		t.Fatal(err)
	}
	mk("empty")
	sw := testutil.NewFakeSwitch(t)

	const control, find = "connect to the control socket ", "find the control directory "
	for _, tt := range []struct {
		vnl   string
		kind  error
		parts []string
	}{
		{dir + "/nowhere", vde.ErrNoSwitch, []string{find + dir + "/nowhere", "no such file", "start a switch"}},
		{dir + "/dangling", vde.ErrNoSwitch, []string{find, "no such file"}},
		{"vde://" + dir + "/nowhere[5]", vde.ErrNoSwitch, []string{find + dir + "/nowhere"}},
		{dir + "/empty", vde.ErrNoSwitch, []string{control + dir + "/empty/ctl", "no such file", "start a switch"}},
		{dir + "/empty[5]", vde.ErrNoSwitch, []string{control + dir + "/empty/ctl"}},
		{dir + "/stale", vde.ErrNoSwitch, []string{control + dir + "/stale/ctl", "connection refused", "nobody listens"}},
		{dir + "/file", vde.ErrNotSwitch, []string{control + dir + "/file/ctl", "not a socket", "control directory"}},
		{dir + "/dir", vde.ErrNotSwitch, []string{control + dir + "/dir/ctl", "not a socket"}},
		{dir + "/link", vde.ErrNotSwitch, []string{control + dir + "/link/ctl", "not a socket"}},
		{dir + "/gram", vde.ErrNotSwitch, []string{control + dir + "/gram/ctl", "control directory"}},
		{sw.Dir() + "/ctl", vde.ErrNotSwitch, []string{control + sw.Dir() + "/ctl/ctl", "not a directory", "control directory"}},
		{"/dev/null", vde.ErrNotSwitch, []string{"control directory"}},
		{sw.VNL() + "[typo]", vde.ErrNoPortGroup, []string{"connect to the port group's socket " + sw.Dir() + "/typo", "check its name", "WithPortGroupFallback"}},
		{sw.VNL() + "[4x]", vde.ErrNoPortGroup, []string{sw.Dir() + "/4x"}},
		{sw.VNL() + "[-1]", vde.ErrNoPortGroup, []string{sw.Dir() + "/-1"}},
		{"tap://tap0", errors.ErrUnsupported, []string{"tap", "no driver for scheme"}},
		{"vxvde://239.1.2.3", errors.ErrUnsupported, []string{"vxvde"}},
		{"nonsense:///tmp/x", errors.ErrUnsupported, []string{"no driver for scheme", "nonsense"}},
		{"vde:///tmp/x[foo=1]", syscall.EINVAL, []string{"unknown parameter", "foo"}},
		{"/tmp/x[8388608]", syscall.EINVAL, []string{"out of range"}},
		{"/tmp/x[mode=9]", syscall.EINVAL, []string{"octal"}},
		{"/tmp/x[..]", syscall.EINVAL, nil},
		{"/tmp/%00", syscall.EINVAL, []string{"NUL"}},
		{dir + "/" + strings.Repeat("n", 256), vde.ErrPathTooLong, []string{find}},
	} {
		if tt.vnl == dir+"/loop" {
			continue
		}
		err := conntest.FailsToOpen(t, conntest.Watchdog(t), tt.vnl)
		checkOpenError(t, tt.vnl, err, tt.kind, tt.parts...)
		if got := errors.Is(err, fs.ErrNotExist); got != (tt.kind == vde.ErrNoSwitch && !strings.HasSuffix(tt.vnl, "/stale") || tt.kind == vde.ErrNoPortGroup) {
			t.Errorf("error %q: it is %v that it matches fs.ErrNotExist", err, got)
		}
	}
	// A loop of links is some error, whatever its kind.
	conntest.FailsToOpen(t, conntest.Watchdog(t), dir+"/loop")
	if requests := sw.Requests(); len(requests) > 0 {
		t.Errorf("the switch was asked %d times", len(requests))
	}
	noStrays(t, sw)
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

// Names in use are passed over, whoever uses them.
func TestOpenNamesInUse(t *testing.T) {
	sw := testutil.NewFakeSwitch(t)
	for i := range 3 {
		staleSocket(t, fmt.Sprintf("%s/.%05d-%05d", sw.Dir(), os.Getpid(), i))
	}
	conntest.Open(t, sw.VNL())
	if r := requestOf(t, sw); r.Path != fmt.Sprintf("%s/.%05d-%05d", sw.Dir(), os.Getpid(), 3) {
		t.Errorf("data socket %s", r.Path)
	}
	if names, err := sw.Strays(); err != nil || len(names) != 3 {
		t.Errorf("in the directory: %q, %v; want the three that were there", names, err)
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

func TestOpenWriteBuffer(t *testing.T) {
	size := func(opts ...vde.Option) (n int) {
		c, _ := conntest.Join(t, opts...)
		raw, err := c.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if e := raw.Control(func(fd uintptr) { n, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF) }); e != nil || err != nil {
			t.Fatal(e, err)
		}
		return n
	}
	system := size()
	if n := size(vde.WithWriteBuffer(50_000)); n != 100_000 { // Linux doubles it
		t.Errorf("the kernel's send buffer is %d", n)
	}
	if n := size(vde.WithWriteBuffer(50_000), vde.WithWriteBuffer(0)); n != system {
		t.Errorf("the kernel's send buffer is %d, its default %d", n, system)
	}
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

// libvdeplug gives the file that the reply names the client's own mode. A switch
// can name any file: Open leaves it as it is.
func TestOpenNeverTouchesTheSwitchsSocket(t *testing.T) {
	sw := testutil.NewFakeSwitch(t)
	c := conntest.Open(t, sw.VNL(), vde.WithSocketMode(0o777))
	client := conntest.Next(t, sw)
	conntest.Works(t, c, client)
	if fi, err := os.Stat(client.DataPath()); err != nil || fi.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the switch's socket is %v, %v", fi.Mode(), err)
	}

	// Not even when the path leads astray.
	victim := writeFile(t, "victim", "")
	astray := testutil.NewFakeSwitch(t, func(c *testutil.FakeClient) {
		c.ReadRequest()
		c.WriteCtl(testutil.FakeSockaddr(1, victim))
	})
	checkOpenError(t, astray.VNL(), conntest.FailsToOpen(t, conntest.Watchdog(t), astray.VNL(), vde.WithSocketMode(0o777)), vde.ErrNotSwitch)
	if fi, err := os.Stat(victim); err != nil || fi.Mode() != 0o600 {
		t.Errorf("the file is %v, %v", fi.Mode(), err)
	}
}
