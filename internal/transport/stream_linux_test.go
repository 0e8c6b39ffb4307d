// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package transport_test

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/internal/transport"
)

// streams returns the two ends of a control stream; the end of the test closes
// them.
func streams(tb testing.TB) (a, b *transport.Stream) {
	tb.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		tb.Fatal(err)
	}
	var ends [2]*transport.Stream
	for i, fd := range fds {
		if ends[i], err = transport.NewStream(fd, "control"); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { ends[i].Close() })
	}
	return ends[0], ends[1]
}

// pipes returns the write ends of so many pipes, and what closes both ends.
func pipes(t *testing.T, n int) (readers []*os.File, fds []int) {
	t.Helper()
	for range n {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close(); w.Close() })
		readers = append(readers, r)
		raw, err := w.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { fds = append(fds, int(fd)) })
	}
	return readers, fds
}

// TestStreamDescriptors sends descriptors in one message and in several: so many
// as are allowed are kept, and are those that were sent; the others are closed.
func TestStreamDescriptors(t *testing.T) {
	for name, sizes := range map[string][]int{
		"one message": {2}, "all that are kept": {3}, "too many": {5}, "more than the kernel has room for": {200},
		"two messages": {1, 1}, "too many in two": {2, 3},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := streams(t)
			readers, fds := pipes(t, 3)
			before := len(openfiles.Open())
			sent := 0
			for _, n := range sizes {
				list := make([]int, n)
				for i := range list {
					list[i] = fds[(sent+i)%len(fds)]
				}
				if err := a.Write([]byte("x"), list); err != nil {
					t.Fatal(err)
				}
				var buf [1]byte
				if _, err := io.ReadFull(b, buf[:]); err != nil || buf[0] != 'x' {
					t.Fatalf("%q, %v", buf, err)
				}
				sent += n
			}
			got := b.Descriptors()
			if want := min(sent, transport.MaxDescriptors); len(got) != want {
				t.Fatalf("%d descriptors, want %d", len(got), want)
			}
			if n := len(openfiles.Open()); n != before+len(got) {
				t.Errorf("%d descriptors are open, want %d", n, before+len(got))
			}
			for i, fd := range got {
				if _, err := unix.Write(fd, []byte{byte(i)}); err != nil {
					t.Fatal(err)
				}
				var b [1]byte
				if _, err := readers[i].Read(b[:]); err != nil || b[0] != byte(i) {
					t.Errorf("descriptor %d is another: %v, %v", i, b, err)
				}
			}
			if again := b.Descriptors(); again != nil {
				t.Errorf("handed over twice: %v", again)
			}
			transport.CloseDescriptors(append(got, -1))
			if n := len(openfiles.Open()); n != before {
				t.Errorf("%d descriptors are open, want %d", n, before)
			}
		})
	}
}

// TestStreamNoDescriptors checks that none arrives where none is wanted, and that
// the bytes do.
func TestStreamNoDescriptors(t *testing.T) {
	a, b := streams(t)
	b.NoDescriptors = true
	_, fds := pipes(t, 2)
	before := len(openfiles.Open())
	if err := a.Write([]byte("text"), fds); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4)
	if _, err := io.ReadFull(b, buf); err != nil || string(buf) != "text" {
		t.Errorf("%q, %v", buf, err)
	}
	if got := b.Descriptors(); got != nil {
		t.Errorf("got %v", got)
	}
	if n := len(openfiles.Open()); n != before {
		t.Errorf("%d descriptors are open, want %d", n, before)
	}
}

// TestStreamReadAvailable reads what there is, whatever the deadline.
func TestStreamReadAvailable(t *testing.T) {
	a, b := streams(t)
	buf := make([]byte, 10)
	if n := b.ReadAvailable(buf); n != 0 {
		t.Errorf("%d bytes of nothing", n)
	}
	for _, s := range []string{"abc", "defg"} {
		if err := a.Write([]byte(s), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("Read past the deadline: %v", err)
	}
	if n := b.ReadAvailable(buf[:5]); string(buf[:n]) != "abcde" {
		t.Errorf("%q", buf[:n])
	}
	if n := b.ReadAvailable(buf); string(buf[:n]) != "fg" {
		t.Errorf("%q", buf[:n])
	}
	a.Close()
	if n := b.ReadAvailable(buf); n != 0 {
		t.Errorf("%d bytes after the end", n)
	}
	b.Close()
	if n := b.ReadAvailable(buf); n != 0 {
		t.Errorf("%d bytes of a closed stream", n)
	}
}

// TestStreamPeer checks who is said to be at the other end.
func TestStreamPeer(t *testing.T) {
	a, b := streams(t)
	cred, err := a.Peer()
	if err != nil || int(cred.Pid) != os.Getpid() || int(cred.Uid) != os.Getuid() || !a.InProcess() {
		t.Errorf("%+v, %v, in this process: %v", cred, err, a.InProcess())
	}
	a.Close()
	if _, err := a.Peer(); err == nil || a.InProcess() {
		t.Errorf("a closed stream has a peer: %v", err)
	}
	_ = b
}

// TestStreamEnded checks what counts as the end, and that nothing is read for it.
func TestStreamEnded(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(a, b *transport.Stream)
		want bool
	}{
		"open":                  {func(a, b *transport.Stream) {}, false},
		"with data":             {func(a, b *transport.Stream) { a.Write([]byte("x"), nil) }, false},
		"closed with data left": {func(a, b *transport.Stream) { a.Write([]byte("x"), nil); a.Close() }, false},
		"closed":                {func(a, b *transport.Stream) { a.Close() }, true},
		"shut down":             {func(a, b *transport.Stream) { a.Shutdown() }, true},
		"shut down here":        {func(a, b *transport.Stream) { b.Shutdown() }, true},
		"closed here":           {func(a, b *transport.Stream) { b.Close() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := streams(t)
			test.do(a, b)
			for range 2 {
				if got := b.Ended(); got != test.want {
					t.Errorf("%v, want %v", got, test.want)
				}
			}
		})
	}
}

// TestStreamShutdown checks that readers at both ends notice.
func TestStreamShutdown(t *testing.T) {
	a, b := streams(t)
	ends := make(chan error, 2)
	for _, s := range []*transport.Stream{a, b} {
		go func() {
			_, err := s.Read(make([]byte, 1))
			ends <- err
		}()
	}
	a.Shutdown()
	got := []error{<-ends, <-ends}
	if !slices.Equal(got, []error{io.EOF, io.EOF}) {
		t.Errorf("%v", got)
	}
	a.Close()
	a.Shutdown() // of a closed stream does nothing
}

// TestStreamClose checks that it wakes a reader.
func TestStreamClose(t *testing.T) {
	a, _ := streams(t)
	end := make(chan error, 1)
	go func() {
		_, err := a.Read(make([]byte, 1))
		end <- err
	}()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := <-end; err != net.ErrClosed {
		t.Errorf("Read of a closed stream: %v", err)
	}
	if err := a.Write([]byte("x"), nil); err == nil {
		t.Error("Write to a closed stream succeeds")
	}
}
