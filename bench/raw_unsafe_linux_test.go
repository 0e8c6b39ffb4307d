// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"net"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is the number of frames per call wherever a call can move many.
const batch = 32

// socketpair returns the two ends of an AF_UNIX pair as files.
func socketpair(t testing.TB, kind int) (a, b *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return os.NewFile(uintptr(fds[0]), "A"), os.NewFile(uintptr(fds[1]), "B")
}

// netConn makes a net.Conn of one end of a pair.
func netConn(t testing.TB, f *os.File) net.Conn {
	t.Helper()
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A raw is a blocking socket and nothing around it: send and recv, or sendmmsg and
// recvmmsg. It is what a Go program can have at most from the kernel, at the price
// of a thread for each call that waits and of no way to interrupt one.
type raw struct {
	fd       int
	many     bool
	in, out  []mmsghdr
	inv      []unix.Iovec
	outv     []unix.Iovec
	bufs     [][]byte
	received [][]byte
	calls    uint64
}

// An mmsghdr is the kernel's struct of this name; the compiler pads it as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// rawPair returns two of them, for frames of up to size bytes.
func rawPair(t testing.TB, many bool, size int) (a, b *raw) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	return newRaw(fds[0], many, size), newRaw(fds[1], many, size)
}

func newRaw(fd int, many bool, size int) *raw {
	r := &raw{fd: fd, many: many}
	n := 1
	if many {
		n = batch
	}
	r.in, r.out = make([]mmsghdr, n), make([]mmsghdr, n)
	r.inv, r.outv = make([]unix.Iovec, n), make([]unix.Iovec, n)
	r.received = make([][]byte, 0, n)
	for i := range n {
		r.bufs = append(r.bufs, make([]byte, size))
		r.inv[i].Base = &r.bufs[i][0]
		r.inv[i].SetLen(size)
		r.in[i].hdr.Iov, r.out[i].hdr.Iov = &r.inv[i], &r.outv[i]
		r.in[i].hdr.SetIovlen(1)
		r.out[i].hdr.SetIovlen(1)
	}
	return r
}

func (r *raw) Send(frames [][]byte) (sent int, err error) {
	for sent < len(frames) {
		if !r.many {
			if err := unix.Send(r.fd, frames[sent], 0); err != nil {
				if err == unix.EINTR {
					continue
				}
				return sent, os.NewSyscallError("send", err)
			}
			sent++
			continue
		}
		left := frames[sent:min(len(frames), sent+batch)]
		for i, f := range left {
			r.outv[i].Base = &f[0]
			r.outv[i].SetLen(len(f))
		}
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.out[0])), uintptr(len(left)), 0, 0, 0)
		runtime.KeepAlive(left)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return sent, os.NewSyscallError("sendmmsg", errno)
		}
		sent += int(n)
	}
	return sent, nil
}

func (r *raw) Recv() ([][]byte, error) {
	r.received = r.received[:0]
	for {
		r.calls++
		if !r.many {
			n, _, err := unix.Recvfrom(r.fd, r.bufs[0], 0)
			if err == unix.EINTR {
				continue
			}
			if err == nil && n == 0 {
				err = unix.ESHUTDOWN
			}
			if err != nil {
				return nil, os.NewSyscallError("recv", err)
			}
			return append(r.received, r.bufs[0][:n]), nil
		}
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(r.fd), uintptr(unsafe.Pointer(&r.in[0])), batch, unix.MSG_WAITFORONE, 0, 0)
		if errno == unix.EINTR {
			continue
		}
		if errno == 0 && r.in[0].len == 0 {
			errno = unix.ESHUTDOWN
		}
		if errno != 0 {
			return nil, os.NewSyscallError("recvmmsg", errno)
		}
		for i := range int(n) {
			r.received = append(r.received, r.bufs[i][:r.in[i].len])
		}
		return r.received, nil
	}
}

func (r *raw) Calls() uint64 { return r.calls }

// Close wakes up calls that wait in the kernel. The descriptor stays, because
// nothing else keeps a call from using one that has been given away.
func (r *raw) Close() error { return unix.Shutdown(r.fd, unix.SHUT_RDWR) }
