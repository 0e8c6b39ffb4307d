// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug

import (
	"errors"
	"io/fs"
	"syscall"
)

// Errors of Open. Each is found with [errors.Is]; those about permissions also
// match [fs.ErrPermission], ErrNoSwitch also matches [fs.ErrNotExist] where a
// file is missing, and an unknown or unsupported scheme matches
// [errors.ErrUnsupported]. When ctx or the default bound ends the attempt, the
// error matches [context.Canceled] or [context.DeadlineExceeded].
var (
	// ErrNoSwitch: there is no control socket, or nobody listens on it.
	ErrNoSwitch = errors.New("no switch there")

	// ErrNotSwitch: something answers that does not speak the VDE protocol.
	ErrNotSwitch = errors.New("not a VDE switch")

	// ErrControlDenied: the control socket or its directory may not be used.
	ErrControlDenied = permissionError("permission denied on the control socket")

	// ErrDataDenied: no data socket may be made where the switch could reach
	// it, or the switch's own may not be used.
	ErrDataDenied = permissionError("permission denied on the data socket")

	// ErrConnectBackDenied: the switch is not allowed to write to our data
	// socket.
	ErrConnectBackDenied = permissionError("the switch may not connect back to the data socket")

	// ErrPortRefused: the switch does not give the port asked for.
	ErrPortRefused = errors.New("port refused by the switch")

	// ErrSwitchFull: the switch has no free port.
	ErrSwitchFull = errors.New("no free port on the switch")

	// ErrNoPortGroup: the switch has no port group of that name.
	ErrNoPortGroup = errors.New("no such port group")

	// ErrPathTooLong: the path does not fit a socket address (107 bytes).
	ErrPathTooLong = errors.New("path too long for a socket address")
)

// A permissionError also matches fs.ErrPermission.
type permissionError string

func (e permissionError) Error() string { return string(e) }

func (e permissionError) Is(target error) bool { return target == fs.ErrPermission }

// A joinError says at which step Open failed, on what, why, and what would help.
type joinError struct {
	step   string // "connect to the control socket"
	path   string // what the step was about; may be empty
	kind   error  // one of the sentinels above, or nil
	err    error  // what the system said, or nil
	remedy string // may be empty
}

func (e *joinError) Error() string {
	s := e.step
	if e.path != "" {
		s += " " + e.path
	}
	if e.kind != nil {
		s += ": " + e.kind.Error()
	}
	if e.err != nil {
		s += ": " + e.err.Error()
	}
	if e.remedy != "" {
		s += " (" + e.remedy + ")"
	}
	return s
}

func (e *joinError) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.kind, e.err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// Timeout makes net.OpError's Timeout tell about a deadline.
func (e *joinError) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.err, &t) && t.Timeout()
}

// is reports whether err holds one of errnos.
func is(err error, errnos ...syscall.Errno) bool {
	for _, n := range errnos {
		if errors.Is(err, n) {
			return true
		}
	}
	return false
}
