// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package linktest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// open: a link that nobody has closed is open, also after use.
func (s *suite) open() {
	for range 2 {
		for _, l := range []link.Link{s.a, s.b} {
			select {
			case <-l.Done():
				s.Errorf("Done of an open link is closed")
			default:
			}
			if err := l.Err(); err != nil {
				s.Errorf("Err of an open link: %v", err)
			}
		}
		f := s.frame(60)
		s.exchange(s.a, s.b, link.Tx{Frames: [][]byte{f}}, [][]byte{f})
	}
}

// caps: what Caps has and has not stays so, to the end and beyond; what it says
// stays so while the link is open.
func (s *suite) caps() {
	before := kindsOf(s.b.Caps())
	ended := false
	same := func(when string) {
		after := kindsOf(s.b.Caps())
		if ended {
			after.address, after.offload, after.shared = before.address, before.offload, before.shared
		}
		if after != before {
			s.Errorf("Caps %s: %+v, before %+v", when, after, before)
		}
	}
	same("asked again")
	f := s.frame(60)
	s.exchange(s.a, s.b, link.Tx{Frames: [][]byte{f}}, [][]byte{f})
	same("after a frame has come")
	s.exchange(s.b, s.a, link.Tx{Frames: [][]byte{f}}, [][]byte{f})
	same("after a frame was sent")
	s.a.Close()
	if !s.NoHangup {
		<-s.b.Done()
		ended = true
		same("after the end")
	}
	if c := s.b.Caps().Counters; c != nil {
		c()
	}
	s.b.Close()
	if c := s.b.Caps().Counters; c != nil {
		c() // which must not need an open link
	}
}

// kinds is what a link has, in a comparable form.
type kinds struct {
	address                                string
	offload                                link.Offload
	shared                                 bool
	raw, buffers, notifier, state, counter bool
}

func kindsOf(c link.Caps) kinds {
	return kinds{
		c.Address, c.Offload, c.SharedMemory,
		c.Raw != nil, c.Buffers != nil, c.Notifier != nil, c.State != nil, c.Counters != nil,
	}
}

// batches: frames arrive whole, in order and once, in both directions.
func (s *suite) batches() {
	for _, count := range []int{1, 2, 7, 64, 200} {
		for _, pair := range [][2]link.Link{{s.a, s.b}, {s.b, s.a}} {
			want := s.frames(count)
			s.exchange(pair[0], pair[1], link.Tx{Frames: want}, want)
			if s.Lossy {
				s.drain(pair[1])
			}
		}
	}
	for _, t := range []link.Tx{{}, {NoWait: true}, {Frames: [][]byte{}}, {Pieces: []net.Buffers{}, Headers: []frame.VNetHeader{}}} {
		if n, calls, err := s.a.Send(t); n != 0 || calls != 0 || err != nil {
			s.Errorf("Send of nothing returned %d, %d, %v", n, calls, err)
		}
	}
}

// drain receives what is left without waiting.
func (s *suite) drain(l link.Link) {
	r := s.receiver(64)
	for {
		if _, err := r.recv(l, true); err != nil {
			return
		}
	}
}

// pieces: a frame in pieces is one frame, also with pieces that are empty.
func (s *suite) pieces() {
	want := s.frames(20)
	pieces := make([]net.Buffers, len(want))
	for i, f := range want {
		cut := min(i*5, len(f))
		pieces[i] = net.Buffers{f[:0], f[:cut/2], f[cut/2 : cut], f[cut:]}
	}
	s.exchange(s.a, s.b, link.Tx{Pieces: pieces}, want)
}

// sizes: a buffer that is too short gets the beginning, and the size tells.
func (s *suite) sizes() {
	long, short := s.frame(200), s.frame(60)
	if n, _, err := s.a.Send(link.Tx{Frames: [][]byte{long, short}}); n != 2 {
		s.Fatalf("Send: %d, %v", n, err)
	}
	buf := make([]byte, 100, 300)
	sizes := make([]int, 1)
	if n, err := s.b.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 {
		s.Fatalf("Recv: %d, %v", n, err)
	}
	switch {
	case sizes[0] <= len(buf):
		s.Errorf("the size of a frame of 200 bytes in a buffer of 100 is %d, want more than 100", sizes[0])
	case !bytes.Equal(buf, long[:100]):
		s.Errorf("the buffer does not hold the beginning of the frame")
	case !bytes.Equal(buf[100:200], make([]byte, 100)):
		s.Errorf("Recv wrote beyond the length of the buffer")
	}
	s.expect(s.b, [][]byte{short})

	// Without room for a single byte, the size tells all the same.
	f := s.frame(60)
	if n, _, err := s.a.Send(link.Tx{Frames: [][]byte{f, f}}); n != 2 {
		s.Fatalf("Send: %d, %v", n, err)
	}
	for _, buf := range [][]byte{nil, {}} {
		if n, err := s.b.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 || sizes[0] <= 0 {
			s.Fatalf("Recv into no bytes: %d of size %d, %v", n, sizes[0], err)
		}
	}
}

// headers: ordinary frames have zero headers, and may be sent with them.
func (s *suite) headers() {
	want := s.frames(3)
	if n, _, err := s.a.Send(link.Tx{Frames: want, Headers: make([]frame.VNetHeader, 3)}); n != 3 {
		s.Fatalf("Send with Headers: %d, %v", n, err)
	}
	headers := make([]frame.VNetHeader, 4)
	bufs := make([][]byte, 4)
	for i := range bufs {
		bufs[i] = make([]byte, s.MaxFrameSize)
	}
	for came := 0; came < len(want); {
		for i := range headers {
			headers[i] = frame.VNetHeader{GSOType: 77}
		}
		n, err := s.b.Recv(link.Rx{Bufs: bufs, Sizes: make([]int, 4), Headers: headers})
		if err != nil {
			s.Fatalf("Recv with Headers: %v", err)
		}
		for i, h := range headers[:n] {
			if h.Partial() {
				s.Errorf("frame %d has the header %+v, none was sent", came+i, h)
			}
		}
		if came += n; s.Lossy {
			return
		}
	}
}

// lent: Send does not change what it was given.
func (s *suite) lent() {
	frames := s.frames(10)
	before := make([][]byte, len(frames))
	for i, f := range frames {
		before[i] = slices.Clone(f)
	}
	given := slices.Clone(frames)
	s.exchange(s.a, s.b, link.Tx{Frames: given}, before)
	for i := range frames {
		if !bytes.Equal(frames[i], before[i]) || &given[i][0] != &frames[i][0] {
			s.Errorf("frame %d was changed", i)
		}
	}
	// What was sent is the link's business no more.
	clear(frames[0])
}

// recvNoWait: without a frame it says so at once, also past the deadline.
func (s *suite) recvNoWait() {
	r := s.receiver(4)
	for range 2 {
		if got, err := r.recv(s.b, true); !errors.Is(err, link.ErrEmpty) {
			s.Fatalf("Recv with NoWait and nothing there: %d, %v, want ErrEmpty", len(got), err)
		}
		if err := s.b.SetReadDeadline(time.Unix(1, 0)); err != nil {
			s.Fatalf("SetReadDeadline: %v", err)
		}
	}
	_ = s.b.SetReadDeadline(time.Time{})
	f := s.frame(60)
	s.exchange(s.a, s.b, link.Tx{Frames: [][]byte{f}}, [][]byte{f})
}

// sendNoWait: what was sent before the queue was full arrives, the rest does not.
func (s *suite) sendNoWait() {
	sent := s.fill(s.a)
	sent = append(sent, s.fill(s.a)...)
	s.expect(s.b, sent)
	f := s.frame(60)
	s.exchange(s.a, s.b, link.Tx{Frames: [][]byte{f}}, [][]byte{f}) // and nothing before it
}

// awaitRoom: it returns when the receiver has made room.
func (s *suite) awaitRoom() {
	sent := s.fill(s.a)
	room := make(chan error, 1)
	go func() { room <- s.a.AwaitRoom() }()
	s.expect(s.b, sent)
	if err := <-room; err != nil {
		s.Fatalf("AwaitRoom: %v", err)
	}
	f := s.frame(60)
	if n, _, err := s.a.Send(link.Tx{Frames: [][]byte{f}, NoWait: true}); n != 1 {
		s.Errorf("Send with NoWait after AwaitRoom: %d, %v", n, err)
	}
}

// readDeadline: past, changed while a call waits, and none again.
func (s *suite) readDeadline() {
	r := s.receiver(1)
	f := s.frame(60)
	if n, _, err := s.a.Send(link.Tx{Frames: [][]byte{f}}); n != 1 {
		s.Fatalf("Send: %v", err)
	}
	_ = s.b.SetReadDeadline(time.Unix(1, 0))
	if _, err := r.recv(s.b, false); !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Fatalf("Recv past the deadline: %v", err)
	}
	_ = s.b.SetReadDeadline(time.Time{})
	s.expect(s.b, [][]byte{f})

	waiting := make(chan error, 1)
	go func() {
		_, err := r.recv(s.b, false)
		waiting <- err
	}()
	_ = s.b.SetReadDeadline(time.Now().Add(time.Hour))
	_ = s.b.SetReadDeadline(time.Now().Add(time.Millisecond))
	if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Errorf("Recv at the deadline: %v", err)
	}
	_ = s.b.SetReadDeadline(time.Time{})
	f = s.frame(60)
	s.exchange(s.a, s.b, link.Tx{Frames: [][]byte{f}}, [][]byte{f})
}

// writeDeadline: past, changed while a call waits, and none again.
func (s *suite) writeDeadline() {
	_ = s.a.SetWriteDeadline(time.Unix(1, 0))
	f := numbered(0, 60)
	if n, _, err := s.a.Send(link.Tx{Frames: [][]byte{f}}); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Errorf("Send past the deadline: %d, %v", n, err)
	}
	sent := s.fill(s.a) // NoWait does not look at it
	_ = s.a.SetWriteDeadline(time.Time{})
	more := s.flood(s.a)
	_ = s.a.SetWriteDeadline(time.Now().Add(time.Millisecond))
	result := <-more
	if sent = append(sent, result.sent...); !errors.Is(result.err, os.ErrDeadlineExceeded) {
		s.Errorf("Send at the deadline: %v", result.err)
	}
	if err := s.a.AwaitRoom(); !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Errorf("AwaitRoom past the deadline: %v", err)
	}
	_ = s.a.SetWriteDeadline(time.Time{})
	s.expect(s.b, sent)
	f = s.frame(60)
	s.exchange(s.a, s.b, link.Tx{Frames: [][]byte{f}}, [][]byte{f})
}

// closeWakesRecv: Close ends a Recv that waits.
func (s *suite) closeWakesRecv() {
	r := s.receiver(1)
	err := make(chan error, 1)
	go func() {
		_, e := r.recv(s.b, false)
		err <- e
	}()
	if _, e := s.b.Close(); e != nil {
		s.Errorf("Close: %v", e)
	}
	s.wantClosed("Recv", <-err)
}

// closeWakesSend: Close ends a Send that waits.
func (s *suite) closeWakesSend() {
	s.fill(s.a)
	waiting := s.flood(s.a)
	if _, e := s.a.Close(); e != nil {
		s.Errorf("Close: %v", e)
	}
	s.wantClosed("Send", (<-waiting).err)
}

// closeCounts: Close says how many frames nobody received.
func (s *suite) closeCounts() {
	want := 5
	if n, _, err := s.a.Send(link.Tx{Frames: s.frames(want)}); n != want {
		s.Fatalf("Send: %d, %v", n, err)
	}
	got, err := s.receiver(2).recv(s.b, false)
	if err != nil {
		s.Fatalf("Recv: %v", err)
	}
	unread, err := s.b.Close()
	if err != nil || unread != want-len(got) {
		s.Errorf("Close: %d unread, %v; want %d", unread, err, want-len(got))
	}
	if unread, err = s.b.Close(); unread != 0 || err != nil {
		s.Errorf("second Close: %d, %v", unread, err)
	}
}

// closed: every call after Close fails.
func (s *suite) closed() {
	s.a.Close()
	_, err := s.receiver(1).recv(s.a, false)
	s.wantClosed("Recv", err)
	_, err = s.receiver(1).recv(s.a, true)
	s.wantClosed("Recv with NoWait", err)
	_, _, err = s.a.Send(link.Tx{Frames: [][]byte{s.frame(60)}})
	s.wantClosed("Send", err)
	_, _, err = s.a.Send(link.Tx{Frames: [][]byte{s.frame(60)}, NoWait: true})
	s.wantClosed("Send with NoWait", err)
	s.wantClosed("AwaitRoom", s.a.AwaitRoom())
	s.wantClosed("SetReadDeadline", s.a.SetReadDeadline(time.Time{}))
	s.wantClosed("SetWriteDeadline", s.a.SetWriteDeadline(time.Time{}))
}

// hangup: when the other side is closed, Done says so, what it had sent is
// delivered, and every later call fails with the reason.
func (s *suite) hangup() {
	want := s.frames(5)
	if n, _, err := s.a.Send(link.Tx{Frames: want}); n != len(want) {
		s.Fatalf("Send: %d, %v", n, err)
	}
	s.a.Close()
	<-s.b.Done()
	reason := s.b.Err()
	if reason == nil {
		s.Fatalf("Done is closed, and Err is nil")
	}
	s.expect(s.b, want)
	_ = s.b.SetReadDeadline(time.Now().Add(time.Hour)) // has no effect any more
	for _, noWait := range []bool{false, true} {
		if _, err := s.receiver(1).recv(s.b, noWait); !s.Lossy && !errors.Is(err, reason) {
			s.Errorf("Recv after the end: %v, want %v", err, reason)
		}
	}
	if n, _, err := s.b.Send(link.Tx{Frames: [][]byte{s.frame(60)}}); n == 0 && err == nil {
		s.Errorf("Send after the end sent nothing and has no error")
	}
}

// hangupWakesRecv: the end of the other side ends a Recv that waits. From then on
// Err says why.
func (s *suite) hangupWakesRecv() {
	r := s.receiver(1)
	var err, reason error
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		_, err = r.recv(s.b, false)
		reason = s.b.Err()
	}()
	s.a.Close()
	<-returned
	if err == nil || !errors.Is(err, reason) {
		s.Errorf("Recv when the other side is closed: %v, and Err %v", err, reason)
	}
	<-s.b.Done()
}

// hangupWakesSend: the end of the other side ends a Send that waits.
func (s *suite) hangupWakesSend() {
	s.fill(s.a)
	waiting := s.flood(s.a)
	s.b.Close()
	<-waiting
	<-s.a.Done()
	if n, _, err := s.a.Send(link.Tx{Frames: [][]byte{numbered(0, 60)}}); n != 0 || err == nil {
		s.Errorf("Send after the end: %d, %v", n, err)
	}
}

// concurrent: everything at once, for the race detector.
func (s *suite) concurrent() {
	const rounds = 200
	var senders, others sync.WaitGroup
	stop := make(chan struct{})
	for _, l := range []link.Link{s.a, s.b} {
		for range 2 {
			senders.Go(func() {
				for i := range rounds {
					_, _, _ = l.Send(link.Tx{Frames: [][]byte{numbered(uint32(i), 60)}, NoWait: i%2 == 0})
				}
			})
		}
		others.Go(func() {
			r := s.receiver(8)
			for {
				got, err := r.recv(l, false)
				if errors.Is(err, net.ErrClosed) || l.Err() != nil && err != nil {
					return
				}
				for _, f := range got {
					if _, err := number(f); err != nil {
						s.Errorf("%v", err)
					}
				}
			}
		})
		others.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_ = l.SetReadDeadline(time.Now().Add(time.Hour))
				_ = l.SetWriteDeadline(time.Now().Add(time.Hour))
				_, _ = l.Caps(), l.Err()
			}
		})
	}
	senders.Wait()
	close(stop)
	s.a.Close()
	s.b.Close()
	others.Wait()
}
