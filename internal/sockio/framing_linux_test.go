// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sockio_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

// connectedPair returns two connected stream sockets: TCP over loopback, or unix.
func connectedPair(tb testing.TB, network string) (a, b int) {
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

func framedLink(tb testing.TB, fd int, f *sockio.Framing) *transport.Link {
	tb.Helper()
	s, err := sockio.NewStream(fd, sockio.StreamConfig{Name: "test", Framing: f})
	if err != nil {
		tb.Fatal(err)
	}
	l := transport.New(transport.Config{Stream: s.Control(), Transport: s, Address: "stream://test"})
	tb.Cleanup(func() { l.Close() })
	return l
}

// rawPeer returns a link and the socket at its other end.
func rawPeer(tb testing.TB, network string) (*transport.Link, int) {
	tb.Helper()
	a, b := connectedPair(tb, network)
	tb.Cleanup(func() { unix.Close(b) })
	return framedLink(tb, a, sockio.QEMU), b
}

// TestFramingLink holds the links to what is promised of every link. What TCP has on its
// way when a link is closed has not come.
func TestFramingLink(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for name, f := range map[string]*sockio.Framing{"qemu": sockio.QEMU, "hyperkit": sockio.Hyperkit} {
			t.Run(network+"/"+name, func(t *testing.T) {
				linktest.Test(t, func(tb testing.TB) (link.Link, link.Link, error) {
					a, b := connectedPair(tb, network)
					return framedLink(tb, a, f), framedLink(tb, b, f), nil
				}, linktest.Options{NoCount: network == "tcp"})
			})
		}
	}
}

// recvBatch receives one batch.
func recvBatch(l link.Link, noWait bool) (frames [][]byte, err error) {
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

// qemuRecord returns f behind its length.
func qemuRecord(f []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)
}

func numberedFrame(n, size int) []byte {
	f := make([]byte, size)
	binary.BigEndian.PutUint32(f, uint32(n))
	return f
}

// TestFramingBytes checks what is on the wire, and that a record that comes byte by byte is
// one frame. An empty frame is nothing to send.
func TestFramingBytes(t *testing.T) {
	l, peer := rawPeer(t, "unix")
	f := []byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x0a\x08\x00")
	if n, _, err := l.Send(link.Tx{Frames: [][]byte{{}, f, {}}}); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	got := make([]byte, 100)
	n, err := unix.Read(peer, got)
	if want := append([]byte{0, 0, 0, 14}, f...); err != nil || !bytes.Equal(got[:n], want) {
		t.Fatalf("% x, %v", got[:n], err)
	}
	for _, b := range qemuRecord(f) {
		if got, err := recvBatch(l, true); len(got) != 0 || err != link.ErrEmpty {
			t.Fatalf("within a record: %d frames, %v", len(got), err)
		}
		if _, err := unix.Write(peer, []byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := recvBatch(l, false); len(got) != 1 || !bytes.Equal(got[0], f) {
		t.Fatalf("%x, %v", got, err)
	}
}

// TestFramingViolation: a length that cannot be ends the link with a reason that says so,
// after what had come before, and the other side is told.
func TestFramingViolation(t *testing.T) {
	l, peer := rawPeer(t, "unix")
	good := numberedFrame(1, 60)
	if _, err := unix.Write(peer, append(qemuRecord(good), "GET / HTTP/1.1\r\n"...)); err != nil {
		t.Fatal(err)
	}
	if got, err := recvBatch(l, false); len(got) != 1 || !bytes.Equal(got[0], good) {
		t.Fatalf("%d frames, %v", len(got), err)
	}
	_, err := recvBatch(l, false)
	var violation *sockio.FramingError
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

// TestFramingLongest sends and receives the longest frame, and refuses to send a longer one
// without harm to the rest.
func TestFramingLongest(t *testing.T) {
	for _, f := range []*sockio.Framing{sockio.QEMU, sockio.Hyperkit} {
		a, b := connectedPair(t, "unix")
		l, m := framedLink(t, a, f), framedLink(t, b, f)
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
		if _, err := recvBatch(m, true); err != link.ErrEmpty {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

// TestFramingEndWithinFrame: the end of the stream within a frame is an end all the same.
func TestFramingEndWithinFrame(t *testing.T) {
	for cut := range 10 {
		l, peer := rawPeer(t, "unix")
		if _, err := unix.Write(peer, append(qemuRecord(numberedFrame(1, 60)), qemuRecord(numberedFrame(2, 60))[:cut]...)); err != nil {
			t.Fatal(err)
		}
		unix.Shutdown(peer, unix.SHUT_WR)
		<-l.Done()
		if got, err := recvBatch(l, false); len(got) != 1 {
			t.Fatalf("%d frames, %v", len(got), err)
		}
		if got, err := recvBatch(l, false); len(got) != 0 || !errors.Is(err, link.ErrHangup) {
			t.Errorf("%d frames, %v", len(got), err)
		}
	}
}

// TestFramingAccounting fills the queue without waiting and then reads a part of it: every
// frame that Send has accepted has come whole or is counted as unsent.
func TestFramingAccounting(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for _, size := range []int{60, 1514, 9000, 60000} {
			t.Run(fmt.Sprint(network, size), func(t *testing.T) {
				l, peer := rawPeer(t, network)
				accepted := 0
				for full := false; !full; {
					n, _, err := l.Send(link.Tx{Frames: [][]byte{numberedFrame(accepted, size), numberedFrame(accepted+1, size), numberedFrame(accepted+2, size)}, NoWait: true})
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
					if r := stream[i*(4+size):]; !bytes.Equal(r[:4+size], qemuRecord(numberedFrame(i, size))) {
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

// TestFramingTail: the rest of a frame whose beginning was sent without waiting follows as
// soon as there is room, whatever the write deadline is and though nobody sends.
func TestFramingTail(t *testing.T) {
	l, peer := rawPeer(t, "unix")
	if err := l.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	const size = 50000
	accepted := 0
	for {
		n, _, err := l.Send(link.Tx{Frames: [][]byte{numberedFrame(accepted, size)}, NoWait: true})
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

// TestFramingNoAllocations moves batches without allocating.
func TestFramingNoAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := connectedPair(t, "unix")
	l, m := framedLink(t, a, sockio.QEMU), framedLink(t, b, sockio.QEMU)
	const batch = 32
	frames, bufs, sizes := make([][]byte, batch), make([][]byte, batch), make([]int, batch)
	pieces := make([]net.Buffers, batch)
	for i := range frames {
		frames[i], bufs[i] = numberedFrame(i, 1514), make([]byte, 1514)
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

// split returns the frames that a stream holds, and whether a length that cannot be
// follows them.
func split(f *sockio.Framing, stream []byte) (frames [][]byte, bad bool) {
	for len(stream) >= f.HeaderLen {
		size := 0
		for i := range f.HeaderLen {
			b := int(stream[i])
			if f == sockio.QEMU {
				size = size<<8 | b
			} else {
				size |= b << (8 * i)
			}
		}
		if size > f.MaxSize {
			return frames, true
		}
		if len(stream) < f.HeaderLen+size {
			return frames, false
		}
		frames = append(frames, stream[f.HeaderLen:f.HeaderLen+size])
		stream = stream[f.HeaderLen+size:]
	}
	return frames, false
}

// FuzzFraming receives what a stream holds that comes in pieces, and compares with what
// it holds as a whole.
func FuzzFraming(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x0eaaaaaaaaaaaaaa\x00\x00\x00\x00\x00\x00\x00\x01b\x00"), []byte{1, 2, 3}, true)
	f.Add([]byte("\x0e\x00aaaaaaaaaaaaaa\x00\x00\x01\x00b\xff\xffshort"), []byte{7, 1}, false)
	f.Add([]byte("GET / HTTP/1.1\r\n"), []byte{3}, true)
	f.Add([]byte("\x00\x01\x10\x00"), []byte{4}, true)
	f.Add([]byte("\xff\xff\xff\xff\x00"), []byte{}, true)
	f.Add(append([]byte{0, 0, 0x10, 0}, make([]byte, 4099)...), []byte{255}, true)
	f.Add(append([]byte{0, 0x50}, make([]byte, 30000)...), []byte{200, 1}, false)
	f.Fuzz(func(t *testing.T, stream, cuts []byte, qemu bool) {
		framing := sockio.Hyperkit
		if qemu {
			framing = sockio.QEMU
		}
		if len(stream) > 64<<10 {
			return
		}
		want, wantBad := split(framing, stream)
		a, b := connectedPair(t, "unix")
		l := framedLink(t, a, framing)
		buf, sizes := make([]byte, framing.MaxSize), make([]int, 1)
		var got [][]byte
		recv := func(noWait bool) (err error) {
			for err == nil {
				var n int
				if n, err = l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes, NoWait: noWait}); n > 0 {
					got = append(got, bytes.Clone(buf[:sizes[0]]))
				}
			}
			return err
		}
		for i := 0; len(stream) > 0; i++ {
			n := len(stream)
			if len(cuts) > 0 && i < 100 {
				n = min(n, 1+int(cuts[i%len(cuts)]))
			}
			if _, err := unix.Write(b, stream[:n]); err != nil {
				break // the link has ended
			}
			stream = stream[n:]
			_ = recv(true)
		}
		unix.Close(b)
		var framingError *sockio.FramingError
		if err := recv(false); errors.As(err, &framingError) != wantBad || len(got) != len(want) {
			t.Fatalf("%d frames, then %v; want %d, bad: %v", len(got), err, len(want), wantBad)
		}
		for i := range got {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("frame %d: %x, want %x", i, got[i], want[i])
			}
		}
	})
}
