// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tapio

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/deadline"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
)

// A Link is the descriptor of a device as a [link.Link].
//
// The kernel takes each frame at once, unless [Options.WriteBuffer] limits it, so
// Send rarely waits. The link ends when the interface is removed.
type Link struct {
	dev     Device
	address string
	file    *os.File
	raw     syscall.RawConn
	watch   *Watch // nil if the system does not allow it

	mu      sync.Mutex    // orders deadline changes against the end and Close
	closed  atomic.Bool   // written with mu held, before the descriptor is closed
	ended   atomic.Bool   // written with mu held, after cause
	cause   error         // written before done is closed
	done    chan struct{} // closed when the interface was removed
	running sync.WaitGroup

	rx  receiver
	tx  sender // sends that wait
	try sender // sends that do not wait, apart so that they never queue behind one that does

	resolver gso.Resolver
	counters func() link.Counters // made once, because Caps is called for each send with metadata
	down     error                // of a send while the interface is down
}

var _ link.Link = (*Link)(nil)

// New takes ownership of the descriptor fd, which is attached to d, and of w, which
// may be nil. address is the locator of the link. On failure both are closed.
func New(fd int, d Device, address string, w *Watch) (*Link, error) {
	l := &Link{dev: d, address: address, watch: w, done: make(chan struct{})}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		w.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	l.file = os.NewFile(uintptr(fd), d.Name)
	// Registration with the poller can fail without a word.
	err := l.file.SetDeadline(time.Time{})
	if err == nil {
		l.raw, err = l.file.SyscallConn()
	}
	if err != nil {
		l.file.Close()
		w.Close()
		return nil, fmt.Errorf("device %s cannot be polled: %w", d.Name, err)
	}
	l.rx.init(d.Headers)
	l.tx.init(d.Headers)
	l.try.init(d.Headers)
	l.counters = l.count
	l.down = fmt.Errorf("interface %s is down, set it up with: ip link set dev %s up: %w", d.Name, d.Name, os.NewSyscallError("writev", unix.EIO))
	l.resolver.Source = func(bufs [][]byte, sizes []int, headers []frame.VNetHeader, wait bool) (int, error) {
		return l.receive(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers, USO: true, NoWait: !wait})
	}
	if w != nil {
		l.running.Go(l.await)
	}
	return l, nil
}

// await waits for the removal of the interface.
func (l *Link) await() {
	for !l.ended.Load() && l.watch.wait() == nil {
		l.checkRemoved()
	}
}

// checkRemoved ends the link if the interface was removed, and reports whether it
// has ended.
func (l *Link) checkRemoved() bool {
	var err error
	if l.raw.Control(func(fd uintptr) { _, _, err = FD(fd).Interface() }) != nil {
		return l.ended.Load()
	}
	if errors.Is(err, unix.EBADFD) || errors.Is(err, unix.ENOLINK) {
		l.end(err)
	}
	return l.ended.Load()
}

// end notes that the interface was removed; err is how that was found.
func (l *Link) end(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended.Load() || l.closed.Load() {
		return
	}
	l.cause = fmt.Errorf("%w: interface %s was removed: %w", link.ErrHangup, l.dev.Name, err)
	l.ended.Store(true)
	close(l.done)
	_ = l.file.SetDeadline(deadline.Past()) // wakes every call
}

// Recv implements [link.Link].
func (l *Link) Recv(r link.Rx) (n int, err error) {
	switch {
	case !l.dev.Headers:
		return l.receive(r)
	case r.Headers == nil:
		return l.resolver.Recv(r.Bufs, r.Sizes, !r.NoWait)
	case l.resolver.Pending():
		clear(r.Headers[:len(r.Bufs)]) // kept frames are ordinary
		return l.resolver.Recv(r.Bufs, r.Sizes, false)
	}
	return l.receive(r)
}

// receive is Recv for a caller that takes what the kernel gives.
func (l *Link) receive(r link.Rx) (n int, err error) {
	want := min(len(r.Bufs), len(r.Sizes))
	if want == 0 {
		return 0, nil
	}
	rx := &l.rx
	rx.mu.Lock()
	defer rx.mu.Unlock()
	if l.closed.Load() {
		return 0, net.ErrClosed
	}
	rx.begin(r, want)
	defer rx.forget()
	switch {
	case rx.n > 0:
		return rx.n, nil // segments that were left
	case l.ended.Load():
		return 0, l.cause
	case r.NoWait:
		err = l.raw.Control(rx.once)
	default:
		err = l.raw.Read(rx.step)
	}
	switch {
	case err != nil:
		return 0, l.waitError(err)
	case rx.errno == unix.EAGAIN:
		return 0, link.ErrEmpty
	case rx.errno != 0:
		return 0, l.failure("readv", rx.errno)
	}
	return rx.n, nil
}

// waitError returns what a failure of the poller means.
func (l *Link) waitError(err error) error {
	switch {
	case l.closed.Load():
		return net.ErrClosed
	case l.ended.Load():
		return l.cause
	case errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case l.checkRemoved(): // the poller has seen an error on the descriptor
		return l.cause
	}
	return err
}

// failure returns what a failure of a system call means.
func (l *Link) failure(call string, errno unix.Errno) error {
	switch errno {
	case unix.EBADFD, unix.ENOLINK:
		l.end(os.NewSyscallError(call, errno))
		if !l.ended.Load() {
			return net.ErrClosed
		}
		return l.cause
	case unix.EIO:
		return l.down
	}
	return os.NewSyscallError(call, errno)
}

// Send implements [link.Link]. While the interface is down, the kernel refuses every
// frame: the error matches [syscall.EIO] and says what would help.
func (l *Link) Send(tx link.Tx) (n, calls int, err error) {
	t := &l.tx
	if tx.NoWait {
		t = &l.try
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case l.closed.Load():
		return 0, 0, net.ErrClosed
	case l.ended.Load():
		return 0, 0, l.cause
	case tx.Len() == 0:
		return 0, 0, nil
	}
	t.begin(tx)
	defer t.forget()
	if tx.NoWait {
		err = l.raw.Control(t.once)
	} else {
		err = l.raw.Write(t.step)
	}
	switch {
	case err != nil:
		err = l.waitError(err)
	case t.errno == unix.EAGAIN:
		err = link.ErrFull
	case t.errno != 0:
		err = l.failure("writev", t.errno)
	}
	return t.next, t.next, err
}

// AwaitRoom implements [link.Link].
func (l *Link) AwaitRoom() error {
	if l.closed.Load() {
		return net.ErrClosed
	}
	if err := l.raw.Write(roomy); err != nil {
		return l.waitError(err)
	}
	return nil
}

// roomy reports whether the kernel takes frames from fd, or fails to.
func roomy(fd uintptr) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil && err != unix.EINTR
}

// SetReadDeadline implements [link.Link].
func (l *Link) SetReadDeadline(t time.Time) error { return l.setDeadline(l.file.SetReadDeadline, t) }

// SetWriteDeadline implements [link.Link].
func (l *Link) SetWriteDeadline(t time.Time) error {
	return l.setDeadline(l.file.SetWriteDeadline, t)
}

func (l *Link) setDeadline(set func(time.Time) error, t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed.Load():
		return net.ErrClosed
	case l.ended.Load():
		return nil
	}
	return set(t)
}

// Done implements [link.Link].
func (l *Link) Done() <-chan struct{} { return l.done }

// Err implements [link.Link].
func (l *Link) Err() error {
	if !l.ended.Load() {
		return nil
	}
	return l.cause
}

// Close implements [link.Link]. An interface that is not persistent is gone when it
// returns.
func (l *Link) Close() (unread int, err error) {
	l.mu.Lock()
	if l.closed.Swap(true) {
		l.mu.Unlock()
		return 0, nil
	}
	// A receive that waits lets go of rx; one that has frames returns them.
	_ = l.file.SetReadDeadline(deadline.Past())
	l.mu.Unlock()
	l.rx.mu.Lock()
	_ = l.raw.Control(func(fd uintptr) {
		unread = l.rx.discard(fd)
		if l.dev.Headers && l.dev.Persistent && !l.dev.MultiQueue {
			// The next user may not know of headers, and the kernel does not
			// forget the setting.
			_ = FD(fd).SetOffload(0)
		}
	})
	l.rx.mu.Unlock()
	unread += l.resolver.Close()
	err = l.file.Close()
	l.watch.Close()
	l.running.Wait()
	return unread, err
}

// Caps implements [link.Link].
func (l *Link) Caps() link.Caps {
	return link.Caps{Address: l.address, Offload: l.dev.Offload, Counters: l.counters}
}

func (l *Link) count() link.Counters { return link.Counters{Discarded: uint64(l.resolver.Late())} }
