// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
)

// A descriptor is a socket whose two directions wait on the runtime poller.
//
// A socket that is registered with an epoll instance makes the kernel run a
// callback for each datagram, in the sender's system call when it is queued and
// in the receiver's when it is taken, whether anybody waits or not. That costs
// an eighth of the rate of 64-byte frames, in C as in Go. So the socket itself
// is not registered: each direction has an epoll instance of its own, which the
// runtime poller watches, and which holds the socket only while it is worth it
// (see waiter).
type descriptor struct {
	fd     uintptr
	rx, tx waiter
}

// open takes ownership of the descriptor fd; on failure it is closed.
func (d *descriptor) open(fd int, name string) (err error) {
	defer func() {
		if err != nil {
			unix.Close(fd)
		}
	}()
	d.fd = uintptr(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	if err := d.rx.open(fd, unix.EPOLLIN, name); err != nil {
		return err
	}
	if err := d.tx.open(fd, unix.EPOLLOUT, name); err != nil {
		d.rx.file.Close()
		return err
	}
	return nil
}

// read calls try until it reports true. Before each further attempt it waits
// until there is something to read; without park it gives up instead.
func (d *descriptor) read(try func(fd uintptr) bool, park bool) error {
	return d.rx.wait(try, park)
}

// write is read with room in the queue.
func (d *descriptor) write(try func(fd uintptr) bool) error { return d.tx.wait(try, true) }

// hold calls f, with an argument that means nothing, and keeps d.fd open
// meanwhile.
func (d *descriptor) hold(f func(uintptr)) error { return d.rx.raw.Control(f) }

func (d *descriptor) setReadDeadline(t time.Time) error { return d.rx.file.SetReadDeadline(t) }

func (d *descriptor) setWriteDeadline(t time.Time) error { return d.tx.file.SetReadDeadline(t) }

// close wakes every call, waits until the last has returned, and closes the
// socket.
func (d *descriptor) close() error {
	// Closing these files waits for the calls in progress on them, and no other
	// call can use the socket.
	return errors.Join(d.rx.file.Close(), d.tx.file.Close(), transport.CloseSocket(int(d.fd)))
}

const (
	// A direction is hot after so many attempts in a row that did not wait.
	hotAfter = 16

	// While it is hot, so many attempts are made before it parks, each after a
	// pause of so many turns of a loop, about a microsecond: attempts in quicker
	// succession delay the other side, and find less. Together they
	// last some 25 microseconds, little more than parking and being woken. (Yielding
	// the processor instead looks better and is not: on a busy machine each yield
	// lasts a time slice, and a processor of the Go scheduler with it.)
	hotAttempts = 16
	hotPause    = 4000
)

// A waiter lets calls in one direction of a socket wait for the other side.
//
// It is cold or hot. Cold, the socket is in the epoll instance, and a call that
// has to wait parks at once. Hot, while traffic flows, the socket is outside
// and a call that has to wait tries a few times more before it puts the socket
// back and parks.
type waiter struct {
	fd     int
	events uint32
	epfd   int
	file   *os.File // epfd, on the runtime poller
	raw    syscall.RawConn
	step   func(uintptr) bool
	onPark func() // called before a call parks; nil if there is nothing to do

	mu      sync.Mutex // held for a whole wait; guards what follows
	try     func(fd uintptr) bool
	park    bool
	hot     bool
	streak  int // attempts in a row that did not wait, counted while cold
	failure error
}

func (w *waiter) open(fd int, events uint32, name string) error {
	w.fd, w.events = fd, events|unix.EPOLLET
	var err error
	if w.epfd, w.file, w.raw, err = newEpoll(name); err != nil {
		return err
	}
	if err = w.control(unix.EPOLL_CTL_ADD); err == nil {
		err = w.control(unix.EPOLL_CTL_DEL)
	}
	if err != nil {
		w.file.Close()
		return fmt.Errorf("descriptor cannot be polled: %w", err)
	}
	w.step = func(uintptr) bool { return w.attempt() }
	w.hot = true
	return nil
}

// newEpoll returns an epoll instance that the runtime poller watches.
func newEpoll(name string) (epfd int, file *os.File, raw syscall.RawConn, err error) {
	epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return 0, nil, nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(epfd, true); err != nil { // else os.NewFile does not register it
		unix.Close(epfd)
		return 0, nil, nil, os.NewSyscallError("fcntl", err)
	}
	file = os.NewFile(uintptr(epfd), name)
	// Registration with the poller can fail without a word; then every call
	// would block a thread and deadlines would be ignored. Asking is cheap.
	if err = file.SetDeadline(time.Time{}); err == nil {
		raw, err = file.SyscallConn()
	}
	if err != nil {
		file.Close()
		return 0, nil, nil, fmt.Errorf("descriptor cannot be polled: %w", err)
	}
	return epfd, file, raw, nil
}

// control puts the socket into the epoll instance or takes it out.
func (w *waiter) control(op int) error {
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(w.epfd, op, w.fd, &unix.EpollEvent{Events: w.events}))
}

func (w *waiter) wait(try func(fd uintptr) bool, park bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.try, w.park, w.failure = try, park, nil
	err := w.raw.Read(w.step)
	w.try = nil
	if w.failure != nil {
		return w.failure
	}
	return err
}

// attempt reports whether the wait is over; false parks the caller until the
// poller sees the socket become ready.
func (w *waiter) attempt() bool {
	if w.try(uintptr(w.fd)) {
		w.went()
		return true
	}
	if w.hot && w.insist() {
		return true
	}
	w.streak = 0
	if !w.park {
		return true
	}
	if !w.hot {
		w.parking()
		return false
	}
	// From here on a change is noticed: what came before is found by trying
	// again, or by the registration itself.
	if w.failure = w.control(unix.EPOLL_CTL_ADD); w.failure != nil {
		return true // and still outside: to park would be for ever
	}
	w.hot = false
	if w.try(uintptr(w.fd)) {
		return true
	}
	w.parking()
	return false
}

func (w *waiter) parking() {
	if w.onPark != nil {
		w.onPark()
	}
}

// insist tries a few times more.
func (w *waiter) insist() bool {
	for range hotAttempts {
		for range hotPause {
		}
		if w.try(uintptr(w.fd)) {
			return true
		}
	}
	return false
}

// went notes an attempt that did not wait.
func (w *waiter) went() {
	if w.hot {
		return
	}
	if w.streak++; w.streak == hotAfter {
		w.streak = 0
		w.hot = w.control(unix.EPOLL_CTL_DEL) == nil
	}
}
