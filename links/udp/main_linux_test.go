// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp_test

import (
	"net"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	net.DefaultResolver = resolver
	goleak.VerifyTestMain(m)
}
