// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package transport_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

// A half is a link whose other end the test holds.
type half struct {
	*transport.Link
	ctl  *transport.Stream // of the other side
	data int               // descriptor of the other side; -1 once closed
}

// newHalf returns a half with cfg, whose Stream and Transport it fills in.
func newHalf(t *testing.T, headers bool, cfg transport.Config) *half {
	t.Helper()
	data, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	h := &half{data: data[1]}
	if cfg.Stream, h.ctl = streams(t); cfg.Transport == nil {
		if cfg.Transport, err = sockio.New(data[0], "data", headers); err != nil {
			t.Fatal(err)
		}
	} else {
		unix.Close(data[0])
	}
	h.Link = transport.New(cfg)
	t.Cleanup(func() { h.Close(); h.closeData() })
	return h
}

func (h *half) closeData() {
	if h.data >= 0 {
		unix.Close(h.data)
		h.data = -1
	}
}

// send has the other side send datagrams.
func (h *half) send(t *testing.T, datagrams ...[]byte) {
	t.Helper()
	for _, d := range datagrams {
		if err := unix.Send(h.data, d, 0); err != nil {
			t.Fatal(err)
		}
	}
}

// numbered returns frame n.
func numbered(n int) []byte {
	return append(frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental), byte(n))
}

// recv receives at most limit frames without waiting.
func recv(l link.Link, limit int, headers []frame.VNetHeader) (got [][]byte, err error) {
	bufs, sizes := make([][]byte, limit), make([]int, limit)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<16)
	}
	n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers, NoWait: true})
	for i, b := range bufs[:n] {
		got = append(got, b[:sizes[i]])
	}
	return got, err
}

// wantFrames receives frames with these numbers, at most limit at once.
func wantFrames(t *testing.T, l link.Link, limit int, numbers ...int) {
	t.Helper()
	for len(numbers) > 0 {
		headers := make([]frame.VNetHeader, limit)
		for i := range headers {
			headers[i].GSOType = 77 // to be overwritten
		}
		got, err := recv(l, limit, headers)
		if err != nil || len(got) > len(numbers) {
			t.Fatalf("%d frames, %v; want %v", len(got), err, numbers)
		}
		for i, f := range got {
			if !bytes.Equal(f, numbered(numbers[i])) || !headers[i].IsZero() {
				t.Fatalf("got % x, %+v; want frame %d", f, headers[i], numbers[i])
			}
		}
		numbers = numbers[len(got):]
	}
}

// TestFramesBeforeConnect checks that they come first, in order, and are counted if nobody
// receives them.
func TestFramesBeforeConnect(t *testing.T) {
	for _, limit := range []int{1, 2, 3, 9} {
		h := newHalf(t, false, transport.Config{BeforeConnect: [][]byte{numbered(0), numbered(1), numbered(2)}, Foreign: 5})
		h.send(t, numbered(3), numbered(4))
		wantFrames(t, h, limit, 0, 1, 2, 3, 4)
		if c := h.Caps().Counters(); c.Foreign != 5 {
			t.Errorf("counted %+v", c)
		}
	}
	for received := range 4 {
		h := newHalf(t, false, transport.Config{BeforeConnect: [][]byte{numbered(0), numbered(1), numbered(2)}})
		h.send(t, numbered(3))
		for i := range received {
			wantFrames(t, h, 1, i)
		}
		if unread, err := h.Close(); unread != 4-received || err != nil {
			t.Errorf("%d received, %d unread, %v", received, unread, err)
		}
		if got, err := recv(h, 1, nil); got != nil || !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v, %v", got, err)
		}
	}
}

// TestFramesBeforeConnectAfterTheEnd checks that the end of the other side comes last.
func TestFramesBeforeConnectAfterTheEnd(t *testing.T) {
	h := newHalf(t, false, transport.Config{BeforeConnect: [][]byte{numbered(0)}})
	h.send(t, numbered(1))
	h.ctl.Close()
	<-h.Done()
	wantFrames(t, h, 1, 0, 1)
	if _, err := h.Recv(link.Rx{Bufs: [][]byte{make([]byte, 9)}, Sizes: make([]int, 1)}); err != link.ErrHangup {
		t.Errorf("%v", err)
	}
}

// gsoDatagram returns a GSO frame behind its header, and the frames it becomes.
func gsoDatagram() (o frame.VNetHeader, datagram []byte, segments [][]byte) {
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	f = append(f, 0x45, 0, 0x0b, 0xe0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	f = append(f, 0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0xf6, 0, 0, 0, 0)
	f = append(f, bytes.Repeat([]byte{'x'}, 3000)...)
	o = frame.VNetHeader{Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 1000, CsumStart: 34, CsumOffset: 16}
	datagram = make([]byte, frame.VNetHeaderLen)
	o.Put(datagram)
	return o, append(datagram, f...), gso.Segments(o, f)
}

// TestPartialFrames receives them with and without Headers in turn: segments that
// are kept come before what follows them, and are counted at Close.
func TestPartialFrames(t *testing.T) {
	o, datagram, segments := gsoDatagram()
	ordinary := append(make([]byte, frame.VNetHeaderLen), numbered(1)...)
	h := newHalf(t, true, transport.Config{})
	h.send(t, datagram, ordinary, datagram, datagram, datagram)

	got, err := recv(h, 1, nil)
	if err != nil || !bytes.Equal(got[0], segments[0]) {
		t.Fatalf("without Headers: %d frames, %v", len(got), err)
	}
	headers := []frame.VNetHeader{{GSOType: 77}, {GSOType: 77}, {GSOType: 77}}
	got, err = recv(h, 3, headers)
	if err != nil || len(got) != 2 || !bytes.Equal(got[0], segments[1]) || !bytes.Equal(got[1], segments[2]) || !headers[0].IsZero() || !headers[1].IsZero() {
		t.Fatalf("kept segments, with Headers: %d frames, %v, %+v", len(got), err, headers)
	}
	got, err = recv(h, 2, headers)
	if err != nil || len(got) != 2 || !bytes.Equal(got[0], numbered(1)) || !bytes.Equal(got[1], datagram[frame.VNetHeaderLen:]) || !headers[0].IsZero() || headers[1] != o {
		t.Fatalf("with Headers: %d frames, %v, %+v", len(got), err, headers)
	}
	if got, err = recv(h, 2, nil); err != nil || len(got) != 2 || !bytes.Equal(got[1], segments[1]) {
		t.Fatalf("without Headers again: %d frames, %v", len(got), err)
	}
	// One segment and one or two GSO frames are left, each of which counts once.
	if unread, err := h.Close(); unread != 2 || err != nil {
		t.Errorf("%d unread, %v, want 2", unread, err)
	}
}

// TestWrongHeaders checks that a datagram that is not what its header says comes
// as a frame of one byte, which cannot be any.
func TestWrongHeaders(t *testing.T) {
	_, datagram, _ := gsoDatagram()
	h := newHalf(t, true, transport.Config{})
	h.send(t, datagram[:len(datagram)-1])
	for _, headers := range [][]frame.VNetHeader{nil, {{GSOType: 77}}} {
		if headers != nil {
			h.send(t, datagram[:len(datagram)-1])
		}
		got, err := recv(h, 1, headers)
		if err != nil || len(got) != 1 || len(got[0]) != 1 || headers != nil && !headers[0].IsZero() {
			t.Errorf("%d frames, %v, %+v", len(got), err, headers)
		}
	}
}

// A fake is a transport whose errors the test decides on.
type fake struct {
	transport.Transport
	recvErr, sendErr, roomErr error
	shut, hungUp              atomic.Bool
}

func (f *fake) Recv(link.Rx) (int, error)      { return 0, f.recvErr }
func (f *fake) Send(link.Tx) (int, int, error) { return 0, 0, f.sendErr }
func (f *fake) AwaitRoom() error               { return f.roomErr }
func (f *fake) Caps() link.Caps                { return link.Caps{SharedMemory: true} }
func (f *fake) Close() (int, error)            { return 0, nil }
func (f *fake) Shut()                          { f.shut.Store(true) }
func (f *fake) Hangup()                        { f.hungUp.Store(true) }

// TestViolation checks that a peer that breaks the rules of shared memory ends
// the link, whichever call finds it, and loses its port.
func TestViolation(t *testing.T) {
	violation := fmt.Errorf("a wrong length: %w", link.ErrViolation)
	for name, call := range map[string]func(link.Link) error{
		"Recv":      func(l link.Link) error { _, err := recv(l, 1, nil); return err },
		"Send":      func(l link.Link) error { _, _, err := l.Send(link.Tx{Frames: [][]byte{numbered(0)}}); return err },
		"AwaitRoom": link.Link.AwaitRoom,
	} {
		t.Run(name, func(t *testing.T) {
			f := &fake{recvErr: violation, sendErr: violation, roomErr: violation}
			h := newHalf(t, false, transport.Config{Transport: f, Refuse: true})
			if err := call(h); err != violation {
				t.Errorf("%v", err)
			}
			<-h.Done()
			if err := h.Err(); err != violation || errors.Is(err, link.ErrHangup) {
				t.Errorf("Err: %v", err)
			}
			if !f.shut.Load() || !f.hungUp.Load() {
				t.Error("the transport was not told")
			}
			if n, err := h.ctl.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Error("the other side was not told")
			}
		})
	}
}

// TestRefuse checks that the transport is told only if asked to.
func TestRefuse(t *testing.T) {
	f := new(fake)
	h := newHalf(t, false, transport.Config{Transport: f})
	h.ctl.Close()
	<-h.Done()
	h.Close() // waits for the goroutine that tells
	if f.shut.Load() || !f.hungUp.Load() {
		t.Errorf("shut %v, hung up %v", f.shut.Load(), f.hungUp.Load())
	}
}

// TestPeerGone sends to a data socket that is gone, before and after the control
// stream has ended.
func TestPeerGone(t *testing.T) {
	send := func(h *half, noWait bool) error {
		n, _, err := h.Send(link.Tx{Frames: [][]byte{numbered(0), numbered(1)}, NoWait: noWait})
		if n != 0 {
			t.Errorf("%d frames sent to nobody", n)
		}
		return err
	}
	t.Run("stream open", func(t *testing.T) {
		h := newHalf(t, false, transport.Config{})
		h.closeData()
		for i, want := range []error{syscall.ECONNREFUSED, syscall.ENOTCONN, syscall.ENOTCONN} {
			if err := send(h, i == 2); !errors.Is(err, want) || errors.Is(err, link.ErrHangup) || h.Err() != nil {
				t.Errorf("send %d: %v, want %v; the end: %v", i, err, want, h.Err())
			}
		}
	})
	t.Run("stream ended", func(t *testing.T) {
		h := newHalf(t, false, transport.Config{})
		h.ctl.Close()
		<-h.Done()
		h.closeData()
		for _, noWait := range []bool{true, false} {
			if err := send(h, noWait); !errors.Is(err, link.ErrHangup) {
				t.Errorf("NoWait %v: %v", noWait, err)
			}
		}
	})
	t.Run("stream ends meanwhile", func(t *testing.T) {
		for range 20 {
			h := newHalf(t, false, transport.Config{})
			h.closeData()
			h.ctl.Close()
			for _, noWait := range []bool{true, false} {
				if err := send(h, noWait); !errors.Is(err, link.ErrHangup) {
					t.Fatalf("NoWait %v: %v", noWait, err)
				}
			}
		}
	})
	t.Run("closed meanwhile", func(t *testing.T) {
		h := newHalf(t, false, transport.Config{})
		h.closeData()
		h.Close()
		if err := send(h, false); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

// TestSendAfterTheEnd checks that a send that the end has woken gives the reason.
func TestSendAfterTheEnd(t *testing.T) {
	f := &fake{sendErr: os.ErrDeadlineExceeded, roomErr: os.ErrDeadlineExceeded, recvErr: transport.ErrDrained}
	h := newHalf(t, false, transport.Config{Transport: f})
	frames := link.Tx{Frames: [][]byte{numbered(0)}}
	if _, _, err := h.Send(frames); err != os.ErrDeadlineExceeded {
		t.Errorf("before the end: %v", err)
	}
	h.ctl.Close()
	<-h.Done()
	if _, _, err := h.Send(frames); err != link.ErrHangup {
		t.Errorf("Send: %v", err)
	}
	if err := h.AwaitRoom(); err != link.ErrHangup {
		t.Errorf("AwaitRoom: %v", err)
	}
	if _, err := recv(h, 1, nil); err != link.ErrHangup {
		t.Errorf("Recv: %v", err)
	}
	h.Close()
	if _, err := recv(h, 1, nil); err != net.ErrClosed {
		t.Errorf("Recv after Close: %v", err)
	}
}

// TestOnData checks that bytes after the handshake are told of, and that an error
// ends the link.
func TestOnData(t *testing.T) {
	told := make(chan struct{}, 10)
	var wrong atomic.Pointer[error]
	h := newHalf(t, false, transport.Config{OnData: func() error {
		defer func() { told <- struct{}{} }()
		if err := wrong.Load(); err != nil {
			return *err
		}
		return nil
	}})
	if err := h.ctl.Write([]byte("x"), nil); err != nil {
		t.Fatal(err)
	}
	<-told
	if err := h.Err(); err != nil {
		t.Fatal(err)
	}
	tooMuch := errors.New("too much")
	wrong.Store(&tooMuch)
	if err := h.ctl.Write([]byte("y"), nil); err != nil {
		t.Fatal(err)
	}
	<-h.Done()
	if err := h.Err(); err != tooMuch {
		t.Errorf("%v", err)
	}
}

// TestDataIgnored checks that without OnData such bytes change nothing.
func TestDataIgnored(t *testing.T) {
	h := newHalf(t, false, transport.Config{})
	if err := h.ctl.Write(bytes.Repeat([]byte("x"), 1000), nil); err != nil {
		t.Fatal(err)
	}
	h.send(t, numbered(0))
	wantFrames(t, h, 1, 0)
	h.ctl.Close() // read after the bytes
	<-h.Done()
	if err := h.Err(); err != link.ErrHangup {
		t.Errorf("%v", err)
	}
}

// TestOnClose checks the order at Close, and that it happens once.
func TestOnClose(t *testing.T) {
	for _, streamFirst := range []bool{false, true} {
		calls := 0
		h := newHalf(t, false, transport.Config{StreamFirst: streamFirst, OnClose: func() { calls++ }})
		h.send(t, numbered(0))
		for i := range 2 {
			if unread, err := h.Close(); unread != 1-i || err != nil {
				t.Errorf("Close %d: %d, %v", i, unread, err)
			}
		}
		if calls != 1 {
			t.Errorf("OnClose was called %d times", calls)
		}
		if n, err := h.ctl.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("the control stream is open")
		}
	}
}

// TestPastDeadline checks that a deadline that passed before the end does not hide
// it, nor what had come before.
func TestPastDeadline(t *testing.T) {
	h := newHalf(t, false, transport.Config{})
	if err := h.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	h.send(t, numbered(0))
	h.ctl.Close()
	<-h.Done()
	receive := func() (n int, err error) {
		for {
			n, err = h.Recv(link.Rx{Bufs: [][]byte{make([]byte, 100)}, Sizes: make([]int, 1)})
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				return n, err
			}
			runtime.Gosched() // the transport is told after Done is closed
		}
	}
	if n, err := receive(); n != 1 || err != nil {
		t.Errorf("what had come: %d, %v", n, err)
	}
	if _, err := receive(); err != link.ErrHangup {
		t.Errorf("the end: %v", err)
	}
}
