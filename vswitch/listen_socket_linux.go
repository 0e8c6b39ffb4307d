// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/sockfile"
)

// A socketListener is what ListenSocket returns.
type socketListener struct {
	*net.UnixListener
	dir   *controlDir
	path  string
	owner bool // only the owner and root are let in

	close func() error
}

func listenSocket(path string, mode fs.FileMode, group string) (_ net.Listener, err error) {
	d := &controlDir{mode: mode.Perm(), keep: true}
	if d.mode == 0 {
		d.mode = 0o600
	}
	if err := d.setGroup(group); err != nil {
		return nil, err
	}
	dir, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return nil, &fs.PathError{Op: "listen", Path: path, Err: errors.New("name a socket in a directory")}
	}
	if d.path, err = resolveDir(dir); err != nil {
		return nil, err
	}
	if d.dir, err = sockfile.OpenDir(d.path); err != nil {
		return nil, err
	}
	l, err := d.listener(name)
	if err != nil {
		return nil, errors.Join(err, d.remove(), d.close())
	}
	return l, nil
}

// listener listens at name.
func (d *controlDir) listener(name string) (*socketListener, error) {
	unlock := d.lock()
	defer unlock()
	if err := d.listenOn(name, ""); err != nil {
		return nil, err
	}
	plain, err := net.FileListener(d.sockets[0].file)
	if err != nil {
		return nil, err
	}
	l := &socketListener{UnixListener: plain.(*net.UnixListener), dir: d, path: d.path + "/" + name, owner: d.mode&0o077 == 0}
	l.close = sync.OnceValue(func() error {
		err := d.remove() // its name first, and those that wait for accept
		return errors.Join(l.UnixListener.Close(), err, d.close())
	})
	return l, nil
}

// Addr returns the address by which the socket is found.
func (l *socketListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close removes the socket and ends Accept. It can be called more than once.
func (l *socketListener) Close() error { return l.close() }

// Accept returns the next connection of somebody who may have one.
func (l *socketListener) Accept() (net.Conn, error) {
	for {
		c, err := l.UnixListener.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if !l.owner || ownPeer(c) {
			return c, nil
		}
		c.Close()
	}
}

// ownPeer reports whether c was made by a process of this process's user or of root.
func ownPeer(c *net.UnixConn) (own bool) {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		own = err == nil && (cred.Uid == 0 || int(cred.Uid) == os.Geteuid())
	})
	return err == nil && own
}
