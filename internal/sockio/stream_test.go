// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package sockio_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

// streamPair returns the descriptors of a pair of streams, with queues of so many
// bytes (0: the system's default).
func streamPair(t testing.TB, queue int) (fds [2]int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if queue > 0 {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, queue); err != nil {
				t.Fatal(err)
			}
		}
	}
	return fds
}

func newStream(t testing.TB, fd int, cfg sockio.StreamConfig) *sockio.Stream {
	t.Helper()
	s, err := sockio.NewStream(fd, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func streams(t testing.TB, queue int, headers bool) (a, b *sockio.Stream) {
	fds := streamPair(t, queue)
	cfg := sockio.StreamConfig{Name: "test", Headers: headers}
	return newStream(t, fds[0], cfg), newStream(t, fds[1], cfg)
}

// bareStream returns a stream, and the descriptor of the other end.
func bareStream(t testing.TB, cfg sockio.StreamConfig) (s *sockio.Stream, fd int) {
	fds := streamPair(t, 0)
	t.Cleanup(func() { unix.Close(fds[1]) })
	return newStream(t, fds[0], cfg), fds[1]
}

func streamLink(s *sockio.Stream) link.Link {
	return transport.New(transport.Config{Stream: s.Control(), Transport: s, Address: "test"})
}

func TestStreamLink(t *testing.T) {
	for _, tt := range []struct {
		name    string
		queue   int
		headers bool
		longest int
	}{
		{"plain", 0, false, 1514},
		{"headers", 0, true, 1514},
		{"small queue", 4608, false, 1514},
		{"long frames in a small queue", 4608, true, 65000},
		{"longest frames", 0, false, sockio.MaxStreamFrame},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if testing.Short() && tt.longest > 1514 {
				t.Skip("takes long")
			}
			linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
				x, y := streams(tb, tt.queue, tt.headers)
				return streamLink(x), streamLink(y), nil
			}, linktest.Options{MaxFrameSize: tt.longest})
		})
	}
}
