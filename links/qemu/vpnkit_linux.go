// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/deadline"
)

// vpnkitMTU is the MTU that a server tells.
const vpnkitMTU = 1500

// handshake speaks the handshake of VPNKit on the connection fd, until ctx ends. It
// returns the descriptor to go on with; fd is closed.
func (o opener) handshake(ctx context.Context, fd int) (next int, err error) {
	f := os.NewFile(uintptr(fd), o.locator)
	defer f.Close()
	defer context.AfterFunc(ctx, func() { _ = f.SetDeadline(deadline.Past()) })()
	v := VPNKit{UUID: o.uuid, MTU: vpnkitMTU}
	speak := v.greet
	if o.server {
		speak = v.welcome
	}
	if err = speak(f); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return -1, fmt.Errorf("handshake of VPNKit: %w", err)
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(of uintptr) { next, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); errors.Join(e, err) != nil {
		return -1, os.NewSyscallError("fcntl", errors.Join(e, err))
	}
	if o.onVPNKit != nil {
		o.onVPNKit(v)
	}
	return next, nil
}
