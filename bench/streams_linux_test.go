// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/bench/internal/peer"
	"github.com/go-vde/sdk/vde"
)

// BenchmarkStreams is frames behind their lengths on a byte stream, as QEMU and its
// relatives exchange them: one write for each frame, which is what they do, and our
// driver, which writes batches.
func BenchmarkStreams(b *testing.B) { compare(b, streams) }

var streams = []contender{
	{name: "stream-one", limit: anySize, batch: batch, endpoints: func(t testing.TB, l load) (a, b peer.Endpoint) {
		x, y := socketpair(t, unix.SOCK_STREAM)
		return writeEach{newStream(netConn(t, x), l.max())}, newStream(netConn(t, y), l.max())
	}},
	{name: "stream-batch", limit: anySize, batch: batch, endpoints: func(t testing.TB, l load) (a, b peer.Endpoint) {
		x, y := socketpair(t, unix.SOCK_STREAM)
		return newStream(netConn(t, x), l.max()), newStream(netConn(t, y), l.max())
	}},
	{name: "links-stream", limit: anySize, batch: batch, endpoints: func(t testing.TB, l load) (a, b peer.Endpoint) {
		return linked(t, l, "stream://")
	}},
	{name: "links-bess", limit: anySize, batch: batch, endpoints: func(t testing.TB, l load) (a, b peer.Endpoint) {
		return linked(t, l, "bess://")
	}},
}

// writeEach is a stream with a write for each frame.
type writeEach struct{ *stream }

func (s writeEach) Send(frames [][]byte) (int, error) {
	for i := range frames {
		if _, err := s.stream.Send(frames[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(frames), nil
}

// linked is a server and its client.
func linked(t testing.TB, l load, scheme string) (a, b peer.Endpoint) {
	t.Helper()
	dir, err := os.MkdirTemp(memoryDir(), "vde")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	server := open(t, scheme+dir+"/s[server]", l.max())
	client := open(t, scheme+dir+"/s", l.max())
	return newConn(client, "batch", l.max()), waiting{newConn(server, "batch", l.max()), server}
}

// waiting is a server that may not have accepted its client yet: a receive waits.
type waiting struct {
	*conn
	server *vde.Conn
}

func (w waiting) Close() error {
	_ = w.server.SetReadDeadline(time.Unix(1, 0)) // a server does not end with its client
	return w.conn.Close()
}
