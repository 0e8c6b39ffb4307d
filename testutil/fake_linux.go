// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testutil

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const fakeSupported = true

// fakeControl runs f on c's descriptor and returns f's error.
func fakeControl(c syscall.Conn, f func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var ferr error
	if err := raw.Control(func(fd uintptr) { ferr = f(int(fd)) }); err != nil {
		return err
	}
	return ferr
}

// fakeSocket returns a datagram socket with no name and no peer.
func fakeSocket() (*net.UnixConn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	f := os.NewFile(uintptr(fd), "fake data socket")
	defer f.Close() // FilePacketConn has a duplicate
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	return pc.(*net.UnixConn), nil
}

func fakeConnect(sock *net.UnixConn, path string) error {
	return fakeControl(sock, func(fd int) error {
		return os.NewSyscallError("connect", unix.Connect(fd, &unix.SockaddrUnix{Name: path}))
	})
}

// fakeBind names the socket. The mode is set on the unbound socket, so that
// the name never exists with another.
func fakeBind(sock *net.UnixConn, path string, mode fs.FileMode) error {
	return fakeControl(sock, func(fd int) error {
		if err := unix.Fchmod(fd, uint32(mode.Perm())); err != nil {
			return os.NewSyscallError("fchmod", err)
		}
		return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	})
}

// fakeSendTo sends one datagram without waiting, to path, or to the socket's
// peer if path is empty.
func fakeSendTo(sock *net.UnixConn, b []byte, path string) error {
	return fakeControl(sock, func(fd int) error {
		var to unix.Sockaddr
		if path != "" {
			to = &unix.SockaddrUnix{Name: path}
		}
		for {
			err := unix.Sendmsg(fd, b, nil, to, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if err != unix.EINTR {
				return os.NewSyscallError("sendmsg", err)
			}
		}
	})
}

// fakeTryRecv receives one datagram without waiting.
func fakeTryRecv(sock *net.UnixConn, buf []byte) (n int, err error) {
	err = fakeControl(sock, func(fd int) error {
		for {
			n, _, err = unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return os.NewSyscallError("recvfrom", err)
			}
		}
	})
	return max(n, 0), err
}

// fakeIsFull reports whether err says that a call would have had to wait.
func fakeIsFull(err error) bool {
	return errors.Is(err, unix.EAGAIN)
}

// fakeIsConnected reports whether err is that of sending from a foreign socket to
// a client that is connected to its switch: the operation is not permitted, or the
// name is not found, because a client removes its name once it has joined.
func fakeIsConnected(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOENT)
}

// fakeUnread returns how much of what was written to c its peer has not read,
// in the kernel's own measure; 0 means nothing.
func fakeUnread(c *net.UnixConn) (n int, err error) {
	err = fakeControl(c, func(fd int) error {
		n, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return os.NewSyscallError("ioctl", err)
	})
	return n, err
}

func fakePeerCred(c *net.UnixConn) (pid, uid, gid int, err error) {
	err = fakeControl(c, func(fd int) error {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return os.NewSyscallError("getsockopt", err)
		}
		pid, uid, gid = int(cred.Pid), int(cred.Uid), int(cred.Gid)
		return nil
	})
	return pid, uid, gid, err
}

func fakeOwner(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

var fakeFillers atomic.Int64

// fakeFillBacklog shrinks l's backlog and connects to it until the kernel
// refuses. release closes those connections.
func fakeFillBacklog(l *net.UnixListener) (release func(), err error) {
	var fds []int
	release = func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
		fds = nil
	}
	if err := fakeListen(l, 0); err != nil {
		return release, err
	}
	to := &unix.SockaddrUnix{Name: l.Addr().String()}
	for {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			release()
			return release, os.NewSyscallError("socket", err)
		}
		// Named, so that accept can tell them from clients.
		name := fmt.Sprintf("%s%d-%d", fakeFillerPrefix, os.Getpid(), fakeFillers.Add(1))
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: name})
		if err == nil {
			err = unix.Connect(fd, to)
		}
		switch err {
		case nil:
			fds = append(fds, fd)
		case unix.EAGAIN:
			unix.Close(fd)
			return release, nil
		default:
			unix.Close(fd)
			release()
			return release, os.NewSyscallError("connect", err)
		}
	}
}

// fakeRestoreBacklog undoes what fakeFillBacklog did to l.
func fakeRestoreBacklog(l *net.UnixListener) error {
	return fakeListen(l, unix.SOMAXCONN)
}

func fakeListen(l *net.UnixListener, backlog int) error {
	return fakeControl(l, func(fd int) error {
		return os.NewSyscallError("listen", unix.Listen(fd, backlog))
	})
}
