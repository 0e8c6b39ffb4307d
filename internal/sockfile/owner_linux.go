// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrUnknownOwner is returned by PeerOwner where the kernel does not tell: before
// Linux 5.3, or without its module unix_diag.
var ErrUnknownOwner = errors.New("the kernel does not tell the owner of the socket")

// From linux/unix_diag.h.
const (
	showName = 0x01
	showPeer = 0x04
	showUID  = 0x40

	attrName = 0
	attrPeer = 2
	attrUID  = 7

	diagRequestLen = 24
	diagMessageLen = 16
)

// PeerOwner returns the user that made the socket that sock, a datagram socket, is
// connected to. The peer is bound to the abstract name, which begins with a NUL.
//
// A socket without a file has no owner that stat could tell, and a datagram socket
// has no SO_PEERCRED. The kernel tells by netlink: of sock the number of its peer,
// and of that number the user. Numbers may come round again, names not: no two
// sockets of one kind are bound to the same.
func PeerOwner(sock int, name string) (uid uint32, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(sock, &st); err != nil {
		return 0, os.NewSyscallError("fstat", err)
	}
	nl, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnknownOwner, os.NewSyscallError("socket", err))
	}
	defer unix.Close(nl)
	own, err := diagnose(nl, uint32(st.Ino), showPeer)
	if err != nil {
		return 0, err
	}
	number, ok := own.number(attrPeer)
	if !ok {
		return 0, fmt.Errorf("%w: it has no peer", ErrUnknownOwner)
	}
	peer, err := diagnose(nl, number, showName|showUID)
	if err != nil {
		return 0, err
	}
	uid, ok = peer.number(attrUID)
	if !ok || peer.kind != unix.SOCK_DGRAM || string(peer.attrs[attrName]) != name {
		return 0, fmt.Errorf("%w of that name", ErrUnknownOwner)
	}
	return uid, nil
}

// A diagnosis is what the kernel says about a socket.
type diagnosis struct {
	kind  byte
	attrs map[uint16][]byte
}

func (d *diagnosis) number(attr uint16) (uint32, bool) {
	b := d.attrs[attr]
	if len(b) != 4 {
		return 0, false
	}
	return binary.NativeEndian.Uint32(b), true
}

// diagnose asks for the socket with inode number ino.
func diagnose(nl int, ino, show uint32) (*diagnosis, error) {
	ne := binary.NativeEndian
	b := ne.AppendUint32(nil, unix.NLMSG_HDRLEN+diagRequestLen)
	b = ne.AppendUint16(b, unix.SOCK_DIAG_BY_FAMILY)
	b = ne.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, make([]byte, 8)...) // sequence number, port
	b = append(b, unix.AF_UNIX, 0, 0, 0)
	for _, v := range []uint32{^uint32(0), ino, show, ^uint32(0), ^uint32(0)} { // states; the cookie is not known
		b = ne.AppendUint32(b, v)
	}
	if err := unix.Sendto(nl, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknownOwner, os.NewSyscallError("sendto", err))
	}
	reply := make([]byte, 4096)
	n, from, err := unix.Recvfrom(nl, reply, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnknownOwner, os.NewSyscallError("recvfrom", err))
	}
	if sa, ok := from.(*unix.SockaddrNetlink); !ok || sa.Pid != 0 {
		return nil, ErrUnknownOwner // not the kernel
	}
	return parseDiagnosis(reply[:n])
}

func parseDiagnosis(b []byte) (*diagnosis, error) {
	ne := binary.NativeEndian
	if len(b) < unix.NLMSG_HDRLEN+4 {
		return nil, ErrUnknownOwner
	}
	switch ne.Uint16(b[4:]) {
	case unix.NLMSG_ERROR:
		return nil, fmt.Errorf("%w: %w", ErrUnknownOwner, unix.Errno(-int32(ne.Uint32(b[unix.NLMSG_HDRLEN:]))))
	case unix.SOCK_DIAG_BY_FAMILY:
	default:
		return nil, ErrUnknownOwner
	}
	end := min(len(b), int(ne.Uint32(b)))
	if end < unix.NLMSG_HDRLEN+diagMessageLen {
		return nil, ErrUnknownOwner
	}
	b = b[unix.NLMSG_HDRLEN:end]
	d := &diagnosis{kind: b[1], attrs: make(map[uint16][]byte)}
	const header = 4
	for b = b[diagMessageLen:]; len(b) >= header; {
		n := int(ne.Uint16(b))
		if n < header || n > len(b) {
			break
		}
		d.attrs[ne.Uint16(b[2:])] = b[header:n]
		b = b[min(len(b), (n+3)&^3):]
	}
	return d, nil
}
