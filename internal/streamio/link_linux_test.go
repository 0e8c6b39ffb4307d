// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package streamio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/streamio"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair returns two connected stream sockets: TCP over loopback, or unix.
func pair(tb testing.TB, network string) (a, b int) {
	tb.Helper()
	if network == "unix" {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			tb.Fatal(err)
		}
		return fds[0], fds[1]
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer ln.Close()
	dup := func(c net.Conn, err error) (fd int) {
		if err != nil {
			tb.Fatal(err)
		}
		defer c.Close()
		f, err := c.(*net.TCPConn).File()
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		if fd, err = unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			tb.Fatal(err)
		}
		return fd
	}
	a = dup(net.Dial("tcp", ln.Addr().String()))
	return a, dup(ln.Accept())
}

func newLink(tb testing.TB, fd int, f *streamio.Framing) *streamio.Link {
	tb.Helper()
	l, err := streamio.NewLink(fd, streamio.Config{Framing: f, Address: "stream://test"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

// raw returns a link and the socket at its other end.
func raw(tb testing.TB, network string) (*streamio.Link, int) {
	tb.Helper()
	a, b := pair(tb, network)
	tb.Cleanup(func() { unix.Close(b) })
	return newLink(tb, a, streamio.QEMU), b
}

// TestLink holds the links to what is promised of every link. What TCP has on its
// way when a link is closed has not come.
func TestLink(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for name, f := range map[string]*streamio.Framing{"qemu": streamio.QEMU, "hyperkit": streamio.Hyperkit} {
			t.Run(network+"/"+name, func(t *testing.T) {
				linktest.Test(t, func(tb testing.TB) (link.Link, link.Link, error) {
					a, b := pair(tb, network)
					return newLink(tb, a, f), newLink(tb, b, f), nil
				}, linktest.Options{NoCount: network == "tcp"})
			})
		}
	}
}

// recv receives one batch.
func recv(l link.Link, noWait bool) (frames [][]byte, err error) {
	bufs := make([][]byte, 64)
	for i := range bufs {
		bufs[i] = make([]byte, 2000)
	}
	sizes := make([]int, 64)
	n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: noWait})
	for i := range n {
		frames = append(frames, bufs[i][:min(sizes[i], len(bufs[i]))])
	}
	return frames, err
}

// record returns f behind its length.
func record(f []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)
}

func numbered(n, size int) []byte {
	f := make([]byte, size)
	binary.BigEndian.PutUint32(f, uint32(n))
	return f
}

// TestBytes checks what is on the wire, and that a record that comes byte by byte is
// one frame. An empty frame is nothing to send.
func TestBytes(t *testing.T) {
	l, peer := raw(t, "unix")
	f := []byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x0a\x08\x00")
	if n, _, err := l.Send(link.Tx{Frames: [][]byte{{}, f, {}}}); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	got := make([]byte, 100)
	n, err := unix.Read(peer, got)
	if want := append([]byte{0, 0, 0, 14}, f...); err != nil || !bytes.Equal(got[:n], want) {
		t.Fatalf("% x, %v", got[:n], err)
	}
	for _, b := range record(f) {
		if got, err := recv(l, true); len(got) != 0 || err != link.ErrEmpty {
			t.Fatalf("within a record: %d frames, %v", len(got), err)
		}
		if _, err := unix.Write(peer, []byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := recv(l, false); len(got) != 1 || !bytes.Equal(got[0], f) {
		t.Fatalf("%x, %v", got, err)
	}
}

// TestViolation: a length that cannot be ends the link with a reason that says so,
// after what had come before, and the other side is told.
func TestViolation(t *testing.T) {
	l, peer := raw(t, "unix")
	good := numbered(1, 60)
	if _, err := unix.Write(peer, append(record(good), "GET / HTTP/1.1\r\n"...)); err != nil {
		t.Fatal(err)
	}
	if got, err := recv(l, false); len(got) != 1 || !bytes.Equal(got[0], good) {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	_, err := recv(l, false)
	var violation *streamio.FramingError
	if !errors.As(err, &violation) || errors.Is(err, link.ErrHangup) || violation.Size != 0x47455420 {
		t.Errorf("%v", err)
	}
	<-l.Done()
	if l.Err() != err {
		t.Errorf("Err: %v", l.Err())
	}
	if n, err := unix.Read(peer, make([]byte, 1)); n != 0 || err != nil {
		t.Errorf("the other side reads %d, %v", n, err)
	}
	if _, _, err := l.Send(link.Tx{Frames: [][]byte{good}}); !errors.As(err, &violation) {
		t.Errorf("Send: %v", err)
	}
}

// TestLongest sends and receives the longest frame, and refuses to send a longer one
// without harm to the rest.
func TestLongest(t *testing.T) {
	for _, f := range []*streamio.Framing{streamio.QEMU, streamio.Hyperkit} {
		a, b := pair(t, "unix")
		l, m := newLink(t, a, f), newLink(t, b, f)
		longest, over := make([]byte, f.MaxSize), make([]byte, f.MaxSize+1)
		n, _, err := l.Send(link.Tx{Frames: [][]byte{longest, over, longest}})
		if n != 1 || !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("%s: %d sent, %v", f.Name, n, err)
		}
		if n, _, err := l.Send(link.Tx{Pieces: []net.Buffers{{over[:10], over[10:]}}, NoWait: true}); n != 0 || !errors.Is(err, unix.EMSGSIZE) {
			t.Errorf("%s: %d sent, %v", f.Name, n, err)
		}
		buf, sizes := make([]byte, f.MaxSize), make([]int, 1)
		if n, err := m.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 || sizes[0] != f.MaxSize {
			t.Errorf("%s: %d received, of %d bytes, %v", f.Name, n, sizes[0], err)
		}
		if _, err := recv(m, true); err != link.ErrEmpty {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

// TestEndWithinFrame: the end of the stream within a frame is an end all the same.
func TestEndWithinFrame(t *testing.T) {
	for cut := range 10 {
		l, peer := raw(t, "unix")
		if _, err := unix.Write(peer, append(record(numbered(1, 60)), record(numbered(2, 60))[:cut]...)); err != nil {
			t.Fatal(err)
		}
		unix.Shutdown(peer, unix.SHUT_WR)
		<-l.Done()
		if got, err := recv(l, false); len(got) != 1 {
			t.Fatalf("%d frames, %v", len(got), err)
		}
		if got, err := recv(l, false); len(got) != 0 || !errors.Is(err, link.ErrHangup) {
			t.Errorf("%d frames, %v", len(got), err)
		}
	}
}

// TestAccounting fills the queue without waiting and then reads a part of it: every
// frame that Send has accepted has come whole or is counted as unsent.
func TestAccounting(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for _, size := range []int{60, 1514, 9000, 60000} {
			t.Run(fmt.Sprint(network, size), func(t *testing.T) {
				l, peer := raw(t, network)
				accepted := 0
				for full := false; !full; {
					n, _, err := l.Send(link.Tx{Frames: [][]byte{numbered(accepted, size), numbered(accepted+1, size), numbered(accepted+2, size)}, NoWait: true})
					accepted += n
					if full = err == link.ErrFull; err != nil && !full {
						t.Fatal(err)
					}
				}
				if _, err := l.Close(); err != nil {
					t.Fatal(err)
				}
				unsent := l.Caps().Counters().Unsent
				var stream []byte
				for b := make([]byte, 1<<20); ; {
					n, err := unix.Read(peer, b)
					if n <= 0 {
						if err != nil {
							t.Fatal(err)
						}
						break
					}
					stream = append(stream, b[:n]...)
				}
				whole := len(stream) / (4 + size)
				for i := range whole {
					if r := stream[i*(4+size):]; !bytes.Equal(r[:4+size], record(numbered(i, size))) {
						t.Fatalf("record %d is % x…", i, r[:16])
					}
				}
				if uint64(accepted) != uint64(whole)+unsent || unsent > 1 {
					t.Errorf("%d accepted, %d came whole, %d unsent", accepted, whole, unsent)
				}
			})
		}
	}
}

// TestTail: the rest of a frame whose beginning was sent without waiting follows as
// soon as there is room, whatever the write deadline is and though nobody sends.
func TestTail(t *testing.T) {
	l, peer := raw(t, "unix")
	if err := l.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	const size = 50000
	accepted := 0
	for {
		n, _, err := l.Send(link.Tx{Frames: [][]byte{numbered(accepted, size)}, NoWait: true})
		if accepted += n; err == link.ErrFull {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	b := make([]byte, 1<<20)
	for left := accepted * (4 + size); left > 0; {
		n, err := unix.Read(peer, b)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		left -= n
	}
}

// TestNoAllocations moves batches without allocating.
func TestNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := pair(t, "unix")
	l, m := newLink(t, a, streamio.QEMU), newLink(t, b, streamio.QEMU)
	const batch = 32
	frames, bufs, sizes := make([][]byte, batch), make([][]byte, batch), make([]int, batch)
	pieces := make([]net.Buffers, batch)
	for i := range frames {
		frames[i], bufs[i] = numbered(i, 1514), make([]byte, 1514)
		pieces[i] = net.Buffers{frames[i][:14], frames[i][14:]}
	}
	headers := make([]frame.VNetHeader, batch)
	i := 0
	allocs := testing.AllocsPerRun(200, func() {
		tx := link.Tx{Frames: frames, NoWait: i%2 == 0}
		if i++; i%3 == 0 {
			tx = link.Tx{Pieces: pieces, Headers: headers}
		}
		if n, _, err := l.Send(tx); n != batch {
			t.Fatal(n, err)
		}
		for got := 0; got < batch; {
			n, err := m.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
		if _, err := m.Recv(link.Rx{Bufs: bufs, Sizes: sizes, NoWait: true}); err != link.ErrEmpty {
			t.Fatal(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations a batch", allocs)
	}
}
