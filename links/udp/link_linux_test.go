// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udp_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/udp"
	"github.com/go-vde/sdk/vnl"
)

// host is a loopback address that only this process uses.
var host = fmt.Sprintf("127.%d.%d.%d", 64+os.Getpid()>>16&63, os.Getpid()>>8&255, os.Getpid()&255)

var ports atomic.Uint32

// nextPort returns a port that no other test uses.
func nextPort() int { return 20000 + int(ports.Add(1)) }

// open opens a locator.
func open(tb testing.TB, locator string) link.Link {
	tb.Helper()
	l, err := udp.Driver{}.Open(context.Background(), vnl.Parse(locator), link.Settings{})
	if err != nil {
		tb.Fatalf("%s: %v", locator, err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

// needIPv6 skips the test where the loopback interface has no address of IPv6.
func needIPv6(t *testing.T) {
	t.Helper()
	c, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		testpeers.Skip(t, "IPv6 on the loopback interface", err.Error())
		return
	}
	c.Close()
}

// pair returns both ends of a cable between two ports of an address.
func pair(tb testing.TB, host string) (a, b link.Link) {
	tb.Helper()
	p, q := nextPort(), nextPort()
	return open(tb, fmt.Sprintf("udp://%s:%d->%s:%d", host, p, host, q)), open(tb, fmt.Sprintf("udp://%s:%d->%s:%d", host, q, host, p))
}

// TestLink holds the links to the promises of all links. The receive buffer is large
// enough for what the suite sends, and loopback loses nothing else.
func TestLink(t *testing.T) {
	for _, host := range []string{host, "[::1]"} {
		t.Run(host, func(t *testing.T) {
			if host == "[::1]" {
				needIPv6(t)
			}
			linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
				a, b = pair(tb, host)
				return a, b, nil
			}, linktest.Options{MaxFrameSize: 9018, Unbounded: true, NoHangup: true, Reason: "UDP does not tell that a host is silent, and one that refuses may be starting"})
		})
	}
}
