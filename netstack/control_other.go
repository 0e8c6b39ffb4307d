// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package netstack

import (
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
)

const msgTrunc = 0

func putControlMessages([]byte, *tcpip.ReceivableControlMessages) (n, flags int) { return 0, 0 }

func parseControlMessages(oob []byte) (m tcpip.SendableControlMessages, source netip.Addr, err error) {
	if len(oob) > 0 {
		err = errno("sendmsg", &tcpip.ErrNotSupported{})
	}
	return m, source, err
}
