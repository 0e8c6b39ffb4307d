// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node_test

import (
	"bytes"
	"encoding/binary"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testaccounts"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/node"
)

// watchdog bounds what hangs.
const watchdog = 2 * time.Minute

// newDir returns a path at which nothing is, short enough for sockets.
func newDir(t testing.TB) string { return filepath.Join(testutil.ShortDir(t), "n") }

// open opens a node of the given kind in dir, with parameters in brackets or the empty
// string, until the test ends.
func open(t testing.TB, kind node.Kind, dir, params string) (*vde.Conn, *vswitch.Switch) {
	t.Helper()
	return openConfig(t, node.Driver{Kind: kind}, dir+params)
}

func openConfig(t testing.TB, d node.Driver, arg string) (*vde.Conn, *vswitch.Switch) {
	t.Helper()
	l, err := d.Open(t.Context(), vnl.Locator{Scheme: string(d.Kind), Arg: arg}, link.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := vde.NewConn(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c, node.SwitchOf(l)
}

// join joins the node in dir until the test ends.
func join(t testing.TB, dir string, opts ...vde.Option) *vde.Conn {
	t.Helper()
	c, err := vde.Open(t.Context(), dir, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// mac returns the address of station n.
func mac(n int) frame.MAC { return frame.MAC{2, 0, 0, 0, 0, byte(n)} }

// numbered returns a frame of size bytes with a number in it.
func numbered(dst, src frame.MAC, number uint32, size int) []byte {
	f := make([]byte, max(size, frame.HeaderLen+4))
	frame.PutHeader(f, dst, src, frame.EtherTypeExperimental)
	binary.BigEndian.PutUint32(f[frame.HeaderLen:], number)
	return f
}

// withTag returns f with a tag whose control information is tci.
func withTag(f []byte, tci uint16) []byte {
	t := append(slices.Clone(f[:12]), 0x81, 0, 0, 0)
	binary.BigEndian.PutUint16(t[14:], tci)
	return append(t, f[12:]...)
}

func write(t testing.TB, c *vde.Conn, f []byte) {
	t.Helper()
	if _, err := c.Write(f); err != nil {
		t.Fatal(err)
	}
}

// wantFrame waits for the next frame at c, which has to be want.
func wantFrame(t testing.TB, what string, c *vde.Conn, want []byte) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(watchdog)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 10_000)
	n, err := c.Read(b)
	if err != nil || !bytes.Equal(b[:n], want) {
		t.Fatalf("%s got %x, %v, want %x", what, b[:n], err, want)
	}
}

// await waits for cond, which another goroutine will make true.
func await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(watchdog); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not reached: %s", what)
		}
	}
}

// offered returns how many frames have been offered to each port, by number, once
// total frames have come in, and checks that all counters add up.
func offered(t testing.TB, sw *vswitch.Switch, total uint64) map[int]uint64 {
	t.Helper()
	var s vswitch.Stats
	await(t, "all frames forwarded", func() bool {
		s = sw.Stats()
		var n uint64
		for _, p := range s.Ports {
			n += p.In.Frames
		}
		return n >= total
	})
	m := make(map[int]uint64)
	for _, p := range s.Ports {
		m[p.Port] = p.Out.Offered
	}
	testaccounts.Check(t, s)
	return m
}

// withStatic returns the configuration of port n with a static entry for m.
func withStatic(t testing.TB, sw *vswitch.Switch, n int, m frame.MAC) vswitch.PortConfig {
	t.Helper()
	pc, err := sw.Port(n)
	if err != nil {
		t.Fatal(err)
	}
	pc.Static = []vswitch.StaticEntry{{MAC: m}}
	return pc
}
