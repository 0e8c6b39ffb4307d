// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/shm"
)

// A ctlStream reads and writes a control stream together with descriptors.
type ctlStream struct {
	file *os.File
	fds  []int // that came with what was read; owned
}

// write sends p in one piece, with copies of fds attached to its first byte.
func (s *ctlStream) write(p []byte, fds []int) error {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return err
	}
	rights := shm.Rights(fds)
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

// Read implements io.Reader.
func (s *ctlStream) Read(p []byte) (n int, err error) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return 0, err
	}
	if e := raw.Read(func(fd uintptr) bool {
		n, err = s.readNow(int(fd), p)
		return err != unix.EAGAIN
	}); e != nil {
		return 0, e
	}
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return n, err
}

// readAll reads what there is of p, without waiting and whatever the deadline.
func (s *ctlStream) readAll(p []byte) (n int) {
	raw, err := s.file.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		for n < len(p) {
			k, err := s.readNow(int(fd), p[n:])
			if err != nil || k == 0 {
				return
			}
			n += k
		}
	})
	return n
}

// readNow reads once and keeps the descriptors that came. EAGAIN is bare.
func (s *ctlStream) readNow(fd int, p []byte) (n int, err error) {
	var oob [shm.RightsLen]byte
	var oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(fd, p, oob[:], unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	switch {
	case err == unix.EAGAIN:
		return 0, err
	case err != nil:
		return 0, os.NewSyscallError("recvmsg", err)
	}
	s.fds = shm.AppendRights(s.fds, oob[:oobn])
	return n, nil
}

// take hands over the descriptors that came.
func (s *ctlStream) take() (fds []int) {
	fds, s.fds = s.fds, nil
	return fds
}
