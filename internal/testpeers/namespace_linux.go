// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// threadNetNS opens the network namespace of the calling thread, which must be locked.
func threadNetNS() (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid()))
}

// newNetNS makes a network namespace and returns its file.
func newNetNS() (ns *os.File, err error) {
	err = (&Namespace{}).Do(func() (err error) {
		// Do has no namespace to enter, but a thread that it throws away unless its namespace is restored.
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("unshare", err)
		}
		ns, err = threadNetNS()
		return err
	})
	return ns, err
}

// enterNetNS runs f on this goroutine's thread, inside ns if that is not nil. The caller's goroutine is made for
// the purpose and ends with this call: if the thread cannot be brought back to the namespace it came from, it
// stays locked, so that the Go runtime lets it die instead of running other goroutines in it.
func enterNetNS(ns *os.File, f func() error) (err error) {
	runtime.LockOSThread()
	home, err := threadNetNS()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()
	defer func() {
		if e := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); e != nil {
			err = errors.Join(err, os.NewSyscallError("setns back", e))
			return
		}
		runtime.UnlockOSThread()
	}()
	if ns != nil {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return os.NewSyscallError("setns", err)
		}
	}
	return f()
}

// sysctl writes a setting of the namespace; the kernel resolves /proc/sys/net for the thread that opens it.
func (n *Namespace) sysctl(key, value string) error {
	return n.Do(func() error { return os.WriteFile(filepath.Join("/proc/sys", key), []byte(value), 0o644) })
}

// A linkWatch tells when an interface is up and has carrier.
type linkWatch struct {
	name   string
	events *os.File // netlink: something about some link has changed
	query  int      // a socket of the namespace, to ask for flags
}

// watchLink starts to watch: changes that happen from now on are seen.
func watchLink(n *Namespace, name string) (*linkWatch, error) {
	w := &linkWatch{name: name, query: -1}
	err := n.Do(func() error {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		w.events = os.NewFile(uintptr(fd), "netlink")
		if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
			return os.NewSyscallError("bind", err)
		}
		w.query, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return os.NewSyscallError("socket", err)
	})
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

func (w *linkWatch) close() {
	if w.events != nil {
		w.events.Close()
	}
	if w.query >= 0 {
		unix.Close(w.query)
	}
}

// waitRunning waits until the interface is running: up, and with a process at the other end of the tap.
func (w *linkWatch) waitRunning(ctx context.Context) error {
	ifr, err := unix.NewIfreq(w.name)
	if err != nil {
		return err
	}
	defer deadlineOnDone(ctx, w.events)()
	buf := make([]byte, 32<<10)
	for {
		if err := unix.IoctlIfreq(w.query, unix.SIOCGIFFLAGS, ifr); err != nil {
			return os.NewSyscallError("SIOCGIFFLAGS", err)
		}
		if ifr.Uint16()&unix.IFF_RUNNING != 0 {
			return nil
		}
		// What the event says does not matter: the flags above are the truth. A queue that overflowed
		// (ENOBUFS) is an event too.
		if _, err := w.events.Read(buf); err != nil && !errors.Is(err, unix.ENOBUFS) {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
	}
}
