// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
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
