// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio

import (
	"errors"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/link"
)

func pair(t *testing.T) (a, b *Socket) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*Socket
	for i, fd := range fds {
		if ends[i], err = New(fd, "end", false); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ends[i].Close() })
	}
	return ends[0], ends[1]
}

// registered reports whether the waiter's epoll instance holds the socket, by
// asking the kernel for a change that is none.
func registered(t *testing.T, w *waiter) bool {
	t.Helper()
	switch err := w.control(unix.EPOLL_CTL_MOD); {
	case err == nil:
		return true
	case errors.Is(err, unix.ENOENT):
		return false
	default:
		t.Fatal(err)
		return false
	}
}

// TestRegistration follows a direction through its two states.
func TestRegistration(t *testing.T) {
	a, b := pair(t)
	one, buf, size := [][]byte{{1}}, [][]byte{{0}}, []int{0}
	recv := func(wait bool) error {
		_, err := b.Recv(link.Rx{Bufs: buf, Sizes: size, NoWait: !wait})
		return err
	}
	send := func() {
		if _, _, err := a.Send(link.Tx{Frames: one}); err != nil {
			t.Fatal(err)
		}
	}
	w := &b.desc.rx
	if registered(t, w) {
		t.Fatal("the socket is registered before anybody has waited")
	}
	if err := recv(false); err != link.ErrEmpty {
		t.Fatalf("%v, want ErrEmpty", err)
	}
	if registered(t, w) {
		t.Error("a receive that does not wait registered the socket")
	}

	done := make(chan error)
	go func() { done <- recv(true) }()
	for parked := false; !parked; { // until it has looked for the last time and waits
		select {
		case err := <-done:
			t.Fatal("a receive returned with nothing to receive: ", err)
		default:
		}
		parked = registered(t, w)
	}
	send()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i := 1; i < hotAfter; i++ {
		if !registered(t, w) {
			t.Fatalf("taken out after %d receives, want %d", i, hotAfter)
		}
		send()
		if err := recv(true); err != nil {
			t.Fatal(err)
		}
	}
	if registered(t, w) {
		t.Errorf("still registered after %d receives that did not wait", hotAfter)
	}
	if registered(t, &a.desc.tx) || registered(t, &a.desc.rx) || registered(t, &b.desc.tx) {
		t.Error("a direction in which nobody waited is registered")
	}
}

// TestNoWakeupIsLost lets two goroutines hand bursts of datagrams to and fro, so
// that each receive meets the send at another moment, in either state of the
// waiter. A lost wake-up hangs the test.
func TestNoWakeupIsLost(t *testing.T) {
	a, b := pair(t)
	const rounds = 20_000
	play := func(s *Socket, serve bool) error {
		msgs, bufs, sizes := [][]byte{{1}, {2}, {3}}, [][]byte{{0}, {0}, {0}}, make([]int, 3)
		for i := range rounds {
			burst := 1 + i/100%3
			if serve {
				if _, _, err := s.Send(link.Tx{Frames: msgs[:burst]}); err != nil {
					return err
				}
			}
			for got := 0; got < burst; {
				n, err := s.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
				if err != nil {
					return err
				}
				got += n
			}
			if !serve {
				if _, _, err := s.Send(link.Tx{Frames: msgs[:burst]}); err != nil {
					return err
				}
			}
		}
		return nil
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := play(a, true); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() {
		if err := play(b, false); err != nil {
			t.Error(err)
		}
	})
	running.Wait()
}

// TestFullQueueWakesTheSender does the same with senders that wait for room.
func TestFullQueueWakesTheSender(t *testing.T) {
	a, b := pair(t)
	const total = 50_000
	msgs := make([][]byte, 32)
	for i := range msgs {
		msgs[i] = make([]byte, 1500)
	}
	sent := make(chan error, 1)
	go func() {
		for n := 0; n < total; {
			k, _, err := a.Send(link.Tx{Frames: msgs[:min(len(msgs), total-n)]})
			if err != nil {
				sent <- err
				return
			}
			n += k
		}
		sent <- nil
	}()
	bufs, sizes := make([][]byte, 64), make([]int, 64)
	for i := range bufs {
		bufs[i] = make([]byte, 1500)
	}
	for got, turn := 0, 0; got < total; turn++ {
		n, err := b.Recv(link.Rx{Bufs: bufs[:1+turn%64], Sizes: sizes})
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// TestNewAtTheDescriptorLimit checks that what New opened before it failed is
// closed, and the descriptor it was given too.
func TestNewAtTheDescriptorLimit(t *testing.T) {
	for spare := range 2 { // New needs two more
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fds[1])
		before := len(openfiles.Open())
		limit := lowerLimit(t, spare)
		s, err := New(fds[0], "end", false)
		restoreLimit(t, limit)
		if !errors.Is(err, unix.EMFILE) {
			t.Errorf("%d to spare: %v, want EMFILE", spare, err)
		}
		if s != nil {
			s.Close()
		}
		if after := len(openfiles.Open()); after != before-1 {
			t.Errorf("%d to spare: %d descriptors, then %d, want one less", spare, before, after)
		}
	}
}

// lowerLimit lets no more than spare descriptors be opened, and returns the
// limit that was.
func lowerLimit(t *testing.T, spare int) unix.Rlimit {
	t.Helper()
	var was unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	// The limit bounds the number of a new descriptor, and the lowest free one
	// is taken.
	next := 0
	for left := spare; ; next++ {
		if _, err := unix.FcntlInt(uintptr(next), unix.F_GETFD, 0); err != nil {
			if left == 0 {
				break
			}
			left--
		}
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: uint64(next), Max: was.Max}); err != nil {
		t.Fatal(err)
	}
	return was
}

func restoreLimit(t *testing.T, was unix.Rlimit) {
	t.Helper()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
}

// TestFailedRegistrationIsNotForgotten makes registering impossible: a
// receive that cannot register must say so each time, and never park.
func TestFailedRegistrationIsNotForgotten(t *testing.T) {
	_, b := pair(t)
	// The socket is there already, so adding it fails.
	if err := b.desc.rx.control(unix.EPOLL_CTL_ADD); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := b.Recv(link.Rx{Bufs: [][]byte{{0}}, Sizes: []int{0}}); !errors.Is(err, unix.EEXIST) {
			t.Fatalf("%v, want EEXIST", err)
		}
	}
}
