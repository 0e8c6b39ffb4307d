// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"errors"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/deadline"
)

// A poller tells which of many sockets can be read. A connection that waits in it
// has no goroutine.
type poller struct {
	file *os.File // the epoll instance, which waits on the runtime poller
	raw  syscall.RawConn
	fd   int // of file
}

func newPoller() (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{file: os.NewFile(uintptr(fd), "epoll"), fd: fd}
	p.raw, err = p.file.SyscallConn()
	if err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // registration with the runtime poller can fail without a word
	}
	if err != nil {
		p.file.Close()
		return nil, err
	}
	return p, nil
}

// watch has wait return fd, once, when it can be read or its peer is gone. again
// is for a descriptor that was watched before.
func (p *poller) watch(fd int, again bool) error {
	op := unix.EPOLL_CTL_ADD
	if again {
		op = unix.EPOLL_CTL_MOD
	}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, op, fd, &unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd),
	}))
}

// forget ends watching fd.
func (p *poller) forget(fd int) { _ = unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil) }

// wait waits for sockets, until the time of setAlarm or wake.
func (p *poller) wait(events []unix.EpollEvent) (n int, err error) {
	e := p.raw.Read(func(fd uintptr) bool {
		n, err = unix.EpollWait(int(fd), events, 0)
		return n > 0 || err != nil && err != unix.EINTR
	})
	if e != nil {
		return 0, e
	}
	return n, os.NewSyscallError("epoll_wait", err)
}

func (p *poller) setAlarm(t time.Time) { _ = p.file.SetReadDeadline(t) }

func (p *poller) wake() { p.setAlarm(deadline.Past()) }

func (p *poller) close() { p.file.Close() }

// newPending makes the places of pending connections.
func (l *Listener) newPending() (err error) {
	if l.poller, err = newPoller(); err != nil {
		return err
	}
	l.pending = &pendingConns{
		limit:    placeLimit(l.sw.cfg.MaxPending),
		watch:    l.poller.watch,
		setAlarm: l.poller.setAlarm,
		start:    func(p *pendingConn) { l.running.Go(func() { l.serve(p) }) },
		closed:   l.rejected,
		byFD:     make(map[int]*pendingConn), users: make(map[uint32]*pendingUser),
	}
	return nil
}

// poll has the pending connections read from which something has come, in the order
// in which it came.
func (l *Listener) poll() {
	var events [64]unix.EpollEvent
	for {
		n, err := l.poller.wait(events[:])
		for _, e := range events[:n] {
			l.pending.came(int(e.Fd))
		}
		if err == nil {
			continue
		}
		select {
		case <-l.ending:
			return
		default:
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			l.sw.cfg.Logger.Error("cannot wait for requests", "dir", l.dir.path, "error", err)
			return
		}
		for _, p := range l.pending.expire(time.Now()) {
			l.rejected(p, errSilent)
		}
	}
}
