// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

const (
	errRefused     = syscall.ECONNREFUSED
	errUnreachable = syscall.EHOSTUNREACH
	errNoNetwork   = syscall.ENETUNREACH
	errInUse       = syscall.EADDRINUSE
)

var (
	errDeadline = os.ErrDeadlineExceeded

	past = time.Unix(1, 0)
	zero time.Time
)

// wantErrno checks that err is package net's for the failure errno of op.
func wantErrno(t *testing.T, err error, op string, errno syscall.Errno) {
	t.Helper()
	var sys *os.SyscallError
	wantErr(t, err, op, errno)
	if !errors.As(err, &sys) {
		t.Errorf("%v: no *os.SyscallError", err)
	}
}

// wantErr checks that err is package net's and matches target.
func wantErr(t *testing.T, err error, op string, target error) {
	t.Helper()
	var oe *net.OpError
	switch {
	case !errors.As(err, &oe):
		t.Errorf("%#v is not a *net.OpError", err)
	case oe.Op != op:
		t.Errorf("%v: operation %q, not %q", err, oe.Op, op)
	case !errors.Is(err, target):
		t.Errorf("%v does not match %v", err, target)
	}
}
