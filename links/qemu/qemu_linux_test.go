// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
)

// A joint is a network back end of QEMU, and the locator of the link to it.
type joint struct{ netdev, locator string }

// joints returns one of each kind, by name.
func joints(tb testing.TB) map[string]joint {
	tb.Helper()
	s, c, l, r := path(tb), path(tb), path(tb), path(tb)
	tcp := func() (host, port, address string) {
		address = freePort(tb)
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			tb.Fatal(err)
		}
		return host, port, address
	}
	h1, p1, a1 := tcp()
	h2, p2, a2 := tcp()
	abstract := fmt.Sprintf("go-vde test %d %s", os.Getpid(), filepath.Base(filepath.Dir(s))+filepath.Base(tb.Name()))
	a, b := path(tb), path(tb)
	return map[string]joint{
		"unix-server": {"stream,server=on,addr.type=unix,addr.path=" + s, "stream://" + s + "[reconnect]"},
		"unix-client": {"stream,server=off,addr.type=unix,addr.path=" + c, "stream://" + c + "[server]"},
		"tcp-server":  {fmt.Sprintf("stream,server=on,addr.type=inet,addr.host=%s,addr.port=%s", h1, p1), "stream://" + a1 + "[reconnect]"},
		"tcp-client":  {fmt.Sprintf("stream,server=off,addr.type=inet,addr.host=%s,addr.port=%s", h2, p2), "stream://" + a2 + "[server]"},
		"dgram":       {fmt.Sprintf("dgram,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", l, r), "dgram://" + r + "->" + l},
		// What QEMU binds for dgram is a file, whatever abstract says.
		"dgram-abstract":  {fmt.Sprintf("dgram,local.type=unix,local.path=%s,local.abstract=on,remote.type=unix,remote.path=%s,remote.abstract=on", a, b), "dgram://" + b + "->" + a},
		"abstract":        {"stream,server=on,addr.type=unix,addr.abstract=on,addr.path=" + abstract, "stream://@" + abstract + "[reconnect]"},
		"abstract-client": {"stream,server=off,addr.type=unix,addr.abstract=on,addr.path=" + abstract + "2", "stream://@" + abstract + "2[server]"},
	}
}

// crossing sends frames from a to b through QEMU, which may have started but now, and
// drops what it cannot pass on yet: the first is sent until it comes.
func crossing(t *testing.T, a, b link.Link) {
	t.Helper()
	await(t, a, true)
	await(t, b, true)
	first := numbered(0)
	for end := time.Now().Add(watchdog); ; {
		send(t, a, first)
		_ = b.SetReadDeadline(time.Now().Add(50 * time.Millisecond)) // then it is sent again
		buf, sizes := make([]byte, 2000), make([]int, 1)
		n, err := b.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes})
		if n == 1 && bytes.Equal(buf[:sizes[0]], first) {
			break
		}
		if n == 1 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(end) {
			t.Fatalf("the first frame: %d of %d bytes, %v", n, sizes[0], err)
		}
	}
	_ = b.SetReadDeadline(time.Now().Add(watchdog))
	for i := 1; i < 200; i++ {
		send(t, a, numbered(i))
		f := recv(t, b)
		for bytes.Equal(f, first) {
			f = recv(t, b)
		}
		if !bytes.Equal(f, numbered(i)) {
			t.Fatalf("frame %d is %d bytes % x…", i, len(f), f[:min(len(f), 20)])
		}
	}
}

// TestAgainstQEMU sends frames through a QEMU from each kind of back end to another,
// kills it, and does so again with the next one. Our ends stay open.
func TestAgainstQEMU(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"unix-server", "unix-client"}, {"tcp-server", "tcp-client"}, {"unix-client", "dgram"}, {"abstract", "dgram-abstract"}, {"abstract-client", "unix-server"}} {
		t.Run(pair[0]+"-"+pair[1], func(t *testing.T) {
			t.Parallel()
			all := joints(t)
			x, y := all[pair[0]], all[pair[1]]
			a, b := mustOpen(t, x.locator), mustOpen(t, y.locator)
			for range 2 {
				q := testpeers.StartQEMU(t, x.netdev, y.netdev)
				crossing(t, a, b)
				crossing(t, b, a)
				q.Kill()
				await(t, a, false)
				await(t, b, false)
			}
		})
	}
}
