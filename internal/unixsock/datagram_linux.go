// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package unixsock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
)

// A DatagramConfig describes one end of a pair of datagram sockets.
type DatagramConfig struct {
	Address string // of the link, as a locator

	// Local is the path to bind to. If it is empty, the kernel gives an abstract
	// name.
	Local      string
	Permission Permission

	// Remote is the path of the peer. If it is empty, the peer is who sends first.
	Remote string

	// MustExist has Connect fail if nobody is at Remote, instead of waiting.
	MustExist bool

	WriteBuffer int    // size of the queue in bytes; 0: what vfkit asks for
	Greeting    []byte // to send first
	Skip        func(b []byte) bool
	EmptyEnds   bool
}

// The sizes of the queues that vfkit asks for. The kernel may give less.
const (
	datagramWriteBuffer = 1 << 20
	datagramReadBuffer  = 4 << 20
)

// An Unconnected is a datagram socket that is bound and has no peer yet.
type Unconnected struct {
	cfg     DatagramConfig
	fd      int
	name    *Name // nil if it is abstract
	foreign int   // datagrams from others than the peer
}

// BindDatagram binds a datagram socket.
func BindDatagram(cfg DatagramConfig) (*Unconnected, error) {
	fd, err := Socket(unix.SOCK_DGRAM)
	if err != nil {
		return nil, err
	}
	u := &Unconnected{cfg: cfg, fd: fd}
	if cfg.Local == "" {
		err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{}))
	} else {
		u.name, err = Bind(fd, unix.SOCK_DGRAM, cfg.Local, cfg.Permission)
	}
	if err == nil {
		err = u.setBuffers()
	}
	if err != nil {
		u.Close()
		return nil, err
	}
	return u, nil
}

func (u *Unconnected) setBuffers() error {
	n := u.cfg.WriteBuffer
	if n == 0 {
		n = datagramWriteBuffer
	}
	return os.NewSyscallError("setsockopt", errors.Join(
		unix.SetsockoptInt(u.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n),
		unix.SetsockoptInt(u.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, datagramReadBuffer)))
}

// Close closes the socket and removes its name.
func (u *Unconnected) Close() {
	if u.name != nil {
		u.name.Remove()
	}
	unix.Close(u.fd)
}

// The pauses between looks for the peer. What it sends ends a pause.
const (
	minLook = 5 * time.Millisecond
	maxLook = 500 * time.Millisecond
)

// Connect waits for the peer and returns the link to it. u is closed on failure and
// the link's otherwise.
func (u *Unconnected) Connect(ctx context.Context) (link.Link, error) {
	remote, err := u.await(ctx)
	if err != nil {
		u.Close()
		return nil, err
	}
	cfg := Config{
		Address: u.cfg.Address, Skip: u.cfg.Skip, EmptyEnds: u.cfg.EmptyEnds,
		BeforeConnect: u.queued(remote.path), Foreign: u.foreign, Alive: remote.alive,
	}
	if u.name != nil {
		cfg.OnEnd = u.name.Remove
	}
	if len(u.cfg.Greeting) > 0 {
		_ = unix.Send(u.fd, u.cfg.Greeting, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) // the first frame finds out what is wrong
	}
	l, err := NewLink(u.fd, cfg)
	if err != nil {
		if u.name != nil {
			u.name.Remove()
		}
		return nil, err
	}
	return l, nil
}

// await connects to the peer as soon as it is there.
func (u *Unconnected) await(ctx context.Context) (peer, error) {
	w, err := NewWatcher(u.fd, unix.EPOLLIN, u.cfg.Address)
	if err != nil {
		return peer{}, err
	}
	defer w.Close()
	defer context.AfterFunc(ctx, w.Close)()
	for pause := minLook; ; pause = min(2*pause, maxLook) {
		if ctx.Err() != nil {
			return peer{}, context.Cause(ctx)
		}
		path, readable := u.cfg.Remote, u.first()
		if path == "" {
			path = readable
		}
		if path != "" {
			p := newPeer(path)
			err := unix.Connect(u.fd, &unix.SockaddrUnix{Name: path})
			gone := err == unix.ENOENT || err == unix.ECONNREFUSED
			switch {
			case err == nil:
				return p, nil
			case !gone && err != unix.EPERM && err != unix.EINTR: // EPERM: it is connected to another
				if u.cfg.Remote != "" {
					return peer{}, fmt.Errorf("connect %s: %w", path, err)
				}
			case gone && u.cfg.MustExist:
				return peer{}, fmt.Errorf("connect %s: %w", path, err)
			}
			if u.cfg.Remote == "" {
				u.drop() // nobody can answer it
				continue
			}
		}
		if readable != "" {
			// The peer is there, and cannot be connected to yet.
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
			}
			continue
		}
		_ = w.Wait(time.Now().Add(pause))
	}
}

// first returns who has sent the first datagram in the queue, if that may be the
// peer. Those of others are dropped. It is empty if there is none.
func (u *Unconnected) first() (from string) {
	for {
		_, sa, err := unix.Recvfrom(u.fd, nil, unix.MSG_PEEK|unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return ""
		}
		if from = nameOf(sa); from != "" && (u.cfg.Remote == "" || same(from, u.cfg.Remote)) {
			return from
		}
		u.drop()
	}
}

// drop drops the first datagram in the queue, which is not the peer's.
func (u *Unconnected) drop() {
	if _, _, err := unix.Recvfrom(u.fd, nil, unix.MSG_DONTWAIT); err == nil {
		u.foreign++
	}
}

// maxQueued is how many datagrams are taken from the queue of a socket that was just
// connected. From then on the kernel keeps others out.
const maxQueued = 4096

// queued takes what was sent before the socket was connected, and returns what the
// peer at path has sent.
func (u *Unconnected) queued(path string) (frames [][]byte) {
	buf := make([]byte, 1<<17)
	for range maxQueued {
		n, sa, err := unix.Recvfrom(u.fd, buf, unix.MSG_DONTWAIT)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			break
		}
		switch from := nameOf(sa); {
		case from == "" || from != path && !same(from, path):
			u.foreign++
		case u.cfg.Skip != nil && n <= 4 && u.cfg.Skip(buf[:n]):
		case n == 0 && u.cfg.EmptyEnds: // of one that was there before
			frames = nil
		default:
			frames = append(frames, append([]byte(nil), buf[:n]...))
		}
	}
	return frames
}

func nameOf(sa unix.Sockaddr) string {
	if u, ok := sa.(*unix.SockaddrUnix); ok {
		return u.Name
	}
	return ""
}

// same reports whether two paths lead to the same file.
func same(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := os.Stat(a)
	y, errY := os.Stat(b)
	return errX == nil && errY == nil && os.SameFile(x, y)
}

// A peer is a datagram socket that ours is connected to.
type peer struct {
	path string
	file os.FileInfo // nil if the name is abstract
}

func newPeer(path string) peer {
	p := peer{path: path}
	p.file, _ = os.Stat(path) // fails for an abstract name
	return p
}

// alive reports whether the peer is still there. One that has removed its name counts
// as gone: nobody else could find it either.
func (p peer) alive() bool {
	if p.file != nil {
		if now, err := os.Stat(p.path); err != nil || !os.SameFile(p.file, now) {
			return false
		}
	}
	fd, err := Socket(unix.SOCK_DGRAM)
	if err != nil {
		return true // who knows
	}
	defer unix.Close(fd)
	err = unix.Connect(fd, &unix.SockaddrUnix{Name: p.path})
	return err != unix.ECONNREFUSED && err != unix.ENOENT // EPERM: it is connected, to us
}
