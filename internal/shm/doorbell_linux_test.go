// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A spoiler is a peer that has copies of all sockets of its own doorbells and can
// do anything to them. Indices are as in newEnd: for frames, for room.
type spoiler struct {
	*End
	victim    *End
	near, far [2]int // of its doorbells
	rings     [2]int // what it has of the victim's

	deaf bool // it has made sure that the victim cannot be rung any more
}

func newSpoiler(tb testing.TB) *spoiler {
	tb.Helper()
	o, err := NewOffer(FeatureRings, 64)
	if err != nil {
		tb.Fatal(err)
	}
	s := new(spoiler)
	s.far = [2]int(dup(tb, o.Descriptors()[1:]))
	for i, d := range o.ours {
		if err := d.raw.Control(func(fd uintptr) { s.near[i] = dup(tb, []int{int(fd)})[0] }); err != nil {
			tb.Fatal(err)
		}
	}
	victim, _, attach, err := Accept(dup(tb, o.Descriptors()), FeatureRings)
	if err != nil {
		tb.Fatal(err)
	}
	s.victim = victim
	s.rings = [2]int(dup(tb, attach))
	if s.End, _, err = o.Taken(dup(tb, attach)); err != nil {
		tb.Fatal(err)
	}
	victim.Attached()
	return s
}

func (s *spoiler) close() {
	s.victim.Close()
	s.End.Close()
	for _, fds := range [][2]int{s.near, s.far, s.rings} {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}
}

// fillSocket sends so many bytes together on fd until that would wait, or
// somebody has read a lot.
func fillSocket(fd, together int) {
	b := make([]byte, together)
	for range 1000 {
		if unix.Send(fd, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL) != nil {
			return
		}
	}
}

// spoil does one thing to its doorbells, or those of the victim.
func (s *spoiler) spoil(what, where, how byte) {
	i, fds := int(where%2), [][2]int{s.near, s.far, s.rings}[where/2%3]
	fd, toVictim := fds[i], where/2%3 == 2
	switch what % 16 {
	case 0:
		together := 1 // as one rings
		if !toVictim {
			together += int(how) << 6
		}
		fillSocket(fd, together)
	case 1:
		_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0) // blocking
	case 2:
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, int(how)<<8)
	case 3:
		_ = unix.Shutdown(fd, int(how%3))
		s.deaf = s.deaf || toVictim
	case 4:
		_, _, _ = unix.Recvfrom(fd, make([]byte, int(how)+1), unix.MSG_DONTWAIT)
	case 5:
		_ = unix.Sendmsg(fd, []byte{how}, unix.UnixRights(fd, int(os.Stdin.Fd())), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	case 6:
		_ = unix.Send(fd, make([]byte, int(how)+1), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL|unix.MSG_OOB)
		s.deaf = s.deaf || toVictim // what is to ring is one byte, and in its turn
	case 7:
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, int(how)<<8)
	case 8:
		_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3600})
	case 9:
		_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{Sec: 3600})
	case 10:
		s.tx.ring.roomWakeup.Store(uint32(how))
		s.rx.ring.frameWakeup.Store(uint32(how))
	case 11:
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, int(how%2))
	}
}

// watchdog ends the process if what it watches does not return. stop must be
// called when it has.
func watchdog() (stop func()) {
	t := time.AfterFunc(30*time.Second, func() {
		debug.SetTraceback("all")
		panic("a call does not return")
	})
	return func() { t.Stop() }
}

// A peer that fills the victim's doorbell, with a buffer that it has enlarged, and then
// makes the buffer smaller, can still ring.
func TestDoorbellOverfilled(t *testing.T) {
	defer watchdog()()
	s := newSpoiler(t)
	defer s.close()
	setBuffer := func(size int) {
		if err := unix.SetsockoptInt(s.rings[0], unix.SOL_SOCKET, unix.SO_SNDBUF, size); err != nil {
			t.Fatal(err)
		}
	}
	setBuffer(64 << 10)
	fillSocket(s.rings[0], 1)
	setBuffer(0)
	received := make(chan error)
	go func() {
		_, err := s.victim.Recv(newSlab(64).rx(maxBatch))
		received <- err
	}()
	for s.tx.ring.frameWakeup.Load() == 0 {
		runtime.Gosched()
	}
	noWait := short
	noWait.NoWait = true
	if _, _, err := s.End.Send(noWait); err != nil {
		t.Error(err)
	}
	if err := <-received; err != nil {
		t.Error(err)
	}
}

// FuzzDoorbell has a peer do anything to its doorbells, and send and receive in
// between. The victim's calls return, and it gets all frames that the peer rang
// for; only a peer that has made the victim's doorbells useless loses that.
func FuzzDoorbell(f *testing.F) {
	f.Add([]byte{0, 2, 1, 1, 2, 0, 13, 0, 0, 12, 0, 0, 0, 4, 0, 12, 0, 0, 10, 0, 1, 13, 0, 0})
	f.Add([]byte{3, 2, 0, 13, 0, 0, 3, 4, 1, 12, 0, 0, 10, 0, 0})
	f.Add([]byte{6, 4, 9, 12, 0, 0, 5, 4, 1, 12, 0, 0, 0, 4, 0, 12, 0, 0, 12, 0, 0})
	f.Add([]byte{2, 4, 0, 0, 4, 0, 12, 0, 0, 12, 0, 0, 7, 0, 0, 13, 0, 0})
	f.Add([]byte{2, 4, 255, 0, 4, 0, 2, 4, 0, 12, 0, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		defer watchdog()()
		s := newSpoiler(t)
		defer s.close()
		var receiving sync.WaitGroup
		var got atomic.Int64
		all := make(chan struct{}, 1)
		receiving.Go(func() {
			for into := newSlab(64); ; {
				n, err := s.victim.Recv(into.rx(maxBatch))
				if err != nil {
					return
				}
				got.Add(int64(n))
				select {
				case all <- struct{}{}:
				default:
				}
			}
		})
		noWait := short
		noWait.NoWait = true
		sent, into := 0, newSlab(64)
		send := func() {
			n, _, _ := s.End.Send(noWait)
			sent += n
		}
		for ; len(ops) >= 3; ops = ops[3:] {
			switch ops[0] % 16 {
			case 12:
				send()
			case 13, 14:
				_, _, _ = s.victim.Send(noWait)
			case 15:
				rx := into.rx(maxBatch)
				rx.NoWait = true
				_, _ = s.End.Recv(rx)
			default:
				s.spoil(ops[0], ops[1], ops[2])
			}
		}
		send() // by the rules
		for !s.deaf && got.Load() < int64(sent) {
			<-all
		}
		s.victim.Close()
		receiving.Wait()
	})
}
