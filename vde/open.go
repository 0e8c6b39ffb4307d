// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/exec"
	"github.com/go-vde/sdk/links/macvtap"
	"github.com/go-vde/sdk/links/null"
	"github.com/go-vde/sdk/links/ptp"
	"github.com/go-vde/sdk/links/qemu"
	"github.com/go-vde/sdk/links/seqpacket"
	"github.com/go-vde/sdk/links/tap"
	"github.com/go-vde/sdk/links/udp"
	"github.com/go-vde/sdk/links/vdeplug"
	"github.com/go-vde/sdk/links/vxlan"
	"github.com/go-vde/sdk/links/vxvde"
	"github.com/go-vde/sdk/vnl"
)

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
// Other schemes open other links, without a switch between; the packages have the
// parameters:
//
//	tap://lan0                a tap device of the kernel: links/tap, links/macvtap
//	vxlan://HOST/vni=42       a VXLAN tunnel: links/vxlan
//	vxvde://                  a switch over multicast, without a server: links/vxvde
//	udp://20001->HOST:20001   a cable of UDP datagrams: links/udp
//	ptp:///run/cable          the other program that opens this: links/ptp
//	stream:///run/vm.sock     a virtual machine of QEMU and others: links/qemu
//	cmd://ssh server vde_plug a command that exchanges frames over its standard
//	                          streams: links/exec
//	seqpacket://3             an inherited descriptor: links/seqpacket
//	null://                   nothing: links/null
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
		return nil, locatorError("open", vnl, err)
	}
	return c, nil
}

// locatorError returns err, which does not say the locator, with it. The default network has
// none.
func locatorError(op, vnl string, err error) error {
	e := &net.OpError{Op: op, Net: network, Err: err}
	if vnl != "" {
		e.Addr = portAddr(vnl)
	}
	return e
}

func open(ctx context.Context, vnl string, opts []Option) (*Conn, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	l, loc, err := openLink(ctx, vnl, &cfg)
	if err != nil {
		return nil, err
	}
	if cfg.name = vnl; vnl == "" {
		cfg.name = cmp.Or(l.Caps().Address, loc.String())
	}
	return newConn(ctx, l, &cfg), nil
}

// OpenLink is [Open] for programs that use package link: it returns the link that a
// Conn would stand on, such as one for a port of a switch of their own. Options that
// are about a Conn have no effect. Errors are bare.
func OpenLink(ctx context.Context, vnl string, opts ...Option) (link.Link, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	l, _, err := openLink(ctx, vnl, &cfg)
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = fmt.Errorf("locator %q: %w", vnl, err)
	}
	return l, err
}

// openLink opens the link that text, a locator, names, and returns the locator that it
// was found to be.
func openLink(ctx context.Context, text string, cfg *config) (link.Link, vnl.Locator, error) {
	loc, from, err := systemPlaces().find(text)
	if err != nil {
		return nil, loc, err
	}
	mux := drivers.With(cfg.drivers)
	dial := func(ctx context.Context) (link.Link, error) {
		l, err := mux.Open(ctx, loc, cfg.Settings)
		if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
			err = fmt.Errorf("%s%w", from, err)
		}
		return l, err
	}
	var l link.Link
	if cfg.reconnect != nil {
		l, err = link.Redial(ctx, dial, *cfg.reconnect)
	} else {
		l, err = dial(ctx)
	}
	return l, loc, err
}

// drivers are those that Open knows by itself.
var drivers = link.Mux{
	"bess":      qemu.Driver{},
	"cmd":       exec.Driver{},
	"dgram":     qemu.Driver{},
	"hyperkit":  qemu.Driver{},
	"macvtap":   macvtap.Driver{},
	"null":      null.Driver{},
	"ptp":       ptp.Driver{},
	"seqpacket": seqpacket.Driver{},
	"stream":    qemu.Driver{},
	"tap":       tap.Driver{},
	"udp":       udp.Driver{},
	"vde":       vdeplug.Driver{},
	"vxlan":     vxlan.Driver{},
	"vxvde":     vxvde.Driver{},
}

// Locate returns the control directories that [Open] would try for vnl, in this
// order, at least one. It looks up default networks and locator files, but not
// whether there is a switch. The error is that of Open.
func Locate(vnl string) (dirs []string, err error) {
	loc, from, err := systemPlaces().find(vnl)
	if err == nil && loc.Scheme != "vde" {
		err = fmt.Errorf("scheme %q has no control directory: %w", loc.Scheme, errors.ErrUnsupported)
	}
	if err == nil {
		if dirs, err = vdeplug.Dirs(loc); err != nil {
			err = fmt.Errorf("%s%w", from, err)
		}
	}
	if err != nil {
		return nil, locatorError("locate", vnl, err)
	}
	return dirs, nil
}
