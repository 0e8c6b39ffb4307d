// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package exec

import (
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// groups says that a command can have a process group of its own.
const groups = true

func setGroup(cmd *exec.Cmd, own bool) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: own} }

// send sends sig; p.mu is held, and the command is not reaped.
func (p *process) send(sig syscall.Signal) {
	pid := p.cmd.Process.Pid
	if p.group {
		pid = -pid
	}
	_ = unix.Kill(pid, sig) // nobody is left, or nobody of them is ours to end
}

// wait waits for the command to end, and leaves it to be reaped.
func (p *process) wait() {
	for unix.Waitid(unix.P_PID, p.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

// release reaps the command, which has ended, and notes how.
func (p *process) release() { p.status = p.cmd.Wait() }

// setPipeSize sets the capacity of a pipe. The kernel may refuse more than it allows
// a user.
func setPipeSize(f *os.File, n int) {
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, n) }) // it works without
}
