// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package transport

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// MaxDescriptors is the largest number of descriptors that a request or a reply
// carries.
const MaxDescriptors = 3

// RightsLen is a length of control messages that holds so many and a few more;
// the kernel closes what does not fit.
const RightsLen = 128

// A Stream is a control stream, a connected AF_UNIX stream socket on the runtime
// poller. Descriptors may come with what is read from it, and are kept.
//
// One goroutine reads at a time. Close wakes it, and it gets [net.ErrClosed].
type Stream struct {
	// NoDescriptors has the kernel throw away descriptors that the other side
	// sends. A descriptor may be of a file whose owner decides how long it
	// takes to read or even to close, so none is received from a peer who may
	// not offer anything.
	NoDescriptors bool

	file   *os.File
	fds    []int       // that came with what was read; owned
	closed atomic.Bool // Close has begun
}

// NewStream takes ownership of the descriptor fd, which is non-blocking, and
// closes it on failure. name is for errors.
func NewStream(fd int, name string) (*Stream, error) {
	f := os.NewFile(uintptr(fd), name)
	// Registration with the poller can fail without a word.
	if err := f.SetDeadline(time.Time{}); err != nil {
		f.Close()
		return nil, err
	}
	return &Stream{file: f}, nil
}

// Read implements [io.Reader].
func (s *Stream) Read(p []byte) (n int, err error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Read(func(fd uintptr) bool {
		n, err = s.readNow(int(fd), p)
		return err != unix.EAGAIN
	}); e != nil {
		n, err = 0, e
	}
	switch ended := n == 0 && len(p) > 0; {
	case ended && s.closed.Load(): // whatever the reader met
		err = net.ErrClosed
	case ended && err == nil:
		err = io.EOF
	}
	return n, err
}

// ReadAvailable reads what there is of p without waiting, whatever the deadline.
func (s *Stream) ReadAvailable(p []byte) (n int) {
	_ = s.control(func(fd int) {
		for n < len(p) {
			k, err := s.readNow(fd, p[n:])
			if err != nil || k == 0 {
				return
			}
			n += k
		}
	})
	return n
}

// readNow reads once and keeps the descriptors that came. EAGAIN is bare.
func (s *Stream) readNow(fd int, p []byte) (n int, err error) {
	n, s.fds, err = Receive(fd, p, s.fds, s.NoDescriptors)
	return n, err
}

// Receive reads once from fd, a control stream that is not a [Stream] yet, without
// waiting. Descriptors that came are appended to fds; those beyond MaxDescriptors
// in all are closed. With noDescriptors the kernel throws all away. EAGAIN is bare.
func Receive(fd int, p []byte, fds []int, noDescriptors bool) (n int, all []int, err error) {
	var space [RightsLen]byte
	oob := space[:]
	if noDescriptors {
		oob = nil
	}
	var oobn int
	for {
		Interrupted(func() {
			n, oobn, _, _, err = unix.Recvmsg(fd, p, oob, unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		})
		if err != unix.EINTR {
			break
		}
	}
	switch {
	case err == unix.EAGAIN:
		return 0, fds, err
	case err != nil:
		return 0, fds, os.NewSyscallError("recvmsg", err)
	}
	return n, AppendDescriptors(fds, oob[:oobn]), nil
}

// AppendDescriptors appends the descriptors in the control messages oob, which the caller
// now owns, to fds. Those beyond MaxDescriptors in all are closed.
func AppendDescriptors(fds []int, oob []byte) []int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fds
	}
	for _, m := range msgs {
		came, err := unix.ParseUnixRights(&m)
		if err != nil {
			continue // of another kind
		}
		n := min(len(came), MaxDescriptors-len(fds))
		fds = append(fds, came[:n]...)
		CloseDescriptors(came[n:])
	}
	return fds
}

// Descriptors hands over the descriptors that came.
func (s *Stream) Descriptors() (fds []int) {
	fds, s.fds = s.fds, nil
	return fds
}

// Write sends p in one piece, with copies of fds attached to its first byte.
func (s *Stream) Write(p []byte, fds []int) error {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	var n int
	if e := raw.Write(func(fd uintptr) bool {
		n, err = unix.SendmsgN(int(fd), p, rights, nil, unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT)
		return err != unix.EAGAIN && err != unix.EINTR
	}); e != nil {
		return e
	}
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	return os.NewSyscallError("sendmsg", err)
}

// SetDeadline bounds pending and later reads and writes.
func (s *Stream) SetDeadline(t time.Time) error { return s.file.SetDeadline(t) }

// SetReadDeadline bounds pending and later reads.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.file.SetReadDeadline(t) }

// Peer returns who is at the other end, as the kernel says.
func (s *Stream) Peer() (cred *unix.Ucred, err error) {
	e := s.control(func(fd int) { cred, err = unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if e != nil {
		return nil, e
	}
	return cred, os.NewSyscallError("getsockopt", err)
}

// InProcess reports whether that is this process.
func (s *Stream) InProcess() bool {
	cred, err := s.Peer()
	return err == nil && int(cred.Pid) == os.Getpid()
}

// Ended reports whether the other side has closed the stream, without reading.
func (s *Stream) Ended() bool {
	ended := false
	err := s.control(func(fd int) {
		var b [1]byte
		n, _, err := unix.Recvfrom(fd, b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		ended = n == 0 && err == nil || err != nil && err != unix.EAGAIN && err != unix.EINTR
	})
	return ended || err != nil
}

// PeerName returns the name of the other side's socket, empty if it has none.
func (s *Stream) PeerName() (name string) {
	_ = s.control(func(fd int) {
		if sa, err := unix.Getpeername(fd); err == nil {
			if sa, ok := sa.(*unix.SockaddrUnix); ok {
				name = sa.Name
			}
		}
	})
	return name
}

// Detach hands over the socket, as another descriptor. The stream is closed
// afterwards, and the connection goes on.
func (s *Stream) Detach() (fd int, err error) {
	e := s.control(func(old int) { fd, err = unix.FcntlInt(uintptr(old), unix.F_DUPFD_CLOEXEC, 0) })
	if e != nil {
		return -1, e
	}
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	s.closed.Store(true)
	if err := s.file.Close(); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// Shutdown ends the stream for both sides, while it may still be in use: readers
// at both ends notice.
func (s *Stream) Shutdown() {
	_ = s.control(func(fd int) { _ = unix.Shutdown(fd, unix.SHUT_RDWR) }) // fails if closed, which ends it too
}

// Close closes the stream and wakes every call. Descriptors that came stay the
// reader's.
func (s *Stream) Close() error {
	s.closed.Store(true)
	// The last of the calls under way closes the socket. By then nothing is in its
	// queue that could take time.
	_ = s.control(func(fd int) {
		_ = unix.Shutdown(fd, unix.SHUT_RD)
		var b [256]byte
		for {
			if n, _, err := Receive(fd, b[:], nil, true); err != nil || n == 0 {
				return
			}
		}
	})
	return s.file.Close()
}

// control calls f with the descriptor, which stays open meanwhile.
func (s *Stream) control(f func(fd int)) error {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) { f(int(fd)) })
}
