// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package exec is the driver of the cmd scheme: it starts a command and exchanges
// frames with it over its standard input and output, in the format of vde_plug.
//
//	cmd://ssh server vde_plug /run/vde.ctl
//	cmd://vde_plug vxvde://239.1.2.3
//
// vde.Open uses it; programs need the package only to build a [link.Mux] of their
// own, or to set options:
//
//	mux := link.Mux{"cmd": exec.Driver{Stderr: os.Stderr}}
//
// The line is taken apart by [Split], without a shell, and the command is looked up
// in PATH. It has the environment of this program. A command that cannot be started is an error of Open. The link ends
// when the command closes its standard output, which it does when it ends; the
// reason has its exit status and the last line that it has written to the standard
// error. Programs of the vde2 suite accept frames of up to 1521 bytes and get out of
// step at a longer one: [link.Settings] have the longest frame.
//
// Close closes the standard input of the command, sends SIGTERM if that does not end
// it within half a second, and SIGKILL after another second.
//
// The source is docs/spec/vnl.md, sections 4.6 and 6.
package exec

import (
	"context"
	"os"

	"github.com/go-vde/sdk/internal/vdestream"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// A Driver starts commands. The zero value has the defaults.
type Driver struct {
	// Stderr, if not nil, becomes the standard error of the command. The reason of
	// the link's end then lacks the last line.
	Stderr *os.File

	// Foreground leaves the command in the process group of this program, which a
	// command such as ssh needs to ask for a password on the terminal. Signals
	// from the terminal then reach the command too, and Close ends the command
	// alone. Without it the command has a process group of its own, and Close ends
	// what the command has started too.
	Foreground bool

	// PipeSize is the capacity in bytes of the pipe to the command (default 8192).
	// vde_plug loses a frame when a read of its, of 9234 bytes, ends between the
	// two bytes of a length, which cannot happen with the default. For a command
	// that keeps what it has read, such as vde plug, 1 MiB makes the link some
	// times as fast. Linux only.
	PipeSize int
}

// defaultPipeSize is less than vde_plug reads at once, so that a read takes all there
// is, which is whole frames.
const defaultPipeSize = 8192

var _ link.Driver = Driver{}

// Open implements [link.Driver]. The error matches that of [exec.LookPath] or
// [exec.Cmd.Start], [syscall.EINVAL] for a line without a command, or the error of
// ctx.
//
// [exec.LookPath]: https://pkg.go.dev/os/exec#LookPath
// [exec.Cmd.Start]: https://pkg.go.dev/os/exec#Cmd.Start
func (d Driver) Open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	words := Split(l.Arg)
	if len(words) == 0 {
		return nil, vnl.Errorf("%q has no command: give one, as in cmd://ssh server vde_plug", l.String())
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := vdestream.CheckMaxFrameSize(s.MaxFrameSize); err != nil {
		return nil, err
	}
	p, err := d.start(words)
	if err != nil {
		return nil, err
	}
	cfg := vdestream.Config{Config: link.Config{Address: l.String(), MaxFrameSize: s.MaxFrameSize}}
	if d.PipeSize > defaultPipeSize {
		cfg.WriteSize = min(d.PipeSize, 1<<16)
	}
	return vdestream.New(p, cfg)
}
