// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package sockio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// record builds a record from its description in docs/streams.md.
func record(f []byte) []byte {
	return append(binary.NativeEndian.AppendUint32(nil, uint32(len(f))), f...)
}

// tcpSegments is a GSO frame that becomes two segments, and its header.
func tcpSegments() (f []byte, h frame.VNetHeader) {
	f = make([]byte, 14+20+20+100)
	copy(f, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00\x45\x00\x00\x8c\x00\x00\x00\x00\x40\x06\x00\x00\x0a\x00\x00\x01\x0a\x00\x00\x02")
	f[14+20+12] = 5 << 4
	return f, frame.VNetHeader{Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 50, CsumStart: 34, CsumOffset: 16}
}

// TestStreamRecords sends frames and looks at the bytes, and the other way round.
func TestStreamRecords(t *testing.T) {
	long, h := tcpSegments()
	vnet := "\x01\x01\x36\x00\x32\x00\x22\x00\x10\x00"
	for _, tt := range []struct {
		name    string
		headers bool
		tx      link.Tx
		want    string
	}{
		{"one", false, link.Tx{Frames: [][]byte{[]byte("abc")}}, string(record([]byte("abc")))},
		{"some", false, link.Tx{Frames: [][]byte{[]byte("abc"), {}, []byte("d")}}, string(record([]byte("abc"))) + "\x00\x00\x00\x00" + string(record([]byte("d")))},
		{"pieces", false, link.Tx{Pieces: []net.Buffers{{[]byte("ab"), nil, []byte("c")}, {}, {[]byte("d")}}}, string(record([]byte("abc"))) + "\x00\x00\x00\x00" + string(record([]byte("d")))},
		{"no metadata", true, link.Tx{Frames: [][]byte{[]byte("abc")}}, string(record([]byte("abc"))[:4]) + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abc"},
		{"metadata", true, link.Tx{Frames: [][]byte{long}, Headers: []frame.VNetHeader{h}}, string(record(long)[:4]) + vnet + string(long)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, fd := bareStream(t, sockio.StreamConfig{Headers: tt.headers})
			if n, calls, err := s.Send(tt.tx); n != tt.tx.Len() || calls != 1 || err != nil {
				t.Fatalf("sent %d in %d calls, %v", n, calls, err)
			}
			b := make([]byte, 1000)
			n, err := unix.Read(fd, b)
			if err != nil || string(b[:n]) != tt.want {
				t.Fatalf("%v:\n got %q\nwant %q", err, b[:n], tt.want)
			}
			if _, err := unix.Write(fd, b[:n]); err != nil {
				t.Fatal(err)
			}
			bufs, sizes, headers := buffers(5, 300), make([]int, 5), make([]frame.VNetHeader, 5)
			k, err := s.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers})
			if k != tt.tx.Len() || err != nil {
				t.Fatalf("received %d, %v", k, err)
			}
			for i := range k {
				want := bytes.Join(append(net.Buffers{}, flat(tt.tx, i)...), nil)
				if !bytes.Equal(bufs[i][:sizes[i]], want) || headers[i] != tt.tx.Header(i) {
					t.Errorf("frame %d: %q with %+v, want %q", i, bufs[i][:sizes[i]], headers[i], want)
				}
			}
		})
	}
}

func flat(tx link.Tx, i int) net.Buffers {
	if tx.Pieces != nil {
		return tx.Pieces[i]
	}
	return net.Buffers{tx.Frames[i]}
}

// TestStreamInPieces receives records that come one byte at a time.
func TestStreamInPieces(t *testing.T) {
	s, fd := bareStream(t, sockio.StreamConfig{})
	want := messages(3, 14)
	var all []byte
	for _, f := range want {
		all = append(all, record(f)...)
	}
	bufs, sizes := buffers(4, 100), make([]int, 4)
	var got [][]byte
	for i := range all {
		if _, err := unix.Write(fd, all[i:i+1]); err != nil {
			t.Fatal(err)
		}
		n, err := s.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: true})
		if err != nil && err != link.ErrEmpty {
			t.Fatal(err)
		}
		for j := range n {
			got = append(got, bytes.Clone(bufs[j][:sizes[j]]))
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("frame %d is %q, want %q", i, got[i], want[i])
		}
	}
}

// TestStreamViolation: what came before a length that no record has is delivered, and
// then every receive fails with the reason.
func TestStreamViolation(t *testing.T) {
	for _, length := range []uint32{sockio.MaxStreamFrame + 1, 1 << 31, 1<<32 - 1} {
		s, fd := bareStream(t, sockio.StreamConfig{})
		b := binary.NativeEndian.AppendUint32(record(make([]byte, 60)), length)
		if _, err := unix.Write(fd, b); err != nil {
			t.Fatal(err)
		}
		bufs, sizes := buffers(4, 100), make([]int, 4)
		if n, err := s.Recv(link.Rx{Bufs: bufs, Sizes: sizes}); n != 1 || sizes[0] != 60 || err != nil {
			t.Fatalf("%d frames, %v", n, err)
		}
		for _, noWait := range []bool{false, true} {
			if n, err := s.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: noWait}); n != 0 || !errors.Is(err, link.ErrViolation) {
				t.Errorf("length %d: %d frames, %v; want a violation", length, n, err)
			}
		}
		if unread, err := s.Close(); unread != 0 || err != nil {
			t.Errorf("Close: %d, %v", unread, err)
		}
	}
}

// TestStreamMetadata: a frame that is not what its header says is no frame.
func TestStreamMetadata(t *testing.T) {
	s, fd := bareStream(t, sockio.StreamConfig{Headers: true})
	f := make([]byte, 60)
	b := append(record(f)[:4], "\x01\x01\x36\x00\x32\x00\xff\xff\x10\x00"...)
	if _, err := unix.Write(fd, append(b, f...)); err != nil {
		t.Fatal(err)
	}
	bufs, sizes, headers := buffers(1, 100), make([]int, 1), make([]frame.VNetHeader, 1)
	if n, err := s.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers}); n != 1 || sizes[0] != 1 || headers[0] != (frame.VNetHeader{}) || err != nil {
		t.Errorf("%d frames of %d bytes, %+v, %v", n, sizes[0], headers, err)
	}
}

// TestStreamTooLong: the frames before one that is too long are sent.
func TestStreamTooLong(t *testing.T) {
	a, b := streams(t, 0, false)
	for _, noWait := range []bool{false, true} {
		frames := [][]byte{make([]byte, 20), make([]byte, sockio.MaxStreamFrame+1), make([]byte, 20)}
		if n, _, err := a.Send(link.Tx{Frames: frames, NoWait: noWait}); n != 1 || !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("sent %d, %v; want 1 and EMSGSIZE", n, err)
		}
		if n, err := b.Recv(link.Rx{Bufs: buffers(3, 20), Sizes: make([]int, 3)}); n != 1 || err != nil {
			t.Errorf("received %d, %v", n, err)
		}
	}
}

// TestStreamFirst: what is to come first does, whoever writes it.
func TestStreamFirst(t *testing.T) {
	for _, flush := range []bool{false, true} {
		s, fd := bareStream(t, sockio.StreamConfig{First: []byte("reply")})
		if flush {
			if err := s.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if n, _, err := s.Send(link.Tx{Frames: [][]byte{[]byte("abc")}, NoWait: true}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := s.Flush(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 100)
		n, err := unix.Read(fd, b)
		for err == nil && n < 12 {
			var k int
			k, err = unix.Read(fd, b[n:])
			n += k
		}
		if want := "reply" + string(record([]byte("abc"))); err != nil || string(b[:n]) != want {
			t.Errorf("%v: %q, want %q", err, b[:n], want)
		}
	}
}

// TestStreamAccounts: what is sent is received, unread at Close, or unsent, whichever
// side goes first.
func TestStreamAccounts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		queue int
		size  int
	}{
		{"short frames", 0, 60}, {"long frames", 0, 1514},
		{"frames longer than the queue", 4608, 65000}, // so that one is cut
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := streams(t, tt.queue, false)
			sent := fillStream(t, a, tt.size)
			got, err := b.Recv(link.Rx{Bufs: buffers(3, tt.size), Sizes: make([]int, 3), NoWait: true})
			if err != nil && err != link.ErrEmpty {
				t.Fatal(err)
			}
			sent += fillStream(t, a, tt.size)
			var unread int
			if unread, err = b.Close(); err != nil {
				t.Fatal(err)
			}
			if n, _, err := a.Send(link.Tx{Frames: messages(1, 60)}); n != 0 || !errors.Is(err, syscall.EPIPE) {
				t.Errorf("sent %d, %v; want EPIPE", n, err)
			}
			if _, err := a.Close(); err != nil {
				t.Error(err)
			}
			unsent := int(a.Caps().Counters().Unsent)
			if got+unread+unsent != sent || unsent > 1 {
				t.Errorf("%d sent; %d received, %d unread, %d unsent", sent, got, unread, unsent)
			}
		})
	}
}

// fillStream sends until the queue is full and returns how many frames it took.
func fillStream(t testing.TB, s *sockio.Stream, size int) (n int) {
	t.Helper()
	f := [][]byte{make([]byte, size), make([]byte, size)}
	for {
		k, _, err := s.Send(link.Tx{Frames: f, NoWait: true})
		n += k
		if err == link.ErrFull {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestStreamRestIsWritten: the rest of a frame is written though nobody sends
// anything after it.
func TestStreamRestIsWritten(t *testing.T) {
	a, b := streams(t, 4608, false)
	f := bytes.Repeat([]byte("x"), 65000)
	if n, _, err := a.Send(link.Tx{Frames: [][]byte{f}, NoWait: true}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	buf, sizes := make([]byte, len(f)), make([]int, 1)
	if n, err := b.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 || err != nil || !bytes.Equal(buf, f) {
		t.Errorf("%d frames of %d bytes, %v", n, sizes[0], err)
	}
}

// TestStreamHangup: the end is seen before what came is read, which is delivered all
// the same, and a receive that waits ends.
func TestStreamHangup(t *testing.T) {
	a, b := streams(t, 0, false)
	l := streamLink(b)
	if n, _, err := a.Send(link.Tx{Frames: messages(3, 20)}); n != 3 {
		t.Fatal(err)
	}
	if _, err := a.Close(); err != nil {
		t.Fatal(err)
	}
	<-l.Done()
	bufs, sizes := buffers(2, 100), make([]int, 2)
	for _, want := range []int{2, 1} {
		if n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes}); n != want || err != nil {
			t.Fatalf("%d, %v, want %d", n, err, want)
		}
	}
	if n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes}); n != 0 || !errors.Is(err, link.ErrHangup) {
		t.Errorf("%d, %v, want ErrHangup", n, err)
	}
	if _, err := b.Recv(link.Rx{Bufs: bufs, Sizes: sizes}); !errors.Is(err, transport.ErrDrained) {
		t.Errorf("%v, want ErrDrained", err)
	}
	if _, err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestStreamHalfRecord: half a record at the end is no frame.
func TestStreamHalfRecord(t *testing.T) {
	fds := streamPair(t, 0)
	l := streamLink(newStream(t, fds[0], sockio.StreamConfig{}))
	if _, err := unix.Write(fds[1], append(record(make([]byte, 60)), record(make([]byte, 60))[:40]...)); err != nil {
		t.Fatal(err)
	}
	unix.Close(fds[1])
	<-l.Done()
	bufs, sizes := buffers(2, 100), make([]int, 2)
	if n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes}); n != 1 || err != nil {
		t.Errorf("%d frames, %v", n, err)
	}
	if n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes}); n != 0 || !errors.Is(err, link.ErrHangup) {
		t.Errorf("%d frames, %v", n, err)
	}
	if unread, err := l.Close(); unread != 0 || err != nil {
		t.Errorf("Close: %d, %v", unread, err)
	}
}

// TestStreamTryDoesNotQueueBehindAWaitingSend would hang if it did.
func TestStreamTryDoesNotQueueBehindAWaitingSend(t *testing.T) {
	a, _ := streams(t, 0, false)
	fillStream(t, a, 1000)
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
	if err := a.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
}

func TestStreamNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("a sync.Pool loses buffers under the race detector")
	}
	a, b := streams(t, 0, true)
	msgs, bufs, sizes := messages(32, 60), buffers(32, 100), make([]int, 32)
	headers := make([]frame.VNetHeader, 32)
	pieces := make([]net.Buffers, 32)
	for i, m := range msgs {
		pieces[i] = net.Buffers{m[:14], m[14:]}
	}
	allocs := testing.AllocsPerRun(100, func() {
		a.Send(link.Tx{Frames: msgs})
		b.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
		a.Send(link.Tx{Frames: msgs, Headers: headers, NoWait: true})
		b.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers})
		a.Send(link.Tx{Pieces: pieces})
		b.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: true})
		a.Caps()
	})
	if allocs != 0 {
		t.Errorf("%v allocations in six batches, want 0", allocs)
	}
}

// FuzzStreamRecords has a stream receive anything, in two parts, and compares with what
// a plain reading of the format says.
func FuzzStreamRecords(f *testing.F) {
	f.Add(append(record([]byte("abc")), record(nil)...), 3, false)
	f.Add(append(record(make([]byte, 60)), 0xff, 0xff, 0xff, 0xff), 64, false)
	f.Add([]byte("\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00abc\x00"), 5, true)
	f.Fuzz(func(t *testing.T, in []byte, cut int, headers bool) {
		if len(in) > 64<<10 {
			return // more than fits in the queue
		}
		want, violation := readRecords(in, headers)
		fds := streamPair(t, 0)
		l := streamLink(newStream(t, fds[0], sockio.StreamConfig{Headers: headers}))
		var got [][]byte
		bufs, sizes, metadata := buffers(3, 1<<16), make([]int, 3), make([]frame.VNetHeader, 3)
		recv := func(noWait bool) error {
			n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: metadata, NoWait: noWait})
			for i := range n {
				got = append(got, bytes.Clone(bufs[i][:sizes[i]]))
			}
			return err
		}
		cut = min(max(cut, 0), len(in))
		for _, part := range [][]byte{in[:cut], in[cut:]} {
			if len(part) > 0 {
				if _, err := unix.Write(fds[1], part); err != nil && err != unix.EPIPE {
					t.Fatal(err)
				}
			}
			_ = recv(true)
		}
		unix.Close(fds[1])
		var err error
		for err == nil {
			err = recv(false)
		}
		if violation != errors.Is(err, link.ErrViolation) && !errors.Is(err, link.ErrHangup) {
			t.Errorf("ended with %v, want a violation: %v", err, violation)
		}
		if len(got) != len(want) {
			t.Fatalf("%d frames, want %d", len(got), len(want))
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) && len(got[i]) != 1 { // not what its header says
				t.Errorf("frame %d is %q, want %q", i, got[i], want[i])
			}
		}
		if unread, err := l.Close(); unread != 0 || err != nil {
			t.Errorf("Close: %d, %v", unread, err)
		}
	})
}

// readRecords returns the frames of whole records in b, and whether a length that none
// has follows them.
func readRecords(b []byte, headers bool) (frames [][]byte, violation bool) {
	head := 4
	if headers {
		head = 14
	}
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint32(b))
		if n > 131058 {
			return frames, true
		}
		if len(b) < head+n {
			break
		}
		frames = append(frames, b[head:head+n])
		b = b[head+n:]
	}
	return frames, false
}
