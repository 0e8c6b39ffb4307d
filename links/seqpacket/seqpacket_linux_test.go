// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package seqpacket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/links/seqpacket"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns two connected sockets of a kind.
func pair(tb testing.TB, kind int) (a, b int) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		tb.Fatal(err)
	}
	return fds[0], fds[1]
}

func open(tb testing.TB, text string) (link.Link, error) {
	tb.Helper()
	l, err := seqpacket.Driver{}.Open(tb.Context(), vnl.Parse(text), link.Settings{})
	if err == nil {
		tb.Cleanup(func() { l.Close() })
	}
	return l, err
}

// half returns a link and the socket at its other end.
func half(tb testing.TB) (link.Link, int) {
	tb.Helper()
	a, b := pair(tb, unix.SOCK_SEQPACKET)
	tb.Cleanup(func() { unix.Close(b) })
	l, err := open(tb, fmt.Sprint("seqpacket://", a))
	if err != nil {
		tb.Fatal(err)
	}
	return l, b
}

func TestLink(t *testing.T) {
	linktest.Test(t, func(tb testing.TB) (a, b link.Link, err error) {
		x, y := pair(tb, unix.SOCK_SEQPACKET)
		if a, err = open(tb, fmt.Sprint("seqpacket://", x)); err == nil {
			b, err = open(tb, fmt.Sprintf("seqpacket://%#x", y))
		}
		return a, b, err
	}, linktest.Options{})
}

// TestNumbers reads the numbers of descriptors as C does.
func TestNumbers(t *testing.T) {
	for _, form := range []string{"%d", "%#x", "%#X", "%#o"} {
		a, b := pair(t, unix.SOCK_SEQPACKET)
		defer unix.Close(b)
		l, err := open(t, "seqpacket://"+fmt.Sprintf(form, a))
		if err != nil {
			t.Errorf("%s: %v", form, err)
			unix.Close(a)
			continue
		}
		if got, want := l.Caps().Address, "seqpacket://"+fmt.Sprintf(form, a); got != want {
			t.Errorf("address %q, want %q", got, want)
		}
		if flags, err := unix.FcntlInt(uintptr(a), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("flags %#x, %v", flags, err)
		}
		l.Close()
		if _, err := unix.FcntlInt(uintptr(a), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("after Close: %v", err)
		}
	}
	for _, text := range []string{"", "x", "-1", "1_0", "0b11", "0o7", "3 ", "99999999999", "3/x", "0x", "089"} {
		if _, err := open(t, "seqpacket://"+text); !errors.Is(err, unix.EINVAL) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzNumber compares the reading of numbers with what a number says in its own
// form.
func FuzzNumber(f *testing.F) {
	for _, s := range []string{"3", "0x10", "010", "0", "1_0", "0b1", "0O7", "00", "0X1f", "08", "2147483648", "+1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		digits, base := text, 10
		switch lower := strings.ToLower(text); {
		case strings.HasPrefix(lower, "0x"):
			digits, base = text[2:], 16
		case strings.HasPrefix(lower, "0"):
			base = 8
		}
		want, err := strconv.ParseInt(digits, base, 32)
		valid := err == nil && digits != "" && digits[0] != '+' && digits[0] != '-'
		if valid && want < 1000 {
			return // it may be open
		}
		_, got := open(t, "seqpacket://"+text)
		if valid != errors.Is(got, unix.EBADF) || valid == errors.Is(got, unix.EINVAL) {
			t.Errorf("%q: %v; a number: %v", text, got, valid)
		}
	})
}

// TestNotASocketOfPackets says what the descriptor is instead, and leaves it open.
func TestNotASocketOfPackets(t *testing.T) {
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	stream, other := pair(t, unix.SOCK_STREAM)
	defer unix.Close(other)
	defer unix.Close(stream)
	alone, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(alone)
	for _, c := range []struct {
		fd    int
		errno error
		says  string
	}{
		{1 << 30, unix.EBADF, "is not open"},
		{int(file.Fd()), unix.ENOTSOCK, "a character device"},
		{int(dir.Fd()), unix.ENOTSOCK, "a directory"},
		{int(r.Fd()), unix.ENOTSOCK, "a pipe"},
		{stream, unix.EPROTOTYPE, "SOCK_STREAM"},
		{alone, unix.ENOTCONN, "without a peer"},
	} {
		_, err := open(t, fmt.Sprint("seqpacket://", c.fd))
		if !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v; want %v and %q", err, c.errno, c.says)
		}
		if _, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFD, 0); c.errno != unix.EBADF && err != nil {
			t.Errorf("descriptor %d was closed", c.fd)
		}
	}
}

func recv(l link.Link, batch int) (frames [][]byte, err error) {
	bufs, sizes := make([][]byte, batch), make([]int, batch)
	for i := range bufs {
		bufs[i] = make([]byte, 2000)
	}
	n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
	for i := range n {
		frames = append(frames, bufs[i][:sizes[i]])
	}
	return frames, err
}

// TestEmpty: an empty frame is not sent, because a C program takes it for the end.
// An empty packet is no end here as long as the other side has not closed.
func TestEmpty(t *testing.T) {
	l, peer := half(t)
	f := make([]byte, 60)
	if n, _, err := l.Send(link.Tx{Frames: [][]byte{{}, f, {}, {}, f, {}}}); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	if n, _, err := l.Send(link.Tx{Pieces: []net.Buffers{{}, {f[:20], f[20:]}, {nil}}, NoWait: true}); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	for range 3 {
		if n, err := unix.Read(peer, make([]byte, 100)); n != 60 || err != nil {
			t.Fatal(n, err)
		}
	}
	for _, p := range [][]byte{{}, f, {}} {
		if err := unix.Send(peer, p, 0); err != nil {
			t.Fatal(err)
		}
	}
	var sizes []int
	for len(sizes) < 3 {
		frames, err := recv(l, 8)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range frames {
			sizes = append(sizes, len(f))
		}
	}
	if fmt.Sprint(sizes) != "[0 60 0]" {
		t.Error(sizes)
	}
	if l.Err() != nil {
		t.Error(l.Err())
	}
}

// TestEnd: what the other side had sent comes before its end, also if it has closed
// with frames of ours unread, which the kernel tells first.
func TestEnd(t *testing.T) {
	for _, unread := range []bool{false, true} {
		a, b := pair(t, unix.SOCK_SEQPACKET)
		l, err := open(t, fmt.Sprint("seqpacket://", a))
		if err != nil {
			t.Fatal(err)
		}
		f := bytes.Repeat([]byte{7}, 60)
		if unread {
			if n, _, err := l.Send(link.Tx{Frames: [][]byte{f}}); n != 1 {
				t.Fatal(err)
			}
		}
		for range 5 {
			if err := unix.Send(b, f, 0); err != nil {
				t.Fatal(err)
			}
		}
		unix.Close(b)
		<-l.Done()
		for got := 0; got < 5; {
			frames, err := recv(l, 3)
			if err != nil {
				t.Fatalf("unread %v: after %d frames: %v", unread, got, err)
			}
			for _, g := range frames {
				if !bytes.Equal(g, f) {
					t.Errorf("% x", g)
				}
			}
			got += len(frames)
		}
		if frames, err := recv(l, 3); !errors.Is(err, link.ErrHangup) {
			t.Errorf("unread %v: %d frames, %v", unread, len(frames), err)
		}
		if n, _, err := l.Send(link.Tx{Frames: [][]byte{f}}); n != 0 || !errors.Is(err, link.ErrHangup) {
			t.Errorf("unread %v: %d, %v", unread, n, err)
		}
	}
}

// startPlug starts a vde_plug at seqpacket://3 and opens the other end.
func startPlug(t *testing.T) (*testpeers.VdePlug, *vde.Conn) {
	t.Helper()
	a, b := pair(t, unix.SOCK_SEQPACKET)
	theirs := os.NewFile(uintptr(b), "seqpacket")
	p := testpeers.StartVdePlugFiles(t, []*os.File{theirs}, "seqpacket://3")
	theirs.Close()
	c, err := vde.Open(t.Context(), fmt.Sprint("seqpacket://", a))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return p, c
}

func numbered(n int) []byte {
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	return append(f, bytes.Repeat([]byte{byte(n)}, 46+n)...)
}

// TestAgainstVdePlug exchanges frames with the C program, which then ends when we
// close, or is killed, which we notice.
func TestAgainstVdePlug(t *testing.T) {
	for _, kill := range []bool{false, true} {
		p, c := startPlug(t)
		for i := range 100 {
			if _, err := c.Write(numbered(i)); err != nil {
				t.Fatal(err)
			}
			if f, err := p.Recv(t.Context()); err != nil || !bytes.Equal(f, numbered(i)) {
				t.Fatalf("to C: % x, %v", f, err)
			}
			if err := p.Send(numbered(i)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 2000)
			if n, err := c.Read(buf); err != nil || !bytes.Equal(buf[:n], numbered(i)) {
				t.Fatalf("from C: % x, %v", buf[:n], err)
			}
		}
		if kill {
			p.Kill()
			<-c.Context().Done()
			if _, err := c.Read(make([]byte, 100)); !errors.Is(err, vde.ErrHangup) {
				t.Errorf("after the peer was killed: %v", err)
			}
			continue
		}
		c.Close()
		if err := p.Wait(t.Context()); err != nil {
			t.Errorf("vde_plug at our end: %v", err)
		}
	}
}

// TestNoAllocations moves batches without allocating.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	l, peer := half(t)
	m, err := open(t, fmt.Sprint("seqpacket://", peer))
	if err != nil {
		t.Fatal(err)
	}
	frames, bufs, sizes := make([][]byte, 16), make([][]byte, 16), make([]int, 16)
	for i := range frames {
		frames[i], bufs[i] = make([]byte, 1514), make([]byte, 1514)
	}
	if n := testing.AllocsPerRun(100, func() {
		if n, _, err := l.Send(link.Tx{Frames: frames}); n != len(frames) {
			t.Fatal(err)
		}
		for got := 0; got < len(frames); {
			n, err := m.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}); n > 0 {
		t.Errorf("%v allocations a batch", n)
	}
	m.Close()
}

// A parent process passes one end of a socket pair on, and its child opens it.
func Example() {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer unix.Close(fds[1])
	c, err := vde.Open(context.Background(), fmt.Sprint("seqpacket://", fds[0]))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	n, err := c.Write(make([]byte, 60))
	fmt.Println(n, err)
	// Output: 60 <nil>
}
