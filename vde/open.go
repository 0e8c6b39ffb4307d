// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"context"
	"net"
	"os"
	"os/user"
	"strconv"
	"time"

	"github.com/go-vde/sdk/internal/wire"
)

// joinTimeout bounds joining when ctx has no deadline. Only tests change it.
var joinTimeout = 5 * time.Second

// Open joins the network named by vnl, a Virtual Network Locator:
//
//	vde:///run/vde.ctl        the switch whose control directory this is
//	/run/vde.ctl              the same
//	/run/vde.ctl[5]           port 5 of it; [0] is the management port
//	/run/vde.ctl[lan]         its port group "lan"
//	/run/vde.ctl[port=5/group=users/mode=0770]
//	/home/me/network          a regular file whose first line is a locator
//	vde://                    the system's switch: /var/run/vde.ctl, else /tmp/vde.ctl
//	                          (empty) $HOME/.vdeplug/default, else
//	                          $HOME/.vde2/default.switch, else as vde://
//
// The zero value of every option works, also for an unprivileged user. While
// joining, a socket with a name stands in the switch's directory (where that is
// not writable, in /var/run, /var/tmp or /tmp). Its permissions are never wider
// than asked for, and its name is gone when Open returns, however it returns.
//
// ctx bounds joining only, every step of it; its values stay visible in
// [Conn.Context]. Without a deadline in ctx joining is bounded to 5 seconds,
// because common switches never answer when they refuse a port.
//
// The error is a [*net.OpError] that names the step, the path and what would
// help, and matches one of [ErrNoSwitch], [ErrNotSwitch], [ErrControlDenied],
// [ErrDataDenied], [ErrConnectBackDenied], [ErrPortRefused], [ErrSwitchFull],
// [ErrNoPortGroup], [ErrPathTooLong], [errors.ErrUnsupported], [syscall.EINVAL]
// for a malformed locator, or the error of ctx.
func Open(ctx context.Context, vnl string, opts ...Option) (*Conn, error) {
	c, err := open(ctx, vnl, opts)
	if err != nil {
		return nil, &net.OpError{Op: "open", Net: network, Addr: portAddr(vnl), Err: err}
	}
	return c, nil
}

func open(ctx context.Context, vnl string, opts []Option) (*Conn, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	loc, err := parseLocator(vnl)
	if err != nil {
		return nil, err
	}
	if loc.mode != 0 {
		cfg.mode = loc.mode
	}
	if loc.group != "" {
		cfg.group = loc.group
	}
	if loc.portGroup == "" && cfg.port != 0 {
		// As in libvdeplug a number given here means what it means in the VNL.
		loc.port = wire.Port(cfg.port)
		loc.portGroup = strconv.Itoa(max(cfg.port, 0))
	}
	joining := ctx
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		joining, cancel = context.WithTimeout(ctx, joinTimeout)
		defer cancel()
	}
	j, err := join(joining, loc, &cfg)
	if err != nil {
		return nil, err
	}
	if vnl == "" {
		vnl = "vde://" + j.dir
	}
	if cfg.reconnect != nil {
		return j.reconnecting(ctx, vnl, &cfg, func(ctx context.Context) (*joined, error) { return join(ctx, loc, &cfg) }), nil
	}
	return j.conn(ctx, vnl, &cfg), nil
}

// Locate returns the control directories that [Open] would try for vnl, in this
// order, at least one. It looks up default networks and locator files, but not
// whether there is a switch. The error is that of Open.
func Locate(vnl string) (dirs []string, err error) {
	loc, err := parseLocator(vnl)
	if err != nil {
		return nil, &net.OpError{Op: "locate", Net: network, Addr: portAddr(vnl), Err: err}
	}
	return loc.dirs, nil
}

// fullDescription is the description as it is sent.
func (c *config) fullDescription() string {
	name := strconv.Itoa(os.Geteuid())
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username
	}
	return wire.Description(c.description, name, os.Getpid(), os.Getenv("SSH_CLIENT"))
}
