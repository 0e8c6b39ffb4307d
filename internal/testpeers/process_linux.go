// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func setCredential(cmd *exec.Cmd, c *Credential) error {
	if c == nil {
		return nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{
		Uid: c.UID, Gid: c.GID, Groups: c.Groups,
		// Without the privilege to set groups, running as oneself still works.
		NoSetGroups: int(c.UID) == os.Getuid() && os.Getuid() != 0,
	}}
	return nil
}

// stopAndWait stops a child and waits until the kernel reports that it is stopped. WNOWAIT leaves that
// report, and the exit status if there is one, to be read again: a second pause returns at once, and
// os/exec finds its status.
func stopAndWait(p *os.Process) error {
	if err := p.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, p.Pid, &info, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECHILD):
			return os.ErrProcessDone
		case err != nil:
			return os.NewSyscallError("waitid", err)
		case info.Code != cldStopped:
			return os.ErrProcessDone
		}
		return nil
	}
}

const cldStopped = 5 // CLD_STOPPED of <signal.h>: the code in a child's siginfo when it was stopped

func resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }

// haveCapability looks a capability up in the effective set of this process.
func haveCapability(name string) (bool, error) {
	bit, ok := map[string]uint{
		"CAP_CHOWN":        unix.CAP_CHOWN,
		"CAP_DAC_OVERRIDE": unix.CAP_DAC_OVERRIDE,
		"CAP_KILL":         unix.CAP_KILL,
		"CAP_SETGID":       unix.CAP_SETGID,
		"CAP_SETUID":       unix.CAP_SETUID,
		"CAP_NET_ADMIN":    unix.CAP_NET_ADMIN,
		"CAP_NET_RAW":      unix.CAP_NET_RAW,
		"CAP_SYS_ADMIN":    unix.CAP_SYS_ADMIN,
	}[name]
	if !ok {
		return false, fmt.Errorf("a name this package does not know")
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return false, os.NewSyscallError("capget", err)
	}
	return data[bit/32].Effective&(1<<(bit%32)) != 0, nil
}

// waitListening waits until something listens at each of the unix socket paths, as seen from process pid.
//
// It polls the kernel's list of sockets, which has no events. It does not connect, since a connection without a
// request would stay in a vde_switch for ever and make a libvdeplug node spin.
func waitListening(ctx context.Context, pid int, paths ...string) error {
	const acceptCon = 1 << 16 // the flag of a listening socket in /proc/net/unix
	list := fmt.Sprintf("/proc/%d/net/unix", pid)
	for backoff := time.Millisecond; ; backoff = min(2*backoff, 20*time.Millisecond) {
		text, err := os.ReadFile(list)
		if err != nil && ctx.Err() == nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EINVAL) {
			return err
		}
		found := make(map[string]bool)
		for line := range strings.Lines(string(text)) {
			// Num RefCount Protocol Flags Type St Inode Path; the paths of interest are absolute.
			i := strings.IndexByte(line, '/')
			if i < 0 {
				continue
			}
			f := strings.Fields(line[:i])
			if len(f) != 7 {
				continue
			}
			if flags, err := strconv.ParseUint(f[3], 16, 32); err == nil && flags&acceptCon != 0 {
				found[strings.TrimSuffix(line[i:], "\n")] = true
			}
		}
		all := true
		for _, path := range paths {
			all = all && found[path]
		}
		if all {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens at %s: %w", strings.Join(paths, ", "), context.Cause(ctx))
		case <-time.After(backoff):
		}
	}
}

// A watcher reports names that vanish from directories.
type watcher struct {
	f   *os.File
	buf []byte
}

// watchDeleted watches those of dirs that exist.
func watchDeleted(dirs ...string) (*watcher, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	w := &watcher{f: os.NewFile(uintptr(fd), "inotify"), buf: make([]byte, 16<<10)}
	for _, dir := range dirs {
		_, err := unix.InotifyAddWatch(fd, dir, unix.IN_DELETE|unix.IN_MOVED_FROM)
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EACCES) {
			w.f.Close()
			return nil, fmt.Errorf("watch %s: %w", dir, err)
		}
	}
	return w, nil
}

// wait waits until a name for which match holds has vanished.
func (w *watcher) wait(ctx context.Context, match func(name string) bool) error {
	defer deadlineOnDone(ctx, w.f)()
	for {
		n, err := w.f.Read(w.buf)
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		for b := w.buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			ev := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
			end := unix.SizeofInotifyEvent + int(ev.Len)
			name := unix.ByteSliceToString(b[unix.SizeofInotifyEvent:end])
			if ev.Mask&unix.IN_Q_OVERFLOW != 0 {
				return errors.New("testpeers: lost directory events")
			}
			if match(name) {
				return nil
			}
			b = b[end:]
		}
	}
}

func (w *watcher) close() { w.f.Close() }

// joined waits until libvdeplug in process pid has finished its handshake with a switch: the last thing it
// does is to unlink the name of its data socket, which carries its pid.
func joined(ctx context.Context, w *watcher, pid int) error {
	a, b := fmt.Sprintf(".%05d-", pid), fmt.Sprintf("vde.%05d-", pid)
	return w.wait(ctx, func(name string) bool {
		return strings.HasPrefix(name, a) || strings.HasPrefix(name, b)
	})
}

// joinDirs returns the directories in which libvdeplug may put its data socket for a switch at dir.
func joinDirs(dir string) []string {
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	return []string{dir, "/var/run", "/var/tmp", "/tmp"}
}

// recordPipe returns a connected pair for a reader that expects each record in one read. A byte stream would
// not do: vde_plug loses a record whose two length bytes fall into different reads.
func recordPipe() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		unix.Close(fds[0])
		unix.Close(fds[1])
		return nil, nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fds[0]), "records"), os.NewFile(uintptr(fds[1]), "records"), nil
}
