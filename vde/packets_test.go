// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// TestPackets sends each kind of frame with each sender, over sockets with and
// without headers, to each receiver.
func TestPackets(t *testing.T) {
	testutil.NoLeaks(t)
	given := []packet{{frame: conntest.Frame(200, 1)}, gsoPacket(20_000, 1448), partialPacket(), gsoPacket(frame.MaxGSO-54, 1400), gsoPacket(3, 1000)}
	var done []packet
	for _, p := range given {
		done = append(done, p.finished()...)
	}
	for _, agreed := range []bool{false, true} {
		for _, s := range packetSenders {
			for _, r := range packetReceivers {
				t.Run(fmt.Sprintf("agreed=%v/%s/%s", agreed, s.name, r.name), func(t *testing.T) {
					given, want := given, done
					if s.finished {
						given = done
					} else if agreed && !r.finished {
						want = given
					}
					checkPackets(t, agreed, s, r, given, want)
				})
			}
		}
	}
}

// checkPackets sends given and expects want, in Stats and hooks too.
func checkPackets(t *testing.T, agreed bool, s packetSender, r packetReceiver, given, want []packet) {
	var seen [3]atomic.Int32 // by direction
	a, b := agreedPair(t, agreed, vde.WithFrameHook(func(d vde.Direction, f frame.Frame) {
		if f.Src() != (frame.MAC{2, 0, 0, 0, 0, 1}) {
			t.Errorf("the hook saw % x", f[:14])
		}
		seen[d].Add(1)
	}))
	offload := link.Offload(0)
	if agreed {
		offload = link.OffloadChecksum | link.OffloadTSO
	}
	if got := a.Caps().Offload; got != offload {
		t.Errorf("Caps say %v, want %v", got, offload)
	}
	sent := make(chan error, 1)
	go func() {
		n, err := s.send(a, given)
		if err == nil && n != len(given) {
			err = fmt.Errorf("sent %d of %d", n, len(given))
		}
		sent <- err
	}()
	got := r.receive(t, b, len(want))
	if err := conntest.Await(t, "sending", sent); err != nil {
		t.Error(err)
	}
	if !slices.EqualFunc(got, want, samePacket) {
		t.Fatalf("%d frames came, not the %d expected", len(got), len(want))
	}
	size := func(packets []packet) (n uint64) {
		for _, p := range packets {
			n += uint64(len(p.frame))
		}
		return n
	}
	as, bs := a.Stats(), b.Stats()
	if as.TxFrames != uint64(len(given)) || as.TxBytes != size(given) || bs.RxFrames != uint64(len(want)) || bs.RxBytes != size(want) {
		t.Errorf("%+v, %+v", as, bs)
	}
	if tx, rx := seen[vde.Sent].Load(), seen[vde.Received].Load(); int(tx) != len(given) || int(rx) != len(want) {
		t.Errorf("hooks saw %d and %d", tx, rx)
	}
}

// TestPacketsFrames reads packets while Frames owns reading, and after it was
// closed.
func TestPacketsFrames(t *testing.T) {
	a, _ := agreedPair(t, true)
	bufs, headers := longBuffers(1), make([]frame.VNetHeader, 1)
	a.Frames()
	if _, err := a.ReadPackets(bufs, headers); !errors.Is(err, vde.ErrBusy) {
		t.Errorf("beside Frames: %v", err)
	}
	a.Close()
	if _, err := a.ReadPackets(bufs, headers); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if n, err := a.WritePackets(split([]packet{gsoPacket(5000, 1000)})); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %d, %v", n, err)
	}
}

// TestPacketsRefused checks what is refused when sent, and how it is counted.
func TestPacketsRefused(t *testing.T) {
	for _, agreed := range []bool{false, true} {
		t.Run(fmt.Sprintf("agreed=%v", agreed), func(t *testing.T) { testPacketsRefused(t, agreed) })
	}
}

func testPacketsRefused(t *testing.T, agreed bool) {
	a, _ := agreedPair(t, agreed, vde.WithMaxFrameSize(1514))
	cut, unknown, elsewhere := gsoPacket(5000, 1000), gsoPacket(5000, 1000), partialPacket()
	cut.frame = cut.frame[:len(cut.frame)-1]
	unknown.header.GSOType = 9
	elsewhere.header.CsumOffset++
	flags := packet{frame.VNetHeader{Flags: 4}, conntest.Frame(60, 0)}
	for i, test := range []struct {
		name string
		p    packet
		want error
	}{
		{"nothing", packet{}, vde.ErrFrameSize},
		{"GSO of nothing", packet{header: cut.header}, vde.ErrFrameSize},
		{"no whole Ethernet header", packet{frame: make([]byte, 13)}, vde.ErrFrameSize},
		{"a long frame", packet{frame: conntest.Frame(1515, 0)}, vde.ErrFrameSize},
		{"segments longer than a frame", gsoPacket(5000, 1461), vde.ErrFrameSize},
		{"another kind", unknown, vde.ErrOffload},
		{"a segment that is cut off", cut, vde.ErrOffload},
		{"longer than any", gsoPacket(frame.MaxGSO-53, 1000), vde.ErrOffload},
		{"a checksum elsewhere", elsewhere, vde.ErrOffload},
		{"unknown flags", flags, vde.ErrOffload},
	} {
		pieces, headers := []net.Buffers{{test.p.frame}, {conntest.Frame(60, 0)}}, []frame.VNetHeader{test.p.header, {}}
		for j, write := range []func([]net.Buffers, []frame.VNetHeader) (int, error){a.WritePackets, a.TryWritePackets} {
			n, err := write(pieces, headers)
			var op *net.OpError
			if n != 0 || !errors.Is(err, test.want) || !errors.As(err, &op) {
				t.Errorf("%s: %d, %v, want %v", test.name, n, err, test.want)
			}
			if s := a.Stats(); s.TxInvalid != uint64(2*i+j+1) || s.TxFrames != 0 {
				t.Errorf("%s: %+v", test.name, s)
			}
		}
	}
	// What precedes the first wrong one is sent.
	if n, err := a.WritePackets(split([]packet{gsoPacket(5000, 1460), cut})); n != 1 || !errors.Is(err, vde.ErrOffload) {
		t.Errorf("%d, %v", n, err)
	}
}

// TestPacketsArguments checks slices that are empty or too short.
func TestPacketsArguments(t *testing.T) {
	a, _ := agreedPair(t, true)
	if n, err := a.ReadPackets(nil, nil); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for _, write := range []func([]net.Buffers, []frame.VNetHeader) (int, error){a.WritePackets, a.TryWritePackets} {
		if n, err := write(nil, nil); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := write([]net.Buffers{{conntest.Frame(60, 0)}, {conntest.Frame(60, 0)}}, make([]frame.VNetHeader, 1)); n != 0 || err == nil {
			t.Errorf("fewer headers than frames: %d, %v", n, err)
		}
	}
	var op *net.OpError
	if n, err := a.ReadPackets(longBuffers(2), make([]frame.VNetHeader, 1)); n != 0 || !errors.As(err, &op) {
		t.Errorf("fewer headers than buffers: %d, %v", n, err)
	}
	// More headers than frames are none of its business.
	if n, err := a.WritePackets([]net.Buffers{{conntest.Frame(60, 0)}}, make([]frame.VNetHeader, 5)); n != 1 || err != nil {
		t.Errorf("more headers than frames: %d, %v", n, err)
	}
}

// TestPacketsDiscarded checks how what is received and not right is counted. The
// socket of the peer is without headers, so that it can send anything.
func TestPacketsDiscarded(t *testing.T) {
	for _, withHeaders := range []bool{true, false} {
		t.Run(fmt.Sprintf("headers=%v", withHeaders), func(t *testing.T) { testPacketsDiscarded(t, withHeaders) })
	}
}

func testPacketsDiscarded(t *testing.T, withHeaders bool) {
	conns, hangup, err := socketPair([2]bool{false, true}, vde.WithMaxFrameSize(1514))
	if err != nil {
		t.Fatal(err)
	}
	defer hangup()
	b := conns[1]
	defer b.Close()
	raw, err := conns[0].SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	defer conns[0].Close()
	read := func(room int) ([]byte, error) { return readOne(b, room, withHeaders) }
	good := packet{frame: conntest.Frame(60, 2)}
	for _, d := range append(discardedDatagrams(), good.datagram()) {
		sendDatagram(t, raw, d)
	}
	if got, err := read(1 << 16); err != nil || !bytes.Equal(got, good.frame) {
		// Segments that are too long are discarded one by one, the last fits.
		if withHeaders || err != nil || len(got) != 54+3000-2*1461 {
			t.Errorf("% x, %v", got, err)
		}
		if got, err = read(1 << 16); err != nil || !bytes.Equal(got, good.frame) {
			t.Errorf("% x, %v", got, err)
		}
	}
	want := vde.Stats{RxFrames: 1, RxEmpty: 1, RxRunts: 5, RxTruncated: 2}
	if !withHeaders {
		want.RxFrames, want.RxTruncated = 2, 3
	}
	if s := b.Stats(); s.RxFrames != want.RxFrames || s.RxEmpty != want.RxEmpty || s.RxRunts != want.RxRunts || s.RxTruncated != want.RxTruncated {
		t.Errorf("%+v, want %+v", s, want)
	}
	if !withHeaders {
		testSegmentsKept(t, b, raw)
		return
	}
	// A GSO frame that does not fit is one discarded frame.
	sendDatagram(t, raw, gsoPacket(3000, 1000).datagram())
	sendDatagram(t, raw, good.datagram())
	if got, err := read(100); err != nil || !bytes.Equal(got, good.frame) {
		t.Errorf("% x, %v", got, err)
	}
	if s := b.Stats(); s.RxTruncated != want.RxTruncated+1 {
		t.Errorf("%+v", s)
	}
}

// discardedDatagrams returns datagrams of which a Conn with a maximum frame size of
// 1514 delivers none, except the last segment of the last.
func discardedDatagrams() [][]byte {
	wrong, cut := gsoPacket(400, 100), gsoPacket(3000, 1000)
	wrong.header.CsumOffset--
	cut.frame = cut.frame[:len(cut.frame)-1]
	return [][]byte{
		{},
		make([]byte, 5),
		make([]byte, frame.VNetHeaderLen),
		make([]byte, frame.VNetHeaderLen+13),
		packet{frame: conntest.Frame(1515, 1)}.datagram(),
		wrong.datagram(),
		cut.datagram(),
		gsoPacket(3000, 1461).datagram(),
	}
}

// readOne reads a frame into so many bytes, with ReadPackets or with Read.
func readOne(c *vde.Conn, room int, withHeaders bool) ([]byte, error) {
	bufs := [][]byte{make([]byte, room)}
	if withHeaders {
		n, err := c.ReadPackets(bufs, make([]frame.VNetHeader, 1))
		return bufs[0][:n*len(bufs[0])], err
	}
	n, err := c.Read(bufs[0])
	return bufs[0][:n], err
}

// testSegmentsKept checks what becomes of the segments of a GSO frame whose first
// met a short buffer, and whose last nobody received.
func testSegmentsKept(t *testing.T, b *vde.Conn, raw syscall.RawConn) {
	buf := make([]byte, 1<<16)
	sendDatagram(t, raw, gsoPacket(3000, 1000).datagram())
	if _, err := b.Read(buf[:100]); !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("a short buffer: %v", err)
	}
	for range 2 {
		if k, err := b.Read(buf); err != nil || k != 1054 {
			t.Errorf("%d, %v, want 1054", k, err)
		}
	}
	sendDatagram(t, raw, gsoPacket(5000, 1000).datagram())
	if _, err := b.Read(buf); err != nil {
		t.Error(err)
	}
	b.Close()
	if s := b.Stats(); s.RxDiscarded != 4 {
		t.Errorf("%d segments discarded by Close, want 4", s.RxDiscarded)
	}
}

// TestPacketsReconnect checks that a switch that takes no headers, and the next
// one, are sent ordinary frames.
func TestPacketsReconnect(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testutil.NewFakeSwitch(t)
	c := conntest.Open(t, sw.VNL(), vde.WithOffload(), vde.WithReconnect(conntest.Quick))
	first := conntest.Next(t, sw)
	check := func(client *testutil.FakeClient) {
		t.Helper()
		if n, err := c.WritePackets(split([]packet{gsoPacket(3000, 1000)})); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if got := c.Caps().Offload; got != 0 {
			t.Errorf("Caps say %v", got)
		}
		for i, want := range gsoPacket(3000, 1000).finished() {
			got, err := client.Recv(conntest.Watchdog(t))
			if err != nil || !bytes.Equal(got, want.frame) {
				t.Fatalf("segment %d: %d bytes, %v", i, len(got), err)
			}
		}
		conntest.Send(t, client, 5)
		bufs, headers := longBuffers(1), []frame.VNetHeader{{Flags: 1}}
		c.SetReadDeadline(time.Now().Add(conntest.Patience))
		if n, err := c.ReadPackets(bufs, headers); n != 1 || err != nil || !samePacket(packet{headers[0], bufs[0]}, packet{frame: conntest.Frame(60, 5)}) {
			t.Fatalf("%d, %v: %+v, % x", n, err, headers[0], bufs[0])
		}
	}
	check(first)
	first.Hangup()
	check(conntest.Next(t, sw))
}

// TestPacketsConformance holds a Conn that reads ordinary frames, at an end whose
// other side agreed to headers, to what is promised of every other.
func TestPacketsConformance(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
		conns, hangup, err := socketPair([2]bool{true, true})
		if err != nil {
			return nil, err
		}
		tb.Cleanup(func() {
			conns[0].Close()
			conns[1].Close()
			hangup()
		})
		return &testutil.Pair{A: conns[0], B: conns[1], Hangup: hangup}, nil
	}, testutil.ConnOptions{Allocs: true})
}

// TestPacketsAllocations checks that no kind of frame costs an allocation.
func TestPacketsAllocations(t *testing.T) {
	if raceEnabled || pool.LeakMode {
		t.Log("the race detector and leak mode allocate themselves: see the run without them")
		return
	}
	waits, waitHeaders := split([]packet{gsoPacket(6000, 1448), {frame: conntest.Frame(60, 0)}})
	tries, tryHeaders := split([]packet{partialPacket(), {frame: conntest.Frame(60, 0)}})
	const parts = 5 // of the GSO frame
	for _, agreed := range []bool{false, true} {
		a, b := agreedPair(t, agreed)
		bufs, headers := longBuffers(32), make([]frame.VNetHeader, 32)
		windows := make([][]byte, len(bufs))
		for name, test := range map[string]struct {
			read func() (int, error)
			want int
		}{
			"ReadPackets": {func() (int, error) { return b.ReadPackets(windows, headers) }, map[bool]int{false: parts + 3, true: 4}[agreed]},
			"ReadBatch":   {func() (int, error) { return b.ReadBatch(windows) }, parts + 3},
		} {
			if n := testing.AllocsPerRun(100, func() {
				if n, err := a.WritePackets(waits, waitHeaders); n != 2 || err != nil {
					t.Fatal(n, err)
				}
				if n, err := a.TryWritePackets(tries, tryHeaders); n != 2 || err != nil {
					t.Fatal(n, err)
				}
				for got := 0; got < test.want; {
					copy(windows, bufs)
					n, err := test.read()
					if err != nil {
						t.Fatal(err)
					}
					got += n
				}
			}); n != 0 {
				t.Errorf("agreed=%v, %s: %v allocations", agreed, name, n)
			}
		}
	}
}
