// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/unixsock"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// dialTimeout bounds connecting when ctx has no deadline.
const dialTimeout = 5 * time.Second

// An opener opens the links of one locator.
type opener struct {
	address
	locator  string
	scheme   string
	kind     int // of unix sockets
	settings link.Settings
	onVPNKit func(VPNKit) // may be nil
}

func (d Driver) open(ctx context.Context, l vnl.Locator, a address, s link.Settings) (link.Link, error) {
	o := opener{address: a, locator: l.String(), scheme: l.Scheme, kind: unix.SOCK_STREAM, settings: s, onVPNKit: d.OnVPNKit}
	if o.scheme == "bess" {
		o.kind = unix.SOCK_SEQPACKET
	}
	switch {
	case o.scheme == "dgram":
		return o.datagrams(ctx)
	case o.server:
		return o.listen(ctx)
	case o.reconnect:
		return link.Redial(ctx, o.dial, link.RedialPolicy{MaxDelay: o.pause, MinDelay: min(o.pause, time.Second), FirstDial: true})
	}
	return o.dial(ctx)
}

// dial connects.
func (o opener) dial(ctx context.Context) (link.Link, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, dialTimeout)
		defer cancel()
	}
	fd, err := o.connect(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the %s socket %s: %w%s", o.scheme, o.remote, bare(err), remedy(err))
	}
	return o.link(ctx, fd)
}

// bare returns err without the operation and the address, which the error around it names.
func bare(err error) error {
	switch e := err.(type) {
	case *fs.PathError:
		return e.Err
	case *net.OpError:
		return e.Err
	}
	return err
}

// remedy returns what would help, if that is known.
func remedy(err error) string {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
		return " (start the other side first, or add [reconnect] to wait for it)"
	case errors.Is(err, unix.EPROTOTYPE):
		return " (the socket there is of another kind: is the scheme right?)"
	}
	return ""
}

func (o opener) connect(ctx context.Context) (fd int, err error) {
	if o.network == "tcp" {
		c, err := (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext(ctx, "tcp", o.remote)
		if err != nil {
			return -1, err
		}
		return detach(c)
	}
	if fd, err = unixsock.Socket(o.kind); err != nil {
		return -1, err
	}
	if err = unixsock.Connect(ctx, fd, o.remote); err != nil {
		unix.Close(fd)
	}
	return fd, err
}

// listen returns the link of a server.
func (o opener) listen(ctx context.Context) (link.Link, error) {
	cfg := unixsock.ServerConfig{
		Admit:   o.link,
		Address: o.locator,
	}
	var err error
	if o.network == "tcp" {
		var ln net.Listener
		lc := net.ListenConfig{KeepAliveConfig: keepAlive}
		ln, err = lc.Listen(ctx, "tcp", o.local)
		cfg.Listener = tcpListener{ln}
	} else {
		var fd int
		var name *unixsock.Name
		fd, name, err = unixsock.Listen(o.kind, o.local, unixsock.Permission{
			Mode: cmp.Or(o.mode, o.settings.SocketMode), Group: cmp.Or(o.group, o.settings.SocketGroup),
		})
		if err == nil {
			cfg.OnClose = name.Remove
			cfg.Admit = func(ctx context.Context, fd int) (link.Link, error) {
				if !name.Admits(fd) {
					unix.Close(fd)
					return nil, unix.EACCES
				}
				return o.link(ctx, fd)
			}
			if cfg.Listener, err = unixsock.NewListener(fd, o.local); err != nil {
				name.Remove()
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("listen at the %s socket %s: %w", o.scheme, o.local, bare(err))
	}
	return unixsock.Serve(ctx, cfg)
}

// link returns the link over the connection fd. ctx bounds the handshake, if there is
// one.
func (o opener) link(ctx context.Context, fd int) (_ link.Link, err error) {
	if n := o.settings.WriteBuffer; n > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("set the write buffer to %d bytes: %w", n, err)
		}
	}
	if o.network == "tcp" {
		// The kernel gives up a peer that does not acknowledge what was sent. It
		// fails only on systems that do not know it, which then take longer.
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(vanished/time.Millisecond))
	}
	if o.kind == unix.SOCK_SEQPACKET {
		return unixsock.NewLink(fd, unixsock.Config{Address: o.locator, Packets: true})
	}
	if o.vpnkit {
		if fd, err = o.handshake(ctx, fd); err != nil {
			return nil, err
		}
	}
	framing := sockio.QEMU
	if o.scheme == "hyperkit" {
		framing = sockio.Hyperkit
	}
	if o.superframes > 0 {
		framing = framing.Superframes(o.superframes)
	}
	transport.RefuseDescriptors(fd) // fails on what takes none, and on old kernels
	s, err := sockio.NewStream(fd, sockio.StreamConfig{Name: o.locator, Framing: framing})
	if err != nil {
		return nil, err
	}
	return transport.New(transport.Config{
		Stream: s.Control(), Transport: s, Address: o.locator, TakesPartial: o.superframes > 0,
	}), nil
}

// vanished is how long a peer on a network may be silent although it ought to
// answer: its machine may be gone without a word.
const vanished = 20 * time.Second

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: vanished / 4, Interval: vanished / 4, Count: 3}

// A tcpListener is a listener of package net as one of unixsock.
type tcpListener struct{ net.Listener }

// Accept implements [unixsock.Listener].
func (l tcpListener) Accept() (fd int, err error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return -1, err
	}
	return detach(c)
}

// detach returns a descriptor of c, which is closed.
func detach(c net.Conn) (fd int, err error) {
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return -1, err
	}
	if e := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); e != nil {
		return -1, e
	}
	return fd, err
}
