// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package sockio_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns the two ends of a datagram socket pair.
func pair(t testing.TB) (a, b *sockio.Socket) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return adopt(t, fds[0]), adopt(t, fds[1])
}

func adopt(t testing.TB, fd int) *sockio.Socket {
	t.Helper()
	s, err := sockio.New(fd, "test", false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// messages returns n datagrams of different lengths from min on.
func messages(n, min int) [][]byte {
	msgs := make([][]byte, n)
	for i := range msgs {
		msgs[i] = bytes.Repeat([]byte{byte(i)}, min+i)
	}
	return msgs
}

func buffers(n, size int) [][]byte {
	bufs := make([][]byte, n)
	for i := range bufs {
		bufs[i] = make([]byte, size)
	}
	return bufs
}

// fill sends until the queue is full and returns how many datagrams it took.
func fill(t testing.TB, s *sockio.Socket, size int) (n int) {
	t.Helper()
	msg := [][]byte{make([]byte, size)}
	for {
		_, _, err := s.Send(link.Tx{Frames: msg, NoWait: true})
		if errors.Is(err, link.ErrFull) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
}

func TestBatchKeepsOrderAndLengths(t *testing.T) {
	for _, n := range []int{1, 2, 7, 8, 9, 63, 64, 65, 150} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			a, b := pair(t)
			want := messages(n, 1)
			done := make(chan error, 1)
			go func() {
				sent, calls, err := a.Send(link.Tx{Frames: want})
				if sent != n || calls == 0 || calls > n {
					err = fmt.Errorf("sent %d of %d in %d calls: %v", sent, n, calls, err)
				}
				done <- err
			}()
			for got := 0; got < n; {
				bufs, sizes := buffers(100, 300), make([]int, 100)
				k, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
				if err != nil {
					t.Fatal(err)
				}
				for i := range k {
					if !bytes.Equal(bufs[i][:sizes[i]], want[got+i]) {
						t.Fatalf("datagram %d differs", got+i)
					}
				}
				got += k
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSendBuffersGathers(t *testing.T) {
	a, b := pair(t)
	many := make(net.Buffers, 1000)
	for i := range many {
		many[i] = []byte{byte(i)}
	}
	msgs := []net.Buffers{
		{[]byte("ab"), []byte("cde")},
		{[]byte("f")},
		{nil, []byte("gh"), {}, []byte("i")},
		many,
	}
	if n, _, err := a.Send(link.Tx{Pieces: msgs}); n != len(msgs) || err != nil {
		t.Fatal(n, err)
	}
	bufs, sizes := buffers(8, 2000), make([]int, 8)
	n, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
	if n != len(msgs) || err != nil {
		t.Fatal(n, err)
	}
	for i, m := range msgs {
		if want := bytes.Join(m, nil); !bytes.Equal(bufs[i][:sizes[i]], want) {
			t.Errorf("datagram %d is %q, want %q", i, bufs[i][:sizes[i]], want)
		}
	}
	tooMany := []net.Buffers{{[]byte("x")}, make(net.Buffers, 1025)}
	if n, _, err := a.Send(link.Tx{Pieces: tooMany}); n != 1 || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("1025 pieces: %d sent, %v, want 1 and EMSGSIZE", n, err)
	}
}

func TestRecvReportsTrueSizes(t *testing.T) {
	a, b := pair(t)
	slab := bytes.Repeat([]byte{0xee}, 40)
	bufs, sizes := [][]byte{slab[0:10], slab[10:20], slab[20:30], nil}, make([]int, 4)
	if n, _, err := a.Send(link.Tx{Frames: [][]byte{make([]byte, 10), make([]byte, 11), {}, make([]byte, 5)}}); n != 4 {
		t.Fatal(n, err)
	}
	n, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
	if n != 4 || err != nil {
		t.Fatal(n, err)
	}
	if want := []int{10, 11, 0, 5}; fmt.Sprint(sizes) != fmt.Sprint(want) {
		t.Errorf("sizes %v, want %v", sizes, want)
	}
	if !bytes.Equal(slab[20:], bytes.Repeat([]byte{0xee}, 20)) {
		t.Error("bytes beyond the buffers were written")
	}
}

func TestDeadlines(t *testing.T) {
	a, b := pair(t)
	bufs, sizes := buffers(1, 100), make([]int, 1)
	b.SetReadDeadline(time.Now().Add(-time.Second))
	if n, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes}); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past read deadline: %d, %v", n, err)
	}
	b.SetReadDeadline(time.Now().Add(time.Millisecond))
	if n, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes}); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read deadline: %d, %v", n, err)
	}
	fill(t, a, 1000)
	a.SetWriteDeadline(time.Now().Add(time.Millisecond))
	if n, _, err := a.Send(link.Tx{Frames: messages(3, 1)}); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write deadline: %d, %v", n, err)
	}
	if _, _, err := a.Send(link.Tx{Frames: messages(1, 1), NoWait: true}); !errors.Is(err, link.ErrFull) {
		t.Errorf("trying with a past deadline: %v, want ErrFull", err)
	}
}

// TestTryDoesNotQueueBehindAWaitingSend would hang if it did.
func TestTryDoesNotQueueBehindAWaitingSend(t *testing.T) {
	a, b := pair(t)
	queued := fill(t, a, 1000)
	waiting := make(chan error, 1)
	go func() {
		_, _, err := a.Send(link.Tx{Frames: messages(1, 1000)})
		waiting <- err
	}()
	for range 100 {
		if _, _, err := a.Send(link.Tx{Frames: messages(1, 1000), NoWait: true}); !errors.Is(err, link.ErrFull) {
			t.Fatal(err)
		}
	}
	bufs, sizes := buffers(64, 1000), make([]int, 64)
	for got := 0; got < queued+1; { // and the one that waits
		n, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if err := <-waiting; err != nil {
		t.Fatal(err)
	}
}

func TestCloseWakesEverybody(t *testing.T) {
	a, b := pair(t)
	fill(t, a, 1000)
	var wg sync.WaitGroup
	errs := make(chan error, 8)
	for range 4 {
		wg.Go(func() {
			_, _, err := a.Send(link.Tx{Frames: messages(1, 1000)})
			errs <- err
		})
		wg.Go(func() {
			_, err := a.Recv(link.Rx{Bufs: buffers(1, 10), Sizes: make([]int, 1)})
			errs <- err
		})
	}
	if _, err := a.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v, want net.ErrClosed", err)
		}
	}
	for what, f := range map[string]func() error{
		"Recv":             func() error { _, err := a.Recv(link.Rx{Bufs: buffers(1, 10), Sizes: make([]int, 1)}); return err },
		"Send":             func() error { _, _, err := a.Send(link.Tx{Frames: messages(1, 1)}); return err },
		"Send, no wait":    func() error { _, _, err := a.Send(link.Tx{Frames: messages(1, 1), NoWait: true}); return err },
		"SetReadDeadline":  func() error { return a.SetReadDeadline(time.Time{}) },
		"SetWriteDeadline": func() error { return a.SetWriteDeadline(time.Time{}) },
		"RawConn.Control":  func() error { return a.Caps().Raw.Control(func(uintptr) {}) },
		"RawConn.Read":     func() error { return a.Caps().Raw.Read(func(uintptr) bool { return true }) },
		"RawConn.Write":    func() error { return a.Caps().Raw.Write(func(uintptr) bool { return true }) },
	} {
		if err := f(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s after Close: %v, want net.ErrClosed", what, err)
		}
	}
	if _, err := a.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, _, err := b.Send(link.Tx{Frames: messages(1, 1)}); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("send to a closed peer: %v, want ECONNREFUSED", err)
	}
}

func TestCloseCountsTheUnread(t *testing.T) {
	a, b := pair(t)
	want := fill(t, a, 10)
	if n, err := b.Close(); n != want || err != nil {
		t.Errorf("%d unread, %v; %d were sent", n, err, want)
	}
}

func TestHangupDrains(t *testing.T) {
	a, b := pair(t)
	if n, _, err := a.Send(link.Tx{Frames: messages(3, 1)}); n != 3 {
		t.Fatal(err)
	}
	b.Hangup()
	b.Hangup()
	b.SetReadDeadline(time.Time{}) // must not bring waiting back
	bufs, sizes := buffers(2, 10), make([]int, 2)
	for _, want := range []int{2, 1} {
		if n, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes}); n != want || err != nil {
			t.Fatalf("%d, %v, want %d", n, err, want)
		}
	}
	for range 2 {
		if n, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes}); n != 0 || !errors.Is(err, transport.ErrDrained) {
			t.Errorf("%d, %v, want ErrDrained", n, err)
		}
	}
}

func TestRecvWithoutWaiting(t *testing.T) {
	a, b := pair(t)
	bufs, sizes := buffers(2, 10), make([]int, 2)
	b.SetReadDeadline(time.Now().Add(-time.Second)) // has no say
	if n, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: true}); n != 0 || !errors.Is(err, link.ErrEmpty) {
		t.Errorf("%d, %v, want ErrEmpty", n, err)
	}
	if n, _, err := a.Send(link.Tx{Frames: messages(1, 1)}); n != 1 {
		t.Fatal(err)
	}
	if n, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: true}); n != 1 || err != nil {
		t.Errorf("%d, %v, want 1", n, err)
	}
	b.Hangup()
	if n, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: true}); n != 0 || !errors.Is(err, transport.ErrDrained) {
		t.Errorf("%d, %v, want ErrDrained", n, err)
	}
}

func TestHangupWakes(t *testing.T) {
	a, _ := pair(t)
	fill(t, a, 1000)
	errs := make(chan error, 2)
	go func() {
		_, err := a.Recv(link.Rx{Bufs: buffers(1, 10), Sizes: make([]int, 1)})
		errs <- err
	}()
	go func() {
		_, _, err := a.Send(link.Tx{Frames: messages(1, 1000)})
		errs <- err
	}()
	a.Hangup()
	for range 2 {
		if err := <-errs; !errors.Is(err, transport.ErrDrained) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	}
}

func TestNewRefusesWhatCannotBePolled(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sockio.New(fd, "regular file", false); err == nil {
		t.Error("a regular file was accepted")
	}
	if err := unix.Close(fd); err != unix.EBADF {
		t.Errorf("the descriptor is still open (close: %v)", err)
	}
}

func TestNoAllocations(t *testing.T) {
	a, b := pair(t)
	msgs, bufs, sizes := messages(32, 60), buffers(32, 100), make([]int, 32)
	pieces := make([]net.Buffers, 32)
	for i, m := range msgs {
		pieces[i] = net.Buffers{m[:14], m[14:]}
	}
	allocs := testing.AllocsPerRun(100, func() {
		a.Send(link.Tx{Frames: msgs})
		b.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
		a.Send(link.Tx{Frames: msgs, NoWait: true})
		b.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
		a.Send(link.Tx{Pieces: pieces})
		b.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
	})
	if allocs != 0 {
		t.Errorf("%v allocations in six batches, want 0", allocs)
	}
}
