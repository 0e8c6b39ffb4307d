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

// errno gives gVisor's error the number that package net would show, wrapped
// with the name of the call it stands for. It returns nil for nil.
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

var (
	errNoAddress = errors.New("no suitable address")
	errNoLookup  = errors.New("host has no resolver")
)

// unknownNetwork is what a network name outside those documented gives.
func unknownNetwork(network string) error { return net.UnknownNetworkError(network) }
