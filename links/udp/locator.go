// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp

import (
	"strings"

	"github.com/go-vde/sdk/vnl"
)

// An address is what a locator says, names and numbers as written.
type address struct {
	srcHost, srcPort string // both may be empty
	dstHost, dstPort string
}

// parseAddress interprets the argument of a locator. The error matches
// syscall.EINVAL.
func parseAddress(arg string) (a address, err error) {
	src, dst, ok := strings.Cut(arg, "->")
	switch {
	case !ok:
		return a, vnl.Errorf("address %q has no \"->\", want [SRC:]SRCPORT->DST:DSTPORT", arg)
	case strings.Contains(arg, "\x00"):
		return a, vnl.Errorf("address %q contains a NUL", arg)
	}
	if a.srcHost, a.srcPort, ok = cutLast(src); !ok {
		a.srcHost, a.srcPort = "", src
	}
	if a.dstHost, a.dstPort, ok = cutLast(dst); !ok || a.dstHost == "" || a.dstPort == "" {
		return a, vnl.Errorf("destination %q is not DST:DSTPORT", dst)
	}
	return a, nil
}

// cutLast is strings.Cut at the last colon.
func cutLast(s string) (before, after string, found bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
