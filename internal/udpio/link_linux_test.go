// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
)

// A bridge sends each frame to the peer and from the socket that its first two bytes
// name.
type bridge struct {
	head    []byte
	peers   []*Peer
	foreign atomic.Uint64
}

func (b *bridge) Lock()          {}
func (b *bridge) Unlock()        {}
func (b *bridge) Header() []byte { return b.head }

func (b *bridge) Route(head []byte) (socket int, to *Peer) {
	return int(head[0]), b.peers[head[1]]
}

func (b *bridge) accept(d Datagram) ([]byte, bool) {
	if !bytes.HasPrefix(d.Data, b.head) {
		b.foreign.Add(1)
		return nil, false
	}
	return d.Data[len(b.head):], true
}

// newSockets returns sockets on loopback, and their addresses.
func newSockets(t testing.TB, n int) (fds []int, addrs []Addr) {
	t.Helper()
	for range n {
		fd, err := Socket(AddrOf(netip.MustParseAddrPort("127.0.0.1:0"), 0), Options{Receive: true, TTL: -1})
		if err != nil {
			t.Fatal(err)
		}
		a, err := LocalAddr(fd)
		if err != nil {
			t.Fatal(err)
		}
		fds, addrs = append(fds, fd), append(addrs, a)
	}
	return fds, addrs
}

// newBridge returns a link on sockets, which it owns, with the given destinations.
func newBridge(t testing.TB, head string, fds []int, to []Addr) (*Link, *bridge) {
	t.Helper()
	b := &bridge{head: []byte(head)}
	for _, a := range to {
		b.peers = append(b.peers, NewPeer(a))
	}
	l, err := NewLink(Config{
		Address: "test", Sockets: fds, Router: b, Foreign: b.foreign.Load,
		Source: &PrivateSource{Locker: b, Receiver: NewReceiver(fds...), Sockets: fds, Accept: b.accept},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, b
}

// testFrame returns a frame for a bridge.
func testFrame(socket, peer, size, number int) []byte {
	f := bytes.Repeat([]byte{byte(number)}, size)
	f[0], f[1], f[2] = byte(socket), byte(peer), byte(number>>8)
	return f
}

// recvAll receives n frames.
func recvAll(t testing.TB, l link.Link, n int) (frames [][]byte) {
	t.Helper()
	bufs := make([][]byte, 16)
	for i := range bufs {
		bufs[i] = make([]byte, maxMessage)
	}
	sizes := make([]int, len(bufs))
	for len(frames) < n {
		k, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes})
		if err != nil {
			t.Fatalf("after %d of %d frames: %v", len(frames), n, err)
		}
		for i := range k {
			frames = append(frames, bytes.Clone(bufs[i][:sizes[i]]))
		}
	}
	return frames
}

// TestGroups sends a batch to several destinations from several sockets, with frames
// of many lengths mixed: all arrive, in their order for each pair of them, and as few
// messages.
func TestGroups(t *testing.T) {
	for _, head := range []string{"", "header: "} {
		fds, from := newSockets(t, 2)
		at0, to0 := newSockets(t, 1)
		at1, to1 := newSockets(t, 1)
		s, _ := newBridge(t, head, fds, []Addr{to0[0], to1[0]})
		r0, _ := newBridge(t, head, at0, from)
		r1, _ := newBridge(t, head, at1, from)
		var all [][]byte
		want := map[[2]byte][][]byte{}
		for i := range 240 {
			size := []int{900, 900, 900, 60, 1200, 900, 64, 64}[i/3%8]
			f := testFrame(i%2, i/2%2, size, i)
			all = append(all, f)
			want[[2]byte(f)] = append(want[[2]byte(f)], f)
		}
		if n, _, err := s.Send(link.Tx{Frames: all}); n != len(all) || err != nil {
			t.Fatalf("%d of %d frames: %v", n, len(all), err)
		}
		if s.wait.msgs >= len(all)*3/4 {
			t.Errorf("%d frames went as %d messages", len(all), s.wait.msgs)
		}
		got := map[[2]byte][][]byte{}
		for _, r := range []*Link{r0, r1} {
			for _, f := range recvAll(t, r, len(all)/2) {
				got[[2]byte(f)] = append(got[[2]byte(f)], f)
			}
		}
		for key, list := range want {
			if len(got[key]) != len(list) {
				t.Fatalf("from socket %d to %d: %d of %d frames", key[0], key[1], len(got[key]), len(list))
			}
			for i := range list {
				if !bytes.Equal(got[key][i], list[i]) {
					t.Fatalf("from socket %d to %d: frame %d is another", key[0], key[1], i)
				}
			}
		}
	}
}

// TestSegmentation sends frames of one size as one message, receives them as one, and
// goes on with single datagrams when the kernel refuses.
func TestSegmentation(t *testing.T) {
	fds, from := newSockets(t, 1)
	at, to := newSockets(t, 1)
	s, _ := newBridge(t, "12345678", fds, to)
	r, _ := newBridge(t, "12345678", at, from)
	frames := make([][]byte, 40)
	for i := range frames {
		frames[i] = testFrame(0, 0, 1000, i)
	}
	frames[39] = frames[39][:10]
	send := func(messages int) {
		t.Helper()
		if n, _, err := s.Send(link.Tx{Frames: frames}); n != len(frames) || err != nil {
			t.Fatalf("%d of %d frames: %v", n, len(frames), err)
		}
		if s.wait.msgs != messages {
			t.Errorf("%d frames in %d messages, want %d", len(frames), s.wait.msgs, messages)
		}
		for i, f := range recvAll(t, r, len(frames)) {
			if !bytes.Equal(f, frames[i]) {
				t.Fatalf("frame %d is another", i)
			}
		}
	}
	send(1)
	s.gso.set(999 + 8)
	send(40)
	s.gso.set(0)
	send(40)
	s.gso.set(maxPayload)
	send(1)
	// Without checksums the kernel cuts nothing, and says EINVAL or EIO.
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_NO_CHECK, 1); err != nil {
		t.Fatal(err)
	}
	send(40)
	if limit := s.gso.limit(); limit >= 1008 {
		t.Errorf("after a refusal messages of datagrams of up to %d bytes are made", limit)
	}
	if c := s.Caps().Counters(); c.Unsent != 0 {
		t.Errorf("%d frames count as unsent", c.Unsent)
	}
	for range retryAfter/39 + 1 {
		if s.gso.limit() == maxPayload {
			return
		}
		for range 39 {
			s.gso.missed()
		}
	}
	if s.gso.limit() != maxPayload {
		t.Error("larger messages are not tried again")
	}
}

// TestTooLong refuses a frame that fits no datagram, after those before it.
func TestTooLong(t *testing.T) {
	fds, from := newSockets(t, 1)
	at, to := newSockets(t, 1)
	s, _ := newBridge(t, "12345678", fds, to)
	r, _ := newBridge(t, "12345678", at, from)
	long := testFrame(0, 0, maxPayload-8, 2)
	n, _, err := s.Send(link.Tx{Frames: [][]byte{testFrame(0, 0, 60, 1), long, make([]byte, maxPayload-7), long}})
	if n != 2 || !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("%d frames, %v; want 2 and EMSGSIZE", n, err)
	}
	if got := recvAll(t, r, 2); !bytes.Equal(got[1], long) {
		t.Error("the longest frame is another")
	}
}

// TestRefused goes on when nobody receives: each refusal is counted, and the link is
// usable when somebody does again.
func TestRefused(t *testing.T) {
	fds, from := newSockets(t, 1)
	at, to := newSockets(t, 1)
	if err := Connect(fds[0], to[0]); err != nil {
		t.Fatal(err)
	}
	s, _ := newBridge(t, "", fds, to)
	s.cfg.Router.(*bridge).peers[0] = nil
	unix.Close(at[0])
	f := testFrame(0, 0, 60, 1)
	for i := range 20 {
		if n, _, err := s.Send(link.Tx{Frames: [][]byte{f}}); n != 1 || err != nil {
			t.Fatalf("frame %d: %d, %v", i, n, err)
		}
	}
	rx := link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1), NoWait: true}
	if n, err := s.Recv(rx); n != 0 || !errors.Is(err, link.ErrEmpty) {
		t.Errorf("Recv: %d, %v; want ErrEmpty", n, err)
	}
	fd, err := Socket(to[0], Options{Receive: true, TTL: -1})
	if err != nil {
		t.Fatal(err)
	}
	r, _ := newBridge(t, "", []int{fd}, from)
	if n, _, err := s.Send(link.Tx{Frames: [][]byte{f}}); n != 1 || err != nil {
		t.Fatalf("Send: %d, %v", n, err)
	}
	recvAll(t, r, 1)
	if n, _, err := r.Send(link.Tx{Frames: [][]byte{f}}); n != 1 || err != nil {
		t.Fatalf("Send: %d, %v", n, err)
	}
	recvAll(t, s, 1)
}

// TestCloseCountsForeign counts frames at Close, and not what is none.
func TestCloseCountsForeign(t *testing.T) {
	fds, from := newSockets(t, 1)
	at, to := newSockets(t, 1)
	s, _ := newBridge(t, "right", fds, to)
	r, b := newBridge(t, "right", at, from)
	if n, _, err := s.Send(link.Tx{Frames: [][]byte{testFrame(0, 0, 60, 1), testFrame(0, 0, 60, 2), testFrame(0, 0, 50, 2)}}); n != 3 {
		t.Fatal(err)
	}
	s.cfg.Router.(*bridge).head = []byte("wrong")
	if n, _, err := s.Send(link.Tx{Frames: [][]byte{testFrame(0, 0, 60, 1), testFrame(0, 0, 60, 2)}}); n != 2 {
		t.Fatal(err)
	}
	if n, err := r.Close(); n != 3 || err != nil {
		t.Errorf("Close: %d, %v; want 3", n, err)
	}
	if n := b.foreign.Load(); n != 2 {
		t.Errorf("%d foreign, want 2", n)
	}
	if _, _, err := r.Send(link.Tx{Frames: [][]byte{testFrame(0, 0, 60, 1)}}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Send: %v", err)
	}
}

// TestRecvNoWaitInFlood returns although datagrams that are no frames come faster than
// they are looked at.
func TestRecvNoWaitInFlood(t *testing.T) {
	at, to := newSockets(t, 1)
	r, b := newBridge(t, "right", at, to)
	fds, _ := newSockets(t, 1)
	s, _ := newBridge(t, "wrong", fds, to)
	var frames [][]byte
	for i := range 2000 {
		frames = append(frames, testFrame(0, 0, 20+i%2, 1)) // no two are of one message
	}
	if n, _, err := s.Send(link.Tx{Frames: frames}); n != len(frames) {
		t.Fatal(err)
	}
	rx := link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1), NoWait: true}
	if n, err := r.Recv(rx); n != 0 || !errors.Is(err, link.ErrEmpty) {
		t.Errorf("Recv: %d, %v; want ErrEmpty", n, err)
	}
	if n := b.foreign.Load(); n == 0 || n == 2000 {
		t.Errorf("%d datagrams were looked at, want some and not all", n)
	}
}

// TestPlace hands over partial checksums as metadata, or completes them, and leaves
// what did not fit alone.
func TestPlace(t *testing.T) {
	f := partialFrame()
	for _, c := range []struct {
		name         string
		room         int
		headers      bool
		header, same bool
	}{
		{"Headers", 100, true, true, true},
		{"Finished", 100, false, false, false},
		{"Cut", 40, true, false, true},
		{"CutFinished", 40, false, false, true},
	} {
		rx := link.Rx{Bufs: [][]byte{make([]byte, c.room)}, Sizes: []int{0}}
		if c.headers {
			rx.Headers = []frame.VNetHeader{{GSOType: 77}}
		}
		new(Placer).Place(&rx, 0, bytes.Clone(f))
		if rx.Sizes[0] != len(f) {
			t.Errorf("%s: size %d", c.name, rx.Sizes[0])
		}
		if got := rx.Headers != nil && rx.Headers[0].Partial(); got != c.header {
			t.Errorf("%s: header %v, want %v", c.name, rx.Headers, c.header)
		}
		n := min(len(f), c.room)
		if got := bytes.Equal(rx.Bufs[0][:n], f[:n]); got != c.same {
			t.Errorf("%s: unchanged %v, want %v", c.name, got, c.same)
		}
	}
}

// partialFrame returns a UDP packet whose checksum is that of its pseudo-header.
func partialFrame() []byte {
	f := []byte{
		2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0,
		0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0, 7, 0, 7, 0, 12, 0, 0, 1, 2, 3, 4,
	}
	sum := 0x0a00 + 1 + 0x0a00 + 2 + 17 + 12
	f[40], f[41] = byte(sum>>8), byte(sum)
	return f
}

// TestHeaderStride checks that the headers lie in memory as the kernel has them.
func TestHeaderStride(t *testing.T) {
	var h mmsghdr
	if got, want := unsafe.Sizeof(h), unsafe.Sizeof(unix.Msghdr{})+unsafe.Sizeof(uintptr(0)); got != want {
		t.Errorf("size is %d, want %d", got, want)
	}
	if got := unix.CmsgSpace(4); got > cmsgSpace {
		t.Errorf("a control message takes %d bytes, there is room for %d", got, cmsgSpace)
	}
	var b [cmsgSpace]byte
	if got, want := putSegmentSize(&b, 1000), unix.CmsgSpace(2); got != want {
		t.Errorf("the control message has %d bytes, want %d", got, want)
	}
}
