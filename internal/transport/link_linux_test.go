// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package transport_test

import (
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns the two ends of a connection over datagram sockets, behind
// virtio-net headers or not.
func pair(tb testing.TB, headers bool) (a, b link.Link, err error) {
	data, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, err
	}
	ctl, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	var ends [2]link.Link
	for i := range ends {
		stream, err := transport.NewStream(ctl[i], "control")
		if err != nil {
			return nil, nil, err
		}
		sock, err := sockio.New(data[i], "data", headers)
		if err != nil {
			return nil, nil, err
		}
		ends[i] = transport.New(transport.Config{Stream: stream, Transport: sock, StreamFirst: i == 1})
	}
	return ends[0], ends[1], nil
}

func TestLink(t *testing.T) {
	for name, headers := range map[string]bool{"plain": false, "headers": true} {
		t.Run(name, func(t *testing.T) {
			linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) { return pair(tb, headers) }, linktest.Options{})
		})
	}
}
