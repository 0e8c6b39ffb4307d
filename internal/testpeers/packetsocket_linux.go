// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"encoding/binary"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

func openPacketSocket(n *Namespace, name string, headers bool) (f *os.File, err error) {
	err = n.Do(func() error {
		// Without a protocol it receives nothing before it is bound.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		f = os.NewFile(uintptr(fd), "packet")
		if headers {
			if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
				return os.NewSyscallError("PACKET_VNET_HDR", err)
			}
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1); err != nil {
			return os.NewSyscallError("PACKET_IGNORE_OUTGOING", err)
		}
		ifi, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		var all [2]byte // ETH_P_ALL as it is on the wire
		binary.BigEndian.PutUint16(all[:], unix.ETH_P_ALL)
		return os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(all[:]), Ifindex: ifi.Index}))
	})
	if err != nil && f != nil {
		f.Close()
	}
	return f, err
}
