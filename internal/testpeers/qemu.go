// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers

import (
	"fmt"
	"strconv"
	"testing"
)

// StartQEMU runs a QEMU without a machine until the test ends. Its network back ends, such as
// "stream,server=on,addr.type=unix,addr.path=/tmp/s", are ports of one hub, so a frame that one receives leaves by
// all others. It returns when the program has been started, which may be before it listens.
func StartQEMU(t testing.TB, netdevs ...string) *Process {
	t.Helper()
	const program = "qemu-system-x86_64"
	needRealPeers(t, program)
	args := []string{program, "-nodefaults", "-display", "none", "-machine", "none", "-monitor", "stdio"}
	for i, netdev := range netdevs {
		id := strconv.Itoa(i)
		args = append(args, "-netdev", fmt.Sprintf("%s,id=n%s", netdev, id), "-netdev", fmt.Sprintf("hubport,hubid=0,id=h%s,netdev=n%s", id, id))
	}
	return StartProcess(t, ProcessConfig{Args: args})
}
