// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
)

// A control is the connected control stream.
type control struct {
	*transport.Stream
	path    string // of the listening socket
	streams *uint8 // the features that the socket's name offers; nil if it offers nothing
}

// dialControl connects to the port group's socket or to ctl, and returns with it
// the port to ask for there (docs/spec/vde-protocol.md, section 7).
func (j joiner) dialControl(ctx context.Context, dir string) (control, wire.Port, error) {
	if j.portGroup != "" {
		c, err := dialUnix(ctx, filepath.Join(dir, j.portGroup), j.streams)
		if err == nil {
			return c, wire.AnyPort, nil
		}
		if ctx.Err() != nil {
			return control{}, 0, err
		}
		if j.port == wire.AnyPort && !j.settings.PortGroupFallback {
			if e := (*joinError)(nil); errors.As(err, &e) && e.kind == ErrNoSwitch {
				e.step, e.kind = "connect to the port group's socket", ErrNoPortGroup
				e.remedy = "check its name; a locator without it joins any free port"
			}
			return control{}, 0, err
		}
	}
	c, err := dialUnix(ctx, filepath.Join(dir, "ctl"), j.streams)
	return c, j.port, err
}

// dialUnix connects a stream to the socket at path, which is a control socket. Its
// name offers to send frames over the stream, with features, unless these are nil.
func dialUnix(ctx context.Context, path string, streams *uint8) (control, error) {
	const step = "connect to the control socket"
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return control{}, &joinError{step: "make the control socket", err: os.NewSyscallError("socket", err)}
	}
	if streams != nil && !nameStream(fd, *streams) {
		streams = nil
	}
	// A full backlog is EAGAIN for a stream of this family, and the poller has
	// no event for its end, so all one can do is to ask again.
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		if err = ctx.Err(); err != nil {
			err = contextError(ctx)
			break
		}
		err = ignoringEINTR(func() error { return unix.Connect(fd, &unix.SockaddrUnix{Name: path}) })
		if err != unix.EAGAIN {
			err = os.NewSyscallError("connect", err)
			break
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
	if err != nil {
		unix.Close(fd)
		return control{}, controlError(step, path, err)
	}
	stream, err := transport.NewStream(fd, path)
	if err != nil {
		return control{}, &joinError{step: "register the control socket", path: path, err: err}
	}
	return control{stream, path, streams}, nil
}

// nameStream gives the socket fd the name that offers features, and reports whether
// it could. A switch that does not know the offer does not see a difference.
func nameStream(fd int, features uint8) bool {
	const attempts = 8 // somebody may have the name
	for range attempts {
		err := unix.Bind(fd, &unix.SockaddrUnix{Name: wire.StreamName(features, rand.Uint64())})
		if err != unix.EADDRINUSE {
			return err == nil
		}
	}
	return false
}

// controlError names what a failure to reach the control socket means.
func controlError(step, path string, err error) error {
	e := &joinError{step: step, path: path, err: err}
	switch {
	case is(err, syscall.ENAMETOOLONG), is(err, syscall.EINVAL) && len(path) > wire.MaxPathLen:
		e.kind = ErrPathTooLong
		e.remedy = fmt.Sprintf("%d bytes, at most %d are possible: use a shorter directory or a symbolic link's target", len(path), wire.MaxPathLen)
	case is(err, syscall.ENOENT):
		e.kind = ErrNoSwitch
		e.remedy = "check the path, or start a switch there"
	case is(err, syscall.ECONNREFUSED) && notSocket(path):
		e.kind = ErrNotSwitch
		e.remedy = "this file is not a socket: give the control directory of a switch"
	case is(err, syscall.ECONNREFUSED):
		e.kind = ErrNoSwitch
		e.remedy = "nobody listens: the switch that made this socket is gone, start it again"
	case is(err, syscall.ENOTDIR, syscall.EPROTOTYPE, syscall.ELOOP):
		e.kind = ErrNotSwitch
		e.remedy = "give the control directory of a switch"
	case is(err, syscall.EACCES, syscall.EPERM):
		e.kind = ErrControlDenied
		e.remedy = "ask the owner of the switch for access: its mode (-m) and group (-g), and search permission on every directory above"
	case errors.Is(err, context.DeadlineExceeded):
		e.remedy = "the switch does not accept connections: it is stopped or overloaded"
	}
	return e
}

// notSocket reports whether there is a file at path that is no socket, for which
// connect has the same error as for a socket that nobody listens on.
func notSocket(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode()&fs.ModeSocket == 0
}
