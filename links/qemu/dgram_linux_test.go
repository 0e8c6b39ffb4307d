// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

// datagramPairs are the locators of two ends that find each other.
func datagramPairs(tb testing.TB) map[string][2]string {
	a, b, s, v := path(tb), path(tb), path(tb), path(tb)
	return map[string][2]string{
		"both":   {"dgram://" + a + "->" + b, "dgram://" + b + "->" + a},
		"server": {"dgram://" + s, "dgram://" + s + "[server]"},
		"vfkit":  {"dgram://" + v + "[vfkit]", "dgram://" + v + "[server]"},
	}
}

// openDatagrams opens both ends and waits until they are up. A server learns of its
// client by a frame.
func openDatagrams(tb testing.TB, pair [2]string) (a, b link.Link) {
	tb.Helper()
	a, b = mustOpen(tb, pair[0]), mustOpen(tb, pair[1])
	await(tb, a, true)
	send(tb, a, numbered(1))
	if f := recv(tb, b); !bytes.Equal(f, numbered(1)) {
		tb.Fatalf("% x", f)
	}
	await(tb, b, true)
	return a, b
}

// TestDatagramLink holds the pairs to what is promised of every link. They do not end
// with each other.
func TestDatagramLink(t *testing.T) {
	t.Parallel()
	for name := range datagramPairs(t) {
		t.Run(name, func(t *testing.T) {
			linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
				a, b = openDatagrams(tb, datagramPairs(tb)[name])
				for _, l := range []link.Link{a, b} {
					_, _ = l.SetReadDeadline(time.Time{}), l.SetWriteDeadline(time.Time{})
				}
				return a, b, nil
			}, linktest.Options{NoHangup: true, Down: true, Reason: "it waits for the next peer"})
		})
	}
}

// TestDatagramPeerGone: an end whose peer has gone is down within seconds, though it
// sends nothing, and up with the next one.
func TestDatagramPeerGone(t *testing.T) {
	t.Parallel()
	for name, pair := range datagramPairs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, b := openDatagrams(t, pair)
			exchange(t, a, b)
			b.Close()
			await(t, a, false)
			b = mustOpen(t, pair[1])
			await(t, a, true)
			send(t, a, numbered(3))
			recv(t, b)
			exchange(t, a, b)
			a.Close()
			await(t, b, false)
		})
	}
}

// dgram returns a datagram socket bound to path, or to an abstract name.
func dgram(tb testing.TB, path string) int {
	tb.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		tb.Fatal(err)
	}
	limit := unix.NsecToTimeval(int64(watchdog))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		tb.Fatal(err)
	}
	return fd
}

// TestVfkit speaks as vfkit does, byte for byte: its datagram first, then frames, from
// a named socket; and as the server that it speaks to.
func TestVfkit(t *testing.T) {
	p, c := path(t), path(t)
	l := mustOpen(t, "dgram://"+p+"[server]")
	peer := dgram(t, c)
	for _, d := range [][]byte{[]byte("VFKT"), numbered(1), []byte("VFKT"), numbered(2)} {
		if err := unix.Sendto(peer, d, 0, &unix.SockaddrUnix{Name: p}); err != nil {
			t.Fatal(err)
		}
	}
	for i := 1; i < 3; i++ {
		if f := recv(t, l); !bytes.Equal(f, numbered(i)) {
			t.Errorf("frame %d: % x", i, f)
		}
	}
	send(t, l, numbered(3))
	buf := make([]byte, 2000)
	if n, err := unix.Read(peer, buf); err != nil || !bytes.Equal(buf[:n], numbered(3)) {
		t.Errorf("% x, %v", buf[:n], err)
	}

	p = path(t)
	server := dgram(t, p)
	l = mustOpen(t, "dgram://"+p+"[vfkit]")
	await(t, l, true)
	send(t, l, numbered(4))
	for i, want := range [][]byte{[]byte("VFKT"), numbered(4)} {
		n, from, err := unix.Recvfrom(server, buf, 0)
		if err != nil || !bytes.Equal(buf[:n], want) {
			t.Fatalf("datagram %d: % x, %v", i, buf[:n], err)
		}
		if from.(*unix.SockaddrUnix).Name == "" {
			t.Error("the server cannot answer")
		}
	}
	_ = l
}

// TestDatagramStrangers: what others send before the peer is connected is dropped and
// counted, and the kernel keeps them out afterwards.
func TestDatagramStrangers(t *testing.T) {
	local, remote := path(t), path(t)
	l := mustOpen(t, "dgram://"+local+"->"+remote)
	stranger := dgram(t, path(t))
	to := &unix.SockaddrUnix{Name: local}
	for range 3 {
		if err := unix.Sendto(stranger, numbered(66), 0, to); err != nil {
			t.Fatal(err)
		}
	}
	peer := dgram(t, remote)
	if err := unix.Sendto(peer, numbered(1), 0, to); err != nil {
		t.Fatal(err)
	}
	if f := recv(t, l); !bytes.Equal(f, numbered(1)) {
		t.Errorf("% x", f)
	}
	if err := unix.Sendto(stranger, numbered(66), 0, to); err != unix.EPERM {
		t.Errorf("a stranger sends: %v", err)
	}
	if n := l.Caps().Counters().Foreign; n != 3 {
		t.Errorf("%d foreign frames, want 3", n)
	}
}

// TestDatagramFile: the name is ours alone, replaces a dead one and goes at Close.
func TestDatagramFile(t *testing.T) {
	p, r := path(t), path(t)
	fd := dgram(t, p)
	text := "dgram://" + p + "->" + r
	if _, err := open(t, text); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("in use: %v", err)
	}
	unix.Close(fd)
	l := mustOpen(t, text+"[mode=0666]")
	if fi, err := os.Stat(p); err != nil || fi.Mode().Perm() != 0o666 {
		t.Errorf("%v, %v", fi, err)
	}
	l.Close()
	if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestDatagramAbstract sends to a peer with an abstract name, and receives from it.
func TestDatagramAbstract(t *testing.T) {
	name := fmt.Sprintf("@go-vde test %d dgram", os.Getpid())
	peer := dgram(t, name)
	local := path(t)
	l := mustOpen(t, "dgram://"+local+"->"+name)
	send(t, l, numbered(1))
	buf := make([]byte, 2000)
	if n, err := unix.Read(peer, buf); err != nil || !bytes.Equal(buf[:n], numbered(1)) {
		t.Errorf("% x, %v", buf[:n], err)
	}
	if err := unix.Sendto(peer, numbered(2), 0, &unix.SockaddrUnix{Name: local}); err != nil {
		t.Fatal(err)
	}
	if f := recv(t, l); !bytes.Equal(f, numbered(2)) {
		t.Errorf("% x", f)
	}
}

// TestLocators tells which locators are understood.
func TestLocators(t *testing.T) {
	for _, text := range []string{
		"stream://", "stream://host:", "stream:///s[server/reconnect]", "stream:///s[reconnect=x]", "stream:///s[reconnect=-1]",
		"stream:///s[reconnect=99999]", "stream:///s[server=yes]", "stream:///s[mode=8]", "stream:///s[mode=1777]", "stream:///s[foo]",
		"stream:///s[vfkit]", "stream:///s[superframes=500]", "bess:///s[superframes]", "dgram:///s[superframes]", "stream://127.0.0.1:1[server/mode=700]", "stream://[::1]", "stream://[::1]:", "stream://[127.0.0.1]:9", "bess://", "hyperkit://a:b:c",
		"stream:///s[vpnkit]", "hyperkit:///s[vpnkit=yes]", "hyperkit:///s[vpnkit=01234567-89ab-cdef-0123-456789abcdeg]",
		"hyperkit:///s[vpnkit=01234567+89ab-cdef-0123-456789abcdef]", "hyperkit:///s[server/vpnkit=01234567-89ab-cdef-0123-456789abcdef]",
		"dgram://", "dgram://->/b", "dgram:///a->", "dgram:///a->/b[server]", "dgram:///a[server/vfkit]", "dgram:///a[reconnect]",
		// Who sends to an abstract name is not known.
		"dgram://@a[server]", "dgram://@a->/b", "stream://@", "bess://@[server]",
		"dgram://127.0.0.1:9000->127.0.0.1:9001", "dgram://:9000[server]", "dgram:///a->h:9001", `dgram://\[::1\]:9000`,
	} {
		if _, err := open(t, text); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, c := range []struct{ text, says string }{
		{`stream://\[::1\]:` + fmt.Sprint(port(freePort(t))), "[::1]:"},
		{"stream://s-in-this-directory", "s-in-this-directory"},
		{"bess://not:a:port", "not:a:port"},
	} {
		if _, err := open(t, c.text); err == nil || errors.Is(err, unix.EINVAL) || !bytes.Contains([]byte(err.Error()), []byte(c.says)) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

func port(address string) string { return address[len("127.0.0.1:"):] }
