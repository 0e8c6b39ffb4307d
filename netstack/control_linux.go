// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"encoding/binary"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
)

const msgTrunc = unix.MSG_TRUNC

// putControlMessages writes the control messages of a datagram to oob, as recvmsg(2)
// does.
func putControlMessages(oob []byte, m *tcpip.ReceivableControlMessages) (n, flags int) {
	put := func(b []byte) {
		if len(b) > len(oob)-n {
			flags = unix.MSG_CTRUNC
			return
		}
		n += copy(oob[n:], b)
	}
	if m.HasIPPacketInfo {
		info := unix.Inet4Pktinfo{Ifindex: int32(m.PacketInfo.NIC)}
		info.Spec_dst = as4(m.PacketInfo.LocalAddr)
		info.Addr = as4(m.PacketInfo.DestinationAddr)
		put(unix.PktInfo4(&info))
	}
	if m.HasIPv6PacketInfo {
		put(unix.PktInfo6(&unix.Inet6Pktinfo{Ifindex: uint32(m.IPv6PacketInfo.NIC), Addr: netipAddr(m.IPv6PacketInfo.Addr).As16()}))
	}
	if m.HasTTL {
		put(controlInt(unix.SOL_IP, unix.IP_TTL, int(m.TTL)))
	}
	if m.HasHopLimit {
		put(controlInt(unix.SOL_IPV6, unix.IPV6_HOPLIMIT, int(m.HopLimit)))
	}
	if m.HasTOS {
		put(controlMessage(unix.SOL_IP, unix.IP_TOS, []byte{m.TOS}))
	}
	if m.HasTClass {
		put(controlInt(unix.SOL_IPV6, unix.IPV6_TCLASS, int(m.TClass)))
	}
	return n, flags
}

func as4(a tcpip.Address) [4]byte {
	if ip := netipAddr(a); ip.Is4() {
		return ip.As4()
	}
	return [4]byte{}
}

// controlMessage returns a control message with data.
func controlMessage(level, typ int32, data []byte) []byte {
	b := make([]byte, unix.CmsgSpace(len(data)))
	native := binary.NativeEndian
	if unix.SizeofPtr == 8 {
		native.PutUint64(b, uint64(unix.CmsgLen(len(data))))
	} else {
		native.PutUint32(b, uint32(unix.CmsgLen(len(data))))
	}
	native.PutUint32(b[unix.SizeofPtr:], uint32(level))
	native.PutUint32(b[unix.SizeofPtr+4:], uint32(typ))
	copy(b[unix.CmsgLen(0):], data)
	return b
}

func controlInt(level, typ int32, v int) []byte {
	return controlMessage(level, typ, binary.NativeEndian.AppendUint32(nil, uint32(v)))
}

// parseControlMessages reads what sendmsg(2) takes. source is an IPv4 source address,
// which the stack cannot set.
func parseControlMessages(oob []byte) (m tcpip.SendableControlMessages, source netip.Addr, err error) {
	all, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return m, source, os.NewSyscallError("sendmsg", syscall.EINVAL)
	}
	for _, c := range all {
		data := c.Data
		switch kind := [2]int32{c.Header.Level, c.Header.Type}; {
		case kind == [2]int32{unix.SOL_IP, unix.IP_PKTINFO} && len(data) >= unix.SizeofInet4Pktinfo:
			if a := netip.AddrFrom4([4]byte(data[4:8])); !a.IsUnspecified() {
				source = a
			}
		case kind == [2]int32{unix.SOL_IPV6, unix.IPV6_PKTINFO} && len(data) >= unix.SizeofInet6Pktinfo:
			m.HasIPv6PacketInfo = true
			m.IPv6PacketInfo.NIC = tcpip.NICID(binary.NativeEndian.Uint32(data[16:]))
			if a := netip.AddrFrom16([16]byte(data)); !a.IsUnspecified() {
				m.IPv6PacketInfo.Addr = tcpip.AddrFrom16(a.As16())
			}
		case kind == [2]int32{unix.SOL_IP, unix.IP_TTL} && len(data) >= 4:
			m.HasTTL = true
			m.TTL, err = hops(data)
		case kind == [2]int32{unix.SOL_IPV6, unix.IPV6_HOPLIMIT} && len(data) >= 4:
			m.HasHopLimit = true
			m.HopLimit, err = hops(data)
		default:
			err = syscall.EOPNOTSUPP
		}
		if err != nil {
			return m, source, os.NewSyscallError("sendmsg", err)
		}
	}
	return m, source, nil
}

// hops returns a time to live or hop limit.
func hops(data []byte) (uint8, error) {
	v := binary.NativeEndian.Uint32(data)
	if v > 255 {
		return 0, syscall.EINVAL
	}
	return uint8(v), nil
}
