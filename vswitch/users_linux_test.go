// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// A who is a user that a test plays.
type who struct {
	uid, gid int
	groups   []uint32
}

var (
	nobody = who{uid: 65534, gid: 65534}
	member = who{uid: 54321, gid: 54321, groups: []uint32{4711}} // of the switch's group, where it has one
	third  = who{uid: 54322, gid: 54322}
)

// do runs f as w, on a thread of its own, which ends with it.
func (w who) do(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if unix.Gettid() == unix.Getpid() {
			// The first thread would not end, and stands for the process in what others
			// ask about it. Locked as it is, it cannot be the next one.
			done <- w.do(f)
			runtime.UnlockOSThread()
			return
		}
		done <- func() error {
			var groups unsafe.Pointer
			if len(w.groups) > 0 {
				groups = unsafe.Pointer(&w.groups[0])
			}
			for _, call := range [][4]uintptr{
				{syscall.SYS_SETGROUPS, uintptr(len(w.groups)), uintptr(groups), 0},
				{syscall.SYS_SETRESGID, uintptr(w.gid), uintptr(w.gid), uintptr(w.gid)},
				{syscall.SYS_SETRESUID, ^uintptr(0), uintptr(w.uid), ^uintptr(0)},
			} {
				if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
					return os.NewSyscallError("become another user", errno)
				}
			}
			return f()
		}()
	}()
	return <-done
}

// join asks the switch in dir for a port, as w, with a data socket of its own in
// a directory that everybody may write to. It returns the switch's data socket
// as the reply names it, "" after a refusal.
func (w who) join(dir, own string) (peer string, leave func(), err error) {
	var fds []int
	leave = func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
	err = w.do(func() error {
		data, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		fds = append(fds, data)
		name := fmt.Sprintf("%s/%d.%d", own, w.uid, data)
		if err := syscall.Bind(data, &syscall.SockaddrUnix{Name: name}); err != nil {
			return err
		}
		defer os.Remove(name)
		ctl, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		fds = append(fds, ctl)
		if err := unix.Connect(ctl, &unix.SockaddrUnix{Name: dir + "/ctl"}); err != nil {
			return err
		}
		if _, err := unix.Write(ctl, v3(0, 0)(name)); err != nil {
			return err
		}
		var b [200]byte
		n, err := unix.Read(ctl, b[:])
		if err != nil || n == 0 {
			return err
		}
		peer = string(b[2:n])
		for i, c := range b[2:n] {
			if c == 0 {
				peer = string(b[2 : 2+i])
				break
			}
		}
		return syscall.Connect(data, &syscall.SockaddrUnix{Name: peer})
	})
	return peer, leave, err
}

// writable returns a directory that everybody may write to.
func writable(t *testing.T) string {
	dir := testutil.ShortDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Who gets in is decided by the permissions of the directory and of ctl.
func TestWhoMayConnect(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	const group = 4711
	for _, tt := range []struct {
		name string
		cfg  vswitch.Config
		in   []who
		out  []who
	}{
		{"default", vswitch.Config{}, nil, []who{nobody, member}},
		{"everybody", vswitch.Config{Mode: 0o666}, []who{nobody, member}, nil},
		{"group", vswitch.Config{Mode: 0o660, Group: strconv.Itoa(group)}, []who{member}, []who{nobody, third}},
		{"group by directory", vswitch.Config{DirMode: 0o770, Group: strconv.Itoa(group)}, []who{member}, []who{nobody, third}},
		{"closed directory", vswitch.Config{Mode: 0o666, DirMode: 0o700}, nil, []who{nobody, member}},
		{"read only", vswitch.Config{Mode: 0o644}, nil, []who{nobody, member}},
		{"others, not the group", vswitch.Config{Mode: 0o606, Group: strconv.Itoa(group)}, []who{nobody}, []who{member}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			sw, dir := start(t, tt.cfg)
			own := writable(t)
			for _, w := range tt.in {
				peer, leave, err := w.join(dir, own)
				if err != nil || peer == "" {
					t.Errorf("user %d is not let in: %v", w.uid, err)
				}
				leave()
			}
			for _, w := range tt.out {
				_, leave, err := w.join(dir, own)
				if !errors.Is(err, unix.EACCES) {
					t.Errorf("user %d: %v, want EACCES", w.uid, err)
				}
				leave()
			}
			until(t, "all are gone", func() bool { return len(active(sw)) == 0 })
			if s := sw.Stats().Serve; s.Joined != uint64(len(tt.in)) || s.Accepted != s.Joined {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Admit sees the user that the kernel names, and its word counts.
func TestAdmitByUser(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID")
	asked := make(chan vswitch.Peer, 2)
	sw, dir := start(t, vswitch.Config{Mode: 0o666, Admit: func(p vswitch.Peer) (int, error) {
		asked <- p
		if p.UID != uint32(member.uid) {
			return 0, errors.New("not one of us")
		}
		return p.Port, nil
	}})
	own := writable(t)
	for _, w := range []who{member, third} {
		peer, leave, err := w.join(dir, own)
		if err != nil || (peer != "") != (w.uid == member.uid) {
			t.Errorf("user %d: port %q, %v", w.uid, peer, err)
		}
		defer leave()
		if p := <-asked; p.UID != uint32(w.uid) || p.GID != uint32(w.gid) || p.PID != int32(os.Getpid()) {
			t.Errorf("user %d is said to be %+v", w.uid, p)
		}
	}
	if s := sw.Stats().Serve; s.Joined != 1 || s.Refused != 1 {
		t.Errorf("%+v", s)
	}
}

// A third user can put nothing into the sockets that a client and the switch
// talk over: the switch's are connected before they have a name.
func TestInjection(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	for _, tt := range []struct {
		name string
		cfg  vswitch.Config
		want error // for third; the kernel tells the switch's own user EPERM
	}{
		{"default mode", vswitch.Config{DirMode: 0o711, Mode: 0o600}, unix.EACCES},
		{"open to everybody", vswitch.Config{Mode: 0o666}, unix.EACCES}, // a client's socket belongs to the client
	} {
		t.Run(tt.name, func(t *testing.T) {
			sw, dir := start(t, tt.cfg)
			own := writable(t)
			client := who{} // root, whom every mode lets in
			if tt.cfg.Mode == 0o666 {
				client = member
			}
			peer, leave, err := client.join(dir, own)
			if err != nil || peer == "" {
				t.Fatal(peer, err)
			}
			defer leave()
			inject := func(w who) error {
				return w.do(func() error {
					fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
					if err != nil {
						return err
					}
					defer unix.Close(fd)
					return unix.Sendto(fd, testFrame(macB, macA, 60, 1), unix.MSG_DONTWAIT, &unix.SockaddrUnix{Name: peer})
				})
			}
			if err := inject(third); err != tt.want {
				t.Errorf("a third user: %v, want %v", err, tt.want)
			}
			// Permissions aside, the socket listens to its client alone.
			for _, w := range []who{client, {}} {
				if err := inject(w); err != unix.EPERM {
					t.Errorf("another socket of user %d: %v, want EPERM", w.uid, err)
				}
			}
			if s := sw.Stats(); s.Ports[0].In.Frames != 0 {
				t.Errorf("%+v came in", s.Ports[0].In)
			}
		})
	}
}

// The switch's sockets for a client of another user let in that user and nobody
// else, whatever the switch's mode.
func TestDataSocketOwner(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID", "CAP_CHOWN")
	_, dir := start(t, vswitch.Config{Mode: 0o666})
	peer, leave, err := member.join(dir, writable(t))
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	var st unix.Stat_t
	if err := unix.Lstat(peer, &st); err != nil {
		t.Fatal(err)
	}
	if st.Uid != uint32(member.uid) || st.Mode&0o777 != 0o600 {
		t.Errorf("%s belongs to %d with mode %#o", peer, st.Uid, st.Mode&0o777)
	}
}

// docs/spec/vde-protocol.md, section 15, items 2 and 3: identity is what the kernel says.
func TestIdentity(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID")
	sw, dir := start(t, vswitch.Config{Mode: 0o666})
	root := plugData(t, dir, plugOptions{name: dir + "/.roots"})
	if err := os.Chmod(root.name, 0o777); err != nil {
		t.Fatal(err)
	}
	plug(t, dir, plugOptions{request: v3(0, 3)}) // root's port

	mine := testutil.ShortDir(t)
	if err := os.Chmod(mine, 0o777); err != nil {
		t.Fatal(err)
	}
	own := mine + "/own"
	for _, test := range []struct {
		name string
		port uint32
		want bool
	}{
		{own, 0, true},
		{"@" + strings.Repeat("a", 107), 0, true},
		{root.name, 0, false}, // somebody else's, though he could write to it
		{own, 3, false},       // somebody else's port
		{"@" + strings.Repeat("b", 107), 3, false},
	} {
		got, err := joinAs(65534, dir, test.name, v3(0, test.port)(test.name))
		if err != nil {
			t.Fatal(err)
		}
		if got != test.want {
			t.Errorf("data socket %q, port %d: accepted %v, want %v", test.name, test.port, got, test.want)
		}
	}
	if s := sw.Stats().Serve; s.Refused != 3 || s.Joined != 3 {
		t.Errorf("%+v", s)
	}
}

// joinAs sends a request as user uid, with a data socket of its own called name
// unless somebody has one there, and reports whether the switch accepted it.
func joinAs(uid int, dir, name string, request []byte) (accepted bool, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with its user
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); e != 0 {
			err = e
			return
		}
		var data, ctl int
		if data, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0); err != nil {
			return
		}
		defer unix.Close(data)
		if _, e := os.Lstat(name); e != nil {
			if err = syscall.Bind(data, &syscall.SockaddrUnix{Name: name}); err != nil {
				return
			}
			if name[0] == '/' {
				defer os.Remove(name)
			}
		}
		if ctl, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
			return
		}
		defer unix.Close(ctl)
		if err = unix.Connect(ctl, &unix.SockaddrUnix{Name: dir + "/ctl"}); err != nil {
			return
		}
		if _, err = unix.Write(ctl, request); err != nil {
			return
		}
		var b [200]byte
		n, e := unix.Read(ctl, b[:])
		accepted, err = n == 110, e
	}()
	<-done
	return accepted, err
}

// Admit sees the request, may refuse it, and decides on the port.
func TestAdmit(t *testing.T) {
	asked := make(chan vswitch.Peer, 10)
	_, dir := start(t, vswitch.Config{Admit: func(p vswitch.Peer) (int, error) {
		asked <- p
		switch p.Description {
		case "no":
			return 0, errors.New("not today")
		case "seven":
			return 7, nil
		case "minus":
			return -2, nil
		}
		return p.Port, nil
	}})
	ask := func(what string) string {
		return filepath.Base(plug(t, dir, plugOptions{request: func(p string) []byte { return request(p, what, magic, 3, 5<<8) }}).peer)
	}
	if got := ask("no"); got != "." {
		t.Errorf("no got %s", got)
	}
	if got := ask("seven"); !strings.HasPrefix(got, "007.") {
		t.Errorf("seven got %s", got)
	}
	if got := ask("as asked"); !strings.HasPrefix(got, "005.") {
		t.Errorf("as asked got %s", got)
	}
	if got := ask("minus"); got != "." {
		t.Errorf("port -2 is %s", got)
	}
	if p := <-asked; p.UID != uint32(os.Geteuid()) || p.PID != int32(os.Getpid()) || p.Port != 5 || p.Dir != dir {
		t.Errorf("%+v", p)
	}
}
