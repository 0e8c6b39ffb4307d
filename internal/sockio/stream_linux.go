// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// A Stream carries frames through a connected stream socket, as records of a
// [Framing], whole batches in one system call. The end of the stream is the end of the
// connection: see [Stream.Control].
//
// Receives are serialized with receives, and sends that wait with sends that
// wait; everything else may overlap.
type Stream struct {
	polled
	framing *Framing
	served  bool
	rx      streamReceiver
	tx      streamSender
	hangups hangupWatch

	counters func() link.Counters // made once, because Caps is called for each send with metadata
}

var (
	_ transport.Transport = (*Stream)(nil)
	_ transport.Control   = control{}
	_ link.Notifier       = (*Stream)(nil)
)

// A StreamConfig describes a [Stream].
type StreamConfig struct {
	Name string // for errors

	// Framing is that of both directions (default: that of docs/streams.md).
	Framing *Framing

	// Headers says that the default Framing is the one in which each record has a
	// virtio-net header, and that both sides take partial frames.
	Headers bool

	// Served makes the Stream a [link.Notifier] in its Caps.
	Served bool

	// First is sent before any frame.
	First []byte
}

// NewStream takes ownership of the descriptor fd, makes it non-blocking and lets
// its calls wait on the runtime poller. On failure fd is closed.
func NewStream(fd int, cfg StreamConfig) (*Stream, error) {
	s := &Stream{framing: cmp.Or(cfg.Framing, records), served: cfg.Served}
	if cfg.Framing == nil && cfg.Headers {
		s.framing = vnetRecords
	}
	if err := s.desc.open(fd, cfg.Name); err != nil {
		return nil, err
	}
	if err := s.hangups.open(fd, cfg.Name); err != nil {
		return nil, errors.Join(err, s.desc.close())
	}
	s.rx.init(s.desc.fd, s.framing)
	s.desc.rx.onPark = s.rx.release
	s.tx.init(s.desc.fd, s.framing, cfg.First)
	s.counters = func() link.Counters { return link.Counters{Unsent: s.tx.unsent.Load()} }
	return s, nil
}

// Close takes what the kernel still holds for this socket, so that the caller
// can account for it, closes the descriptor and wakes every call, which returns
// [net.ErrClosed]. unread is the number of frames thrown away. A frame of which
// only a part could be written is counted as unsent. Calls after the first return 0
// and nil.
func (s *Stream) Close() (unread int, err error) {
	if s.close() {
		return 0, nil
	}
	s.rx.mu.Lock()
	_ = s.desc.hold(func(uintptr) {
		// Once reading is shut down nobody can queue anything on a unix socket, so the
		// count is final.
		_ = unix.Shutdown(int(s.desc.fd), unix.SHUT_RD) // fails if a TCP connection has ended
		transport.Interrupted(func() { unread = s.rx.discard(s.desc.fd) })
	})
	s.rx.mu.Unlock()
	_ = s.desc.hold(func(uintptr) { s.tx.close() })
	return unread, errors.Join(s.hangups.close(), s.desc.close())
}

// Caps implements [transport.Transport].
func (s *Stream) Caps() link.Caps {
	c := link.Caps{Counters: s.counters}
	if s.framing.vnet {
		c.Offload = link.OffloadChecksum | link.OffloadTSO
	}
	if s.served {
		c.Notifier = s
	}
	return c
}

// Control returns the socket as the control stream of a connection: its end is
// that of the connection. Its Read never returns data. Its Close ends Read and
// leaves the rest to that of the Stream.
func (s *Stream) Control() transport.Control { return control{s} }

type control struct{ s *Stream }

func (c control) Read([]byte) (int, error) {
	if err := c.s.hangups.wait(); err != nil {
		return 0, c.s.translate(err)
	}
	var errno int
	_ = c.s.desc.hold(func(uintptr) { errno, _ = unix.GetsockoptInt(int(c.s.desc.fd), unix.SOL_SOCKET, unix.SO_ERROR) })
	if errno == 0 || errno == int(unix.ECONNRESET) {
		return 0, io.EOF
	}
	return 0, fmt.Errorf("%w: %w", link.ErrHangup, unix.Errno(errno))
}

func (c control) Ended() (ended bool) {
	err := c.s.desc.hold(func(uintptr) { ended = hungUp(int(c.s.desc.fd)) })
	return ended || err != nil
}

func (c control) Shutdown() {
	_ = c.s.desc.hold(func(uintptr) { _ = unix.Shutdown(int(c.s.desc.fd), unix.SHUT_RDWR) }) // fails if closed, which ends it too
}

func (c control) Close() error { return c.s.hangups.close() }

// A hangupWatch tells when the other side has closed a stream, whether what it had
// sent was read or not: it is an epoll instance that is told of nothing else.
type hangupWatch struct {
	fd   int
	file *os.File // the instance, on the runtime poller
	raw  syscall.RawConn
}

func (w *hangupWatch) open(fd int, name string) (err error) {
	w.fd = fd
	var epfd int
	if epfd, w.file, w.raw, err = newEpoll(name); err != nil {
		return err
	}
	err = unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLRDHUP | unix.EPOLLET})
	if err != nil {
		w.file.Close()
		return fmt.Errorf("descriptor cannot be polled: %w", os.NewSyscallError("epoll_ctl", err))
	}
	return nil
}

// wait waits until the other side has closed.
func (w *hangupWatch) wait() error { return w.raw.Read(func(uintptr) bool { return hungUp(w.fd) }) }

// close ends wait. It is idempotent.
func (w *hangupWatch) close() error {
	if err := w.file.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// hungUp reports whether the other side of fd has closed.
func hungUp(fd int) bool { return polls(fd, unix.POLLRDHUP) }
