// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package transport_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/shm"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

// copies returns descriptors as they arrive at the other end of a socket.
func copies(tb testing.TB, fds []int) []int {
	tb.Helper()
	list := make([]int, len(fds))
	for i, fd := range fds {
		var err error
		if list[i], err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			tb.Fatal(err)
		}
	}
	return list
}

// ringEnds returns the two ends of rings for frames of the usual length.
func ringEnds(tb testing.TB) (client, sw *shm.End) {
	tb.Helper()
	offer, err := shm.NewOffer(shm.FeatureRings, 1514)
	if err != nil {
		tb.Fatal(err)
	}
	sw, _, attach, err := shm.Accept(copies(tb, offer.Descriptors()), shm.FeatureRings)
	if err != nil || sw == nil {
		tb.Fatal(sw, err)
	}
	client, _, err = offer.Taken(copies(tb, attach))
	if err != nil || client == nil {
		tb.Fatal(client, err)
	}
	return client, sw
}

// TestRingLink holds the links of both sides of shared memory to the promises of
// package link, configured as the client's and the switch's.
func TestRingLink(t *testing.T) {
	for name, prepare := range map[string]func(client, sw *shm.End){
		"alone":          func(client, sw *shm.End) {},
		"in a group":     func(client, sw *shm.End) { sw.Join(new(shm.Group)) },
		"in one process": func(client, sw *shm.End) { client.SameProcess(); sw.SameProcess() },
	} {
		for _, clientFirst := range []bool{true, false} {
			sender := "switch sends"
			if clientFirst {
				sender = "client sends"
			}
			t.Run(name+", "+sender, func(t *testing.T) {
				t.Parallel()
				linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
					client, sw := ringEnds(tb)
					prepare(client, sw)
					clientStream, swStream := streams(tb)
					c := newRingLink(client, transport.Config{Stream: clientStream})
					s := newRingLink(sw, transport.Config{Stream: swStream, TakesPartial: true, Refuse: true, StreamFirst: true})
					if clientFirst {
						return c, s, nil
					}
					return s, c, nil
				}, linktest.Options{})
			})
		}
	}
}

// newRingLink returns the link of end.
func newRingLink(end *shm.End, cfg transport.Config) *transport.Link {
	cfg.Transport = end
	return transport.New(cfg)
}
