// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"gvisor.dev/gvisor/pkg/tcpip"
)

// errno translates an error of gVisor to the error number that package net would
// return, wrapped with the name of the system call. It returns nil for nil.
func errno(call string, err tcpip.Error) error {
	if err == nil {
		return nil
	}
	var n syscall.Errno
	switch err.(type) {
	case *tcpip.ErrConnectionRefused:
		n = syscall.ECONNREFUSED
	case *tcpip.ErrConnectionReset:
		n = syscall.ECONNRESET
	case *tcpip.ErrConnectionAborted, *tcpip.ErrAborted:
		n = syscall.ECONNABORTED
	case *tcpip.ErrTimeout:
		n = syscall.ETIMEDOUT
	case *tcpip.ErrHostUnreachable:
		n = syscall.EHOSTUNREACH
	case *tcpip.ErrHostDown:
		n = syscall.EHOSTDOWN
	case *tcpip.ErrNetworkUnreachable, *tcpip.ErrNoNet:
		n = syscall.ENETUNREACH
	case *tcpip.ErrPortInUse:
		n = syscall.EADDRINUSE
	case *tcpip.ErrBadLocalAddress, *tcpip.ErrNoPortAvailable:
		n = syscall.EADDRNOTAVAIL
	case *tcpip.ErrClosedForSend:
		n = syscall.EPIPE
	case *tcpip.ErrNotConnected, *tcpip.ErrClosedForReceive:
		n = syscall.ENOTCONN
	case *tcpip.ErrAlreadyConnected:
		n = syscall.EISCONN
	case *tcpip.ErrMessageTooLong:
		n = syscall.EMSGSIZE
	case *tcpip.ErrNoBufferSpace:
		n = syscall.ENOBUFS
	case *tcpip.ErrNotPermitted:
		n = syscall.EPERM
	case *tcpip.ErrBroadcastDisabled:
		n = syscall.EACCES
	case *tcpip.ErrAddressFamilyNotSupported:
		n = syscall.EAFNOSUPPORT
	case *tcpip.ErrDestinationRequired:
		n = syscall.EDESTADDRREQ
	case *tcpip.ErrUnknownProtocol:
		n = syscall.EPROTONOSUPPORT
	case *tcpip.ErrNotSupported:
		n = syscall.EOPNOTSUPP
	case *tcpip.ErrAlreadyBound, *tcpip.ErrInvalidEndpointState, *tcpip.ErrInvalidOptionValue,
		*tcpip.ErrBadAddress, *tcpip.ErrInvalidPortRange:
		n = syscall.EINVAL
	default:
		return fmt.Errorf("%s: %s", call, err)
	}
	return os.NewSyscallError(call, n)
}

// ErrNoLease is the error of [NewHost] if no DHCP server offered a lease that the
// host can use. If [HostConfig.DHCPTimeout] passed, the error also matches
// [context.DeadlineExceeded].
var ErrNoLease = errors.New("no DHCP lease")

// ErrNoIPv6Address is the error of [NewHost] if no router or DHCPv6 server gave the host an
// IPv6 address; see [HostConfig.IPv6]. The text says what was missing. If [HostConfig.IPv6Timeout]
// passed, the error also matches [context.DeadlineExceeded].
var ErrNoIPv6Address = errors.New("no IPv6 address")

// ErrAddressConflict is the error of [NewHost] if another host has an address of the
// configuration (see [HostConfig.DetectConflicts]), the address of each DHCP lease, or
// the addresses that this host generated for the prefixes of routers.
var ErrAddressConflict = errors.New("another host has the address")

var (
	errNoAddress      = errors.New("no suitable address")
	errMissingAddress = errors.New("missing address") // as in package net
	errNoResolver     = errors.New("host has no resolver")
)

// unknownNetwork returns the error for a network that is not documented.
func unknownNetwork(network string) error { return net.UnknownNetworkError(network) }
