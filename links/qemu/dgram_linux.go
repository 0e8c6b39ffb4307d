// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/go-vde/sdk/internal/unixsock"
	"github.com/go-vde/sdk/link"
)

// greeting is the first datagram of vfkit.
const greeting = "VFKT"

// isGreeting reports whether a datagram is no frame but vfkit's first. No frame is as
// short.
func isGreeting(b []byte) bool { return string(b) == greeting }

// datagrams returns the link of a pair of datagram sockets.
func (o opener) datagrams(ctx context.Context) (link.Link, error) {
	cfg := unixsock.DatagramConfig{
		Address: o.locator, Local: o.local, Remote: o.remote, WriteBuffer: o.settings.WriteBuffer, Skip: isGreeting,
		Permission: unixsock.Permission{Mode: cmp.Or(o.mode, o.settings.SocketMode), Group: cmp.Or(o.group, o.settings.SocketGroup)},
	}
	if o.vfkit {
		cfg.Greeting = []byte(greeting)
	}
	first, err := unixsock.BindDatagram(cfg)
	if err != nil {
		return nil, fmt.Errorf("bind the dgram socket %s: %w", o.local, err)
	}
	// One goroutine at a time calls dial, and calls it at least once.
	dial := func(ctx context.Context) (link.Link, error) {
		u := first
		if first = nil; u == nil {
			var err error
			if u, err = unixsock.BindDatagram(cfg); err != nil {
				return nil, err
			}
		}
		return u.Connect(ctx)
	}
	return link.Redial(ctx, dial, link.RedialPolicy{MinDelay: time.Millisecond, MaxDelay: time.Second, FirstDial: true})
}
