// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package ptp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/unixsock"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// An opener opens the links of one locator.
type opener struct {
	path     string
	locator  string
	settings link.Settings
}

// A role is what this side has become: the end of a connection that was taken, or the
// first or second comer of the datagram protocol.
type role struct {
	connected link.Link // nil for a datagram socket
	datagram  *unixsock.Unconnected
}

// link returns the link, having waited for the other side.
func (r role) link(ctx context.Context) (link.Link, error) {
	if r.connected != nil {
		return r.connected, nil
	}
	return r.datagram.Connect(ctx)
}

func open(ctx context.Context, l vnl.Locator, s link.Settings) (link.Link, error) {
	o := opener{path: l.Arg, locator: l.String(), settings: s}
	if unixsock.IsAbstract(o.path) {
		o.path = "./" + o.path // to libvdeplug it is a file
	}
	first, err := o.takeRole(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the cable %s: %w", o.path, err)
	}
	// One goroutine at a time calls dial, and calls it at least once.
	taken := &first
	dial := func(ctx context.Context) (link.Link, error) {
		r := taken
		if taken = nil; r == nil {
			again, err := o.takeRole(ctx)
			if err != nil {
				return nil, err
			}
			r = &again
		}
		return r.link(ctx)
	}
	return link.Redial(ctx, dial, link.RedialPolicy{MinDelay: time.Millisecond, MaxDelay: time.Second, FirstDial: true})
}

// openTime bounds what takes time without a deadline in ctx.
const openTime = 5 * time.Second

// attempts is how often a role is looked for again because another process has just
// changed what is at the path.
const attempts = 20

// takeRole finds out what is at the path, and takes the role that is left.
func (o opener) takeRole(ctx context.Context) (r role, err error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, openTime)
		defer cancel()
	}
	for i := range attempts {
		if i > 0 {
			timer := time.NewTimer(time.Duration(i) * time.Millisecond)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return r, context.Cause(ctx)
			}
		}
		r.connected, err = o.connect(ctx)
		switch {
		case err == nil:
			return r, nil
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ECONNREFUSED):
			// Nobody is there, or has only left a file.
			r.datagram, err = o.bind(o.path, o.path+"+", false)
		case errors.Is(err, unix.EPROTOTYPE):
			if err = o.datagramAt(); err == nil {
				if r.datagram, err = o.bind(o.path+"+", o.path, true); errors.Is(err, unixsock.ErrInUse) {
					return r, fmt.Errorf("two programs have it already: %w", err)
				}
			}
		default:
			return r, err
		}
		if err == nil || !errors.Is(err, unixsock.ErrInUse) && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ECONNREFUSED) {
			return r, err
		}
		dir, _ := filepath.Split(o.path)
		if _, e := os.Stat(cmp.Or(dir, ".")); e != nil {
			return r, e
		}
	}
	return r, err
}

// bind takes a role of the datagram protocol.
func (o opener) bind(local, remote string, second bool) (*unixsock.Unconnected, error) {
	return unixsock.BindDatagram(unixsock.DatagramConfig{
		Address: o.locator, Local: local, Remote: remote, MustExist: second, EmptyEnds: true,
		WriteBuffer: o.settings.WriteBuffer,
		Permission:  unixsock.Permission{Mode: o.settings.SocketMode, Group: o.settings.SocketGroup},
	})
}

// datagramAt returns nil if a datagram socket is bound to the path.
func (o opener) datagramAt() error {
	fd, err := unixsock.Socket(unix.SOCK_DGRAM)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	switch err := unix.Connect(fd, &unix.SockaddrUnix{Name: o.path}); err {
	case nil, unix.EPERM: // EPERM: it is connected to another
		return nil
	case unix.EPROTOTYPE:
		return fmt.Errorf("a socket that is not of this protocol is there: %w", err)
	default:
		return err
	}
}

// connect makes a connection of the later protocol.
func (o opener) connect(ctx context.Context) (link.Link, error) {
	fd, err := unixsock.Socket(unix.SOCK_SEQPACKET)
	if err != nil {
		return nil, err
	}
	if err = unixsock.Connect(ctx, fd, o.path); err == nil {
		err = greet(ctx, fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	return unixsock.NewLink(fd, unixsock.Config{Address: o.locator, Packets: true})
}

// greetTime is how long the other side may take to greet.
const greetTime = 2 * time.Second

// greet waits for the greeting on fd, which does not wait.
func greet(ctx context.Context, fd int) error {
	w, err := unixsock.NewWatcher(fd, unix.EPOLLIN, "greeting")
	if err != nil {
		return err
	}
	defer w.Close()
	defer context.AfterFunc(ctx, w.Close)()
	if err := w.Wait(time.Now().Add(greetTime)); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return fmt.Errorf("the other side does not greet: %w", err)
	}
	var b [1]byte
	n, err := unix.Read(fd, b[:])
	switch {
	case err != nil:
		return os.NewSyscallError("read", err)
	case n == 0:
		return fmt.Errorf("the other side closes without a greeting: %w", io.ErrUnexpectedEOF)
	}
	return greeting(b[0]).err()
}
