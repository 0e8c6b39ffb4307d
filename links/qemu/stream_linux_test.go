// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/qemu"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vnl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// watchdog bounds hangs.
const watchdog = time.Minute

func open(tb testing.TB, text string) (link.Link, error) {
	tb.Helper()
	l, err := qemu.Drivers().Open(tb.Context(), vnl.Parse(text), link.Settings{})
	if err == nil {
		tb.Cleanup(func() { l.Close() })
		_ = l.SetReadDeadline(time.Now().Add(watchdog))
		_ = l.SetWriteDeadline(time.Now().Add(watchdog))
	}
	return l, err
}

func mustOpen(tb testing.TB, text string) link.Link {
	tb.Helper()
	l, err := open(tb, text)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// path returns the path of a socket in a new directory.
func path(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(testutil.ShortDir(tb), "s")
}

// freePort returns an address on loopback at which nobody listens.
func freePort(tb testing.TB) string {
	tb.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func numbered(n int) []byte {
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	return append(f, bytes.Repeat([]byte{byte(n)}, 46+n*13%1400)...)
}

// recv receives one frame.
func recv(tb testing.TB, l link.Link) []byte {
	tb.Helper()
	buf, sizes := make([]byte, 2000), make([]int, 1)
	if n, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 {
		tb.Fatalf("Recv: %v", err)
	}
	return buf[:min(sizes[0], len(buf))]
}

func send(tb testing.TB, l link.Link, f []byte) {
	tb.Helper()
	if n, _, err := l.Send(link.Tx{Frames: [][]byte{f}}); n != 1 {
		tb.Fatalf("Send: %v", err)
	}
}

// exchange sends frames both ways.
func exchange(tb testing.TB, a, b link.Link) {
	tb.Helper()
	for i := range 20 {
		for _, pair := range [][2]link.Link{{a, b}, {b, a}} {
			send(tb, pair[0], numbered(i))
			if f := recv(tb, pair[1]); !bytes.Equal(f, numbered(i)) {
				tb.Fatalf("frame %d is %d bytes % x…", i, len(f), f[:min(len(f), 20)])
			}
		}
	}
}

// up waits until l is up, or down.
func await(tb testing.TB, l link.Link, up bool) {
	tb.Helper()
	state := l.Caps().State
	changed := make(chan struct{}, 100)
	defer state.OnChange(func(link.State) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	timer := time.NewTimer(watchdog)
	defer timer.Stop()
	for state.State().Up != up {
		select {
		case <-changed:
		case <-timer.C:
			tb.Fatalf("the link is not up=%v: %+v", up, state.State())
		}
	}
}

// carriers are the locators of a server and of its client.
func carriers(tb testing.TB) map[string][2]string {
	s, h, b, f, tcp := path(tb), path(tb), path(tb), path(tb), freePort(tb)
	return map[string][2]string{
		"stream":     {"stream://" + s + "[server]", "stream://" + s},
		"stream-tcp": {"stream://" + tcp + "[server=on]", "stream://" + tcp + "[server=off]"},
		// Superframes have another receiver. What is sent is ordinary.
		"superframes": {"stream://" + f + "[server/superframes]", "stream://" + f},
		"hyperkit":    {"hyperkit://" + h + "[server]", "hyperkit://" + h},
		"bess":        {"bess://" + b + "[server]", "bess://" + b},
	}
}

// TestLink holds a client and the one peer of a server to what is promised of every
// link. A server does not end with its peer, and what TCP has on its way when a link
// is closed has not come.
func TestLink(t *testing.T) {
	t.Parallel()
	for name := range carriers(t) {
		t.Run(name, func(t *testing.T) {
			linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
				pair := carriers(tb)[name]
				server := mustOpen(tb, pair[0])
				client := mustOpen(tb, pair[1])
				await(tb, server, true)
				_, _ = server.SetReadDeadline(time.Time{}), server.SetWriteDeadline(time.Time{})
				_, _ = client.SetReadDeadline(time.Time{}), client.SetWriteDeadline(time.Time{})
				return client, server, nil
			}, linktest.Options{NoHangup: true, Down: true, Reason: "a server waits for the next peer", NoCount: name == "stream-tcp"})
		})
	}
}

// TestHangup: a client's link ends with the connection, and what had come before is
// received.
func TestHangup(t *testing.T) {
	for name, pair := range carriers(t) {
		t.Run(name, func(t *testing.T) {
			server, client := mustOpen(t, pair[0]), mustOpen(t, pair[1])
			exchange(t, client, server)
			for i := range 5 {
				send(t, server, numbered(i))
			}
			server.Close()
			for i := range 5 {
				if f := recv(t, client); !bytes.Equal(f, numbered(i)) {
					t.Errorf("frame %d: % x", i, f)
				}
			}
			<-client.Done()
			if err := client.Err(); !errors.Is(err, link.ErrHangup) {
				t.Error(err)
			}
		})
	}
}

// TestNextPeer: a server serves one peer after the other, and a client with reconnect
// one server after the other. Frames that need not wait fail meanwhile.
func TestNextPeer(t *testing.T) {
	t.Parallel()
	for name, pair := range carriers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mustOpen(t, pair[0])
			for range 3 {
				if n, _, err := server.Send(link.Tx{Frames: [][]byte{numbered(0)}, NoWait: true}); n != 0 || !errors.Is(err, link.ErrDown) {
					t.Errorf("without a peer: %d, %v", n, err)
				}
				client := mustOpen(t, pair[1])
				exchange(t, client, server)
				client.Close()
				await(t, server, false)
			}
			server.Close()
			client := mustOpen(t, strings.TrimSuffix(pair[1], "[server=off]")+"[reconnect]")
			for range 3 {
				server := mustOpen(t, pair[0])
				exchange(t, client, server)
				server.Close()
				await(t, client, false)
			}
		})
	}
}

// TestOnePeer: a second connection is closed, and the first does not notice.
func TestOnePeer(t *testing.T) {
	t.Parallel()
	for name, pair := range carriers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, client := mustOpen(t, pair[0]), mustOpen(t, pair[1])
			exchange(t, client, server)
			for range 3 {
				second := mustOpen(t, pair[1])
				<-second.Done()
				if err := second.Err(); !errors.Is(err, link.ErrHangup) {
					t.Error(err)
				}
			}
			exchange(t, client, server)
		})
	}
}

// TestStranger: a peer that speaks something else loses its place to the next.
func TestStranger(t *testing.T) {
	p := path(t)
	server := mustOpen(t, "stream://"+p+"[server]")
	for range 3 {
		c, err := net.Dial("unix", p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\n")); err != nil {
			t.Fatal(err)
		}
		received := make(chan error, 1)
		go func() {
			_, err := server.Recv(link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1)})
			received <- err
		}()
		_ = c.SetReadDeadline(time.Now().Add(watchdog))
		if n, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("the stranger reads %d", n)
		}
		c.Close()
		await(t, server, false)
		_ = server.SetReadDeadline(time.Unix(1, 0))
		if err := <-received; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Recv: %v", err)
		}
		_ = server.SetReadDeadline(time.Now().Add(watchdog))
		if err := server.Caps().State.State().Err; err == nil || !strings.Contains(err.Error(), "4-byte big-endian lengths") {
			t.Errorf("the reason is %v", err)
		}
	}
	exchange(t, mustOpen(t, "stream://"+p), server)
}

// TestSocketFile: permissions are those asked for, the file of a dead process is
// replaced, that of a living one and anything else is not, and Close removes the file.
func TestSocketFile(t *testing.T) {
	p := path(t)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: p, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close()
	for _, c := range []struct {
		params string
		mode   fs.FileMode
	}{{"[server]", 0o700}, {"[server/mode=0660]", 0o660}, {fmt.Sprintf("[s/m=600/group=%d]", os.Getegid()), 0o600}} {
		l := mustOpen(t, "stream://"+p+c.params)
		fi, err := os.Stat(p)
		if err != nil || fi.Mode().Perm() != c.mode {
			t.Errorf("%s: %v, %v", c.params, fi.Mode(), err)
		}
		if _, err := open(t, "stream://"+p+"[server]"); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("a second server: %v", err)
		}
		if _, err := open(t, "bess://"+p+"[server]"); !errors.Is(err, unix.EADDRINUSE) {
			t.Errorf("a second server of another kind: %v", err)
		}
		if _, err := open(t, "bess://"+p); !errors.Is(err, unix.EPROTOTYPE) || !strings.Contains(err.Error(), "is the scheme right") {
			t.Errorf("a client of another kind: %v", err)
		}
		l.Close()
		if _, err := os.Stat(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after Close: %v", err)
		}
	}
	if err := os.WriteFile(p, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, "stream://"+p+"[server]"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file in the way: %v", err)
	}
	if b, err := os.ReadFile(p); string(b) != "mine" {
		t.Errorf("the file: %q, %v", b, err)
	}
}

// TestSocketFileReplaced: Close leaves a socket alone that is not its own.
func TestSocketFileReplaced(t *testing.T) {
	p := path(t)
	l := mustOpen(t, "stream://"+p+"[server]")
	if err := os.Remove(p); err != nil {
		t.Fatal(err)
	}
	other := mustOpen(t, "stream://"+p+"[server]")
	l.Close()
	exchange(t, mustOpen(t, "stream://"+p), other)
}

// TestErrors: what cannot be opened says why, and what would help.
func TestErrors(t *testing.T) {
	long := "/" + strings.Repeat("x", 120)
	for _, c := range []struct {
		text string
		want error
		says string
	}{
		{"stream://" + path(t), unix.ENOENT, "start the other side first"},
		{"stream://" + freePort(t), unix.ECONNREFUSED, "start the other side first"},
		{"stream:///nowhere/s[server]", unix.ENOENT, "/nowhere"},
		{"stream://" + long + "[server]", unix.ENAMETOOLONG, "107"},
		{"stream://" + long, unix.ENAMETOOLONG, "107"},
		{"stream://" + path(t) + "[server/group=no-such-group]", nil, "no-such-group"},
	} {
		l, err := open(t, c.text)
		if l != nil || err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

// TestOpenBounded: a server that does not accept does not hold up Open longer than
// the context.
func TestOpenBounded(t *testing.T) {
	p := path(t)
	ln, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ln)
	if err := errors.Join(unix.Bind(ln, &unix.SockaddrUnix{Name: p}), unix.Listen(ln, 0)); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, "stream://"+p) // fills the backlog
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = qemu.Driver{}.Open(ctx, vnl.Parse("stream://"+p), link.Settings{})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestOversized: a frame longer than the receiver's buffer is cut, which it is told; a
// length that no frame has ends the link.
func TestOversized(t *testing.T) {
	p := path(t)
	server, client := mustOpen(t, "stream://"+p+"[server]"), mustOpen(t, "stream://"+p)
	send(t, client, make([]byte, sockio.QEMU.MaxSize))
	sizes := make([]int, 1)
	if n, err := server.Recv(link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: sizes}); n != 1 || sizes[0] != sockio.QEMU.MaxSize {
		t.Errorf("%d of %d bytes, %v", n, sizes[0], err)
	}
	if n, _, err := client.Send(link.Tx{Frames: [][]byte{make([]byte, sockio.QEMU.MaxSize+1)}}); n != 0 || !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("%d, %v", n, err)
	}
	exchange(t, client, server)
}

// TestWriteBuffer asks for the size of the queue.
func TestWriteBuffer(t *testing.T) {
	p := path(t)
	server := mustOpen(t, "stream://"+p+"[server]")
	count := func(size int) (n int) {
		l, err := qemu.Driver{}.Open(t.Context(), vnl.Parse("stream://"+p), link.Settings{WriteBuffer: size})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { l.Close(); await(t, server, false) }()
		await(t, server, true)
		for {
			if k, _, err := l.Send(link.Tx{Frames: [][]byte{make([]byte, 1500)}, NoWait: true}); k == 0 {
				if !errors.Is(err, link.ErrFull) {
					t.Fatal(err)
				}
				return n
			}
			n++
		}
	}
	if few, many := count(8000), count(150000); few >= many {
		t.Errorf("%d frames in the small queue, %d in the large one", few, many)
	}
}

func Example() {
	dir, err := os.MkdirTemp("/tmp", "vde")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	drivers := qemu.Drivers()
	server, err := drivers.Open(context.Background(), vnl.Parse("stream://"+dir+"/vm.sock[server]"), link.Settings{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	client, err := drivers.Open(context.Background(), vnl.Parse("stream://"+dir+"/vm.sock"), link.Settings{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	n, _, err := client.Send(link.Tx{Frames: [][]byte{make([]byte, 60)}})
	fmt.Println(n, err)
	sizes := make([]int, 1)
	n, err = server.Recv(link.Rx{Bufs: [][]byte{make([]byte, 2000)}, Sizes: sizes})
	fmt.Println(n, sizes[0], err)
	// Output:
	// 1 <nil>
	// 1 60 <nil>
}
