// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package exec

import (
	"os"
	"os/exec"
	"syscall"
)

// groups says that a command can have a process group of its own.
const groups = false

func setGroup(*exec.Cmd, bool) {}

// send sends sig; p.mu is held. It has no effect on a command that has ended.
func (p *process) send(sig syscall.Signal) {
	if p.cmd.Process.Signal(sig) != nil {
		_ = p.cmd.Process.Kill()
	}
}

// wait waits for the command to end, and notes how.
func (p *process) wait() { p.status = p.cmd.Wait() }

func (p *process) release() {}

func setPipeSize(*os.File, int) {}
