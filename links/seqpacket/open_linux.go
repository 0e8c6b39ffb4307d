// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package seqpacket

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/unixsock"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/vnl"
)

// An owner is a link that has taken over a descriptor.
type owner struct {
	link.Link
	fd int
}

// owners are the links that are open, by descriptor. One taken over twice would be closed
// twice, the second time when its number may be that of something else.
var owners = struct {
	sync.Mutex
	open map[int]*owner
}{open: make(map[int]*owner)}

// Close implements [link.Link].
func (o *owner) Close() (unread int, err error) {
	owners.Lock() // until the number may be another's
	defer owners.Unlock()
	unread, err = o.Link.Close()
	if owners.open[o.fd] == o {
		delete(owners.open, o.fd)
	}
	return unread, err
}

func open(fd int, l vnl.Locator, s link.Settings) (link.Link, error) {
	owners.Lock()
	defer owners.Unlock()
	if owners.open[fd] != nil {
		return nil, fmt.Errorf("descriptor %d: %w (another link of this process has it, or has not been closed)", fd, unix.EBUSY)
	}
	u, err := newLink(fd, l, s)
	if err != nil {
		return nil, err
	}
	o := &owner{u, fd}
	owners.open[fd] = o
	return o, nil
}

func newLink(fd int, l vnl.Locator, s link.Settings) (link.Link, error) {
	if err := check(fd); err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	if n := s.WriteBuffer; n > 0 {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, n); err != nil {
			return nil, fmt.Errorf("set the write buffer to %d bytes: %w", n, err)
		}
	}
	return unixsock.NewLink(fd, unixsock.Config{Address: l.String(), Packets: true})
}

// check returns what keeps fd from being a connected socket of packets.
func check(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("descriptor %d is not open (let the parent process pass it on): %w", fd, err)
	}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	switch {
	case err != nil:
		return fmt.Errorf("descriptor %d is %s, not a socket: %w", fd, fileKind(st.Mode), err)
	case kind != unix.SOCK_SEQPACKET:
		return fmt.Errorf("descriptor %d is a socket of kind %s, not SOCK_SEQPACKET: %w", fd, socketKind(kind), unix.EPROTOTYPE)
	}
	if _, err := unix.Getpeername(fd); err != nil {
		return fmt.Errorf("descriptor %d is a socket without a peer (pass on a connected one): %w", fd, err)
	}
	return nil
}

func fileKind(mode uint32) string {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return "a file"
	case unix.S_IFDIR:
		return "a directory"
	case unix.S_IFIFO:
		return "a pipe"
	case unix.S_IFCHR:
		return "a character device"
	case unix.S_IFBLK:
		return "a block device"
	}
	return "something of the kernel"
}

func socketKind(kind int) string {
	switch kind {
	case unix.SOCK_STREAM:
		return "SOCK_STREAM"
	case unix.SOCK_DGRAM:
		return "SOCK_DGRAM"
	case unix.SOCK_RAW:
		return "SOCK_RAW"
	}
	return fmt.Sprint(kind)
}
