// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Options say what a socket is for.
type Options struct {
	Reuse       bool // others may be bound to the same multicast address and port
	Receive     bool // else everything that comes is dropped
	Buffer      int  // of received datagrams, in bytes (0: DefaultBuffer)
	WriteBuffer int  // of datagrams to send, in bytes (0: the system's)
	Interface   int  // number of the one for multicast (0: the system decides)
	TTL         int  // of multicast datagrams (negative: the system's)
	UnicastTTL  int  // of others (0: the system's)
	Loop        bool // multicast datagrams come back to this host
	NoCheck6    bool // take datagrams without a checksum over IPv6, as tunnels send them
	UnicastByIf bool // Interface is also the one for other datagrams
}

// DefaultBuffer is the size of a receive buffer: a burst of frames fits while the
// receiver is not running. The system may allow less.
const DefaultBuffer = 4 << 20

// dropAll is a filter that accepts no byte of any datagram.
var dropAll = [1]unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K}}

// Refuse has the kernel drop what comes to fd from now on.
func Refuse(fd int) error {
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &dropAll[0]})
}

// Accept ends Refuse.
func Accept(fd int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
}

// Socket makes a UDP socket of the family of local and binds it.
func Socket(local Addr, o Options) (fd int, err error) {
	family := unix.AF_INET6
	if local.Is4() {
		family = unix.AF_INET
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	s := settings{fd: fd}
	if family == unix.AF_INET {
		s.ipv4(o)
	} else {
		s.ipv6(o)
	}
	if o.WriteBuffer > 0 {
		s.ask(unix.SOL_SOCKET, unix.SO_SNDBUF, o.WriteBuffer)
	}
	if o.Reuse {
		s.set("SO_REUSEADDR", unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	}
	if o.Receive {
		s.receive(o.Buffer)
	} else if err := Refuse(fd); err != nil {
		s.err = os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err)
	}
	if s.err == nil {
		s.err = os.NewSyscallError("bind", unix.Bind(fd, local.sockaddr()))
	}
	if s.err != nil {
		unix.Close(fd)
		return -1, s.err
	}
	return fd, nil
}

// settings sets options of a socket up to the first failure.
type settings struct {
	fd  int
	err error
}

func (s *settings) set(name string, level, option, value int) {
	if s.err == nil {
		if err := unix.SetsockoptInt(s.fd, level, option, value); err != nil {
			s.err = fmt.Errorf("setsockopt %s: %w", name, err)
		}
	}
}

// ask is set for an option that not all kernels have.
func (s *settings) ask(level, option, value int) {
	_ = unix.SetsockoptInt(s.fd, level, option, value)
}

// ipv4 sets the options of IPv4. Datagrams that are longer than the path takes are
// sent in fragments, which routers may make too.
func (s *settings) ipv4(o Options) {
	s.set("IP_MTU_DISCOVER", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT)
	s.set("IP_MULTICAST_LOOP", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, number(o.Loop))
	s.ask(unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0)
	s.ask(unix.IPPROTO_IP, unix.IP_RECVERR, 1) // see refusals
	if o.TTL >= 0 {
		s.set("IP_MULTICAST_TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, o.TTL)
	}
	if o.UnicastTTL > 0 {
		s.set("IP_TTL", unix.IPPROTO_IP, unix.IP_TTL, o.UnicastTTL)
	}
	if o.Interface != 0 {
		s.sendBy(true, o.Interface, o.UnicastByIf)
	}
}

// ipv6 is ipv4 for the other version.
func (s *settings) ipv6(o Options) {
	s.set("IPV6_V6ONLY", unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	s.set("IPV6_MTU_DISCOVER", unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DONT)
	s.set("IPV6_MULTICAST_LOOP", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_LOOP, number(o.Loop))
	s.ask(unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_ALL, 0)
	s.ask(unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	if o.NoCheck6 {
		s.ask(unix.IPPROTO_UDP, unix.UDP_NO_CHECK6_RX, 1)
	}
	if o.TTL >= 0 {
		s.set("IPV6_MULTICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, o.TTL)
	}
	if o.UnicastTTL > 0 {
		s.set("IPV6_UNICAST_HOPS", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, o.UnicastTTL)
	}
	if o.Interface != 0 {
		s.sendBy(false, o.Interface, o.UnicastByIf)
	}
}

// sendBy sets the interface for multicast and, with unicast, for other datagrams.
func (s *settings) sendBy(ipv4 bool, index int, unicast bool) {
	switch {
	case !ipv4:
		s.set("IPV6_MULTICAST_IF", unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_IF, index)
		if unicast {
			s.set("IPV6_UNICAST_IF", unix.IPPROTO_IPV6, unix.IPV6_UNICAST_IF, swap(index))
		}
		return
	case s.err == nil:
		err := unix.SetsockoptIPMreqn(s.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &unix.IPMreqn{Ifindex: int32(index)})
		s.err = os.NewSyscallError("setsockopt IP_MULTICAST_IF", err)
	}
	if unicast {
		s.set("IP_UNICAST_IF", unix.IPPROTO_IP, unix.IP_UNICAST_IF, swap(index))
	}
}

// SendBy has fd, a socket of the family of a, send multicast by another interface from
// now on and, with unicast, other datagrams too.
func SendBy(fd int, a Addr, index int, unicast bool) error {
	s := settings{fd: fd}
	s.sendBy(a.Is4(), index, unicast)
	return s.err
}

// Disconnect has fd forget its destination, and the interface that an address of a link
// has bound it to.
func Disconnect(fd int) { disconnect(fd) }

// Rebind has fd, which is bound to local and to the interface of an address of a link, use
// another one from now on. It ends the connection that fd may have.
func Rebind(fd int, local Addr, index int) error {
	disconnect(fd)
	if now, err := LocalAddr(fd); err == nil && now.Port == 0 { // the kernel had chosen the port, and has it forgotten too
		if local.NeedsScope() {
			local.Scope = uint32(index)
		}
		if err := unix.Bind(fd, local.sockaddr()); err != nil {
			return os.NewSyscallError("bind", err)
		}
	}
	return os.NewSyscallError("setsockopt SO_BINDTOIFINDEX", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BINDTOIFINDEX, index))
}

// maxRefusals is how many refusals are counted at a time.
const maxRefusals = 1024

// refusals returns how many refusals of datagrams from fd the kernel has queued, and
// empties the queue. After a refusal the next call on the socket fails, whatever it is
// about: without IP_RECVERR only one on a connected socket, and nobody can tell how
// many there were.
func refusals(fd int) (n uint64) {
	for n < maxRefusals {
		_, _, _, _, err := unix.Recvmsg(fd, nil, nil, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		switch {
		case err == nil:
			n++
		case err != unix.EINTR:
			return n
		}
	}
	return n
}

// SetReceiveBuffer sets how many bytes may wait in fd, as far as the system allows.
func SetReceiveBuffer(fd, size int) {
	if size <= 0 {
		size = DefaultBuffer
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size)
	}
}

// receive sets the options of a socket that is received from.
func (s *settings) receive(buffer int) {
	SetReceiveBuffer(s.fd, buffer)
	s.ask(unix.IPPROTO_UDP, unix.UDP_GRO, 1)
}

// swap returns an interface's number in the form of IP_UNICAST_IF, which is in the
// network's order of bytes.
func swap(n int) int {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(n))
	return int(int32(binary.NativeEndian.Uint32(b[:])))
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// segments reports whether the kernel knows UDP_SEGMENT.
func segments(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.IPPROTO_UDP, unix.UDP_SEGMENT)
	return err == nil
}

// Connect connects fd to a destination.
func Connect(fd int, to Addr) error {
	return os.NewSyscallError("connect", unix.Connect(fd, to.sockaddr()))
}

// SourceAddr returns the address that datagrams to a destination are sent from by fd,
// a socket that is used for nothing else.
func SourceAddr(fd int, to Addr) (Addr, error) {
	disconnect(fd)
	if err := Connect(fd, to); err != nil {
		return Addr{}, err
	}
	return LocalAddr(fd)
}

// LocalAddr returns the address that fd is bound to.
func LocalAddr(fd int) (Addr, error) {
	sa, err := unix.Getsockname(fd)
	return addrOf(sa), os.NewSyscallError("getsockname", err)
}

// Join has datagrams to a multicast group delivered that come by the given
// interface, or by the one that the system sends to the group by if that is 0.
func Join(fd int, group Addr, ifindex int) error {
	var err error
	if group.Is4() {
		err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: [4]byte(group.IP[12:]), Ifindex: int32(ifindex)})
	} else {
		err = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP, &unix.IPv6Mreq{Multiaddr: group.IP, Interface: uint32(ifindex)})
	}
	return os.NewSyscallError("join multicast group", err)
}

// Leave ends Join.
func Leave(fd int, group Addr, ifindex int) {
	if group.Is4() {
		_ = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_DROP_MEMBERSHIP, &unix.IPMreqn{Multiaddr: [4]byte(group.IP[12:]), Ifindex: int32(ifindex)})
	} else {
		_ = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_LEAVE_GROUP, &unix.IPv6Mreq{Multiaddr: group.IP, Interface: uint32(ifindex)})
	}
}

// SendTo sends one datagram to p from fd without waiting. Whether it went is not
// known.
func (p *Peer) SendTo(fd int, b []byte) {
	_ = unix.Sendto(fd, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, p.addr.sockaddr())
}
