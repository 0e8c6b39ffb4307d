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
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// agreedPair returns the two ends of a cable whose other sides agreed or not.
func agreedPair(t testing.TB, agreed bool, opts ...vde.Option) (a, b *vde.Conn) {
	t.Helper()
	conns, hangup, err := vde.CablePair([2]bool{agreed, agreed}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conns[0].Close()
		conns[1].Close()
		hangup()
	})
	return conns[0], conns[1]
}

// longFrame returns a TCP segment of n bytes of payload, to be cut at size, with
// its offload header.
func longFrame(n, size int) []byte {
	const hdr = 54
	f := make([]byte, frame.VNetHeaderLen+hdr+n)
	frame.VNetHeader{
		Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: hdr, GSOSize: uint16(size),
		CsumStart: 34, CsumOffset: 16,
	}.Put(f)
	e := f[frame.VNetHeaderLen:]
	frame.PutHeader(e, frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	total := 40 + n
	copy(e[14:], []byte{0x45, 0, byte(total >> 8), byte(total), 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2})
	copy(e[34:], []byte{0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0xf6, 0, 0, 0, 0})
	for i := range e[hdr:] {
		e[hdr+i] = byte(i * 11)
	}
	return f
}

// barelyFinished returns a UDP datagram that lacks its checksum, with its header.
func barelyFinished() []byte {
	f := make([]byte, frame.VNetHeaderLen, 80)
	frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: 34, CsumOffset: 6}.Put(f)
	f = frame.AppendHeader(f, frame.MAC{2, 0, 0, 0, 0, 2}, frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	f = append(f, 0x45, 0, 0, 0x21, 0, 7, 0x40, 0, 0x40, 0x11, 0x26, 0xc3, 10, 0, 0, 1, 10, 0, 0, 2)
	return append(f, 0x14, 0xe9, 0, 0x35, 0, 0xd, 0x14, 0x21, 'q', 'u', 'e', 'r', 'y')
}

// finished returns what f, with its header, becomes for those who take ordinary
// frames. Package offload's own tests say that this is right.
func finished(f []byte) (all [][]byte) {
	o, _ := frame.ParseVNetHeader(f)
	f = bytes.Clone(f[frame.VNetHeaderLen:])
	if o.GSOType == frame.GSONone {
		gso.Finish(o, f)
		return [][]byte{f}
	}
	var s gso.Segmenter
	s.Reset(o, f)
	dst := make([]byte, s.Size())
	for n, ok := s.Next(dst); ok; n, ok = s.Next(dst) {
		all = append(all, bytes.Clone(dst[:n]))
	}
	return all
}

// headed puts a header that says nothing in front of f.
func headed(f []byte) []byte { return append(make([]byte, frame.VNetHeaderLen), f...) }

var (
	offloadSenders = map[string]func(c *vde.Conn, frames [][]byte) (int, error){
		"Write": func(c *vde.Conn, frames [][]byte) (n int, err error) {
			for _, f := range frames {
				k, err := c.Write(f)
				if err != nil || k != len(f) {
					return n, fmt.Errorf("%d of %d: %w", k, len(f), err)
				}
				n++
			}
			return n, nil
		},
		"WriteBatch":    (*vde.Conn).WriteBatch,
		"TryWriteBatch": (*vde.Conn).TryWriteBatch, // the queue takes them all
		"WriteBuffers": func(c *vde.Conn, frames [][]byte) (n int, err error) {
			pieces := make([]net.Buffers, len(frames))
			for i, f := range frames {
				pieces[i] = net.Buffers{f[:4], f[4:30], f[30:]}
			}
			return c.WriteBuffers(pieces)
		},
	}
	offloadReceivers = map[string]func(t *testing.T, c *vde.Conn, n int) [][]byte{
		"ReadFrom": func(t *testing.T, c *vde.Conn, n int) (got [][]byte) {
			buf := make([]byte, 1<<16)
			for range n {
				k, src, err := c.ReadFrom(buf)
				if err != nil {
					t.Error(err)
					break
				}
				if src.String() != "02:00:00:00:00:01" {
					t.Errorf("source %v", src)
				}
				got = append(got, bytes.Clone(buf[:k]))
			}
			return got
		},
		"ReadBatch": func(t *testing.T, c *vde.Conn, n int) (got [][]byte) {
			slab := make([][]byte, 3)
			for len(got) < n {
				bufs := make([][]byte, len(slab))
				for i := range bufs {
					bufs[i] = make([]byte, 1<<16)
				}
				k, err := c.ReadBatch(bufs)
				if err != nil {
					t.Error(err)
					break
				}
				got = append(got, bufs[:k]...)
			}
			return got
		},
		"Frames": func(t *testing.T, c *vde.Conn, n int) (got [][]byte) {
			for range n {
				f := <-c.Frames()
				got = append(got, bytes.Clone(f.Bytes()))
				f.Release()
			}
			return got
		},
	}
)

// TestOffload sends each kind of frame in each way over each kind of cable to
// each kind of receiver.
func TestOffload(t *testing.T) {
	testutil.NoLeaks(t)
	undone := [][]byte{headed(testFrame(200, 1)), longFrame(20_000, 1448), barelyFinished(), longFrame(frame.MaxGSO-54, 1400), longFrame(3, 1000)}
	done := slices.Clone(undone)[:1]
	for _, f := range undone[1:] {
		for _, f := range finished(f) {
			done = append(done, headed(f))
		}
	}
	for i, f := range done {
		done[i] = f[:len(f):len(f)]
	}
	bare := make([][]byte, len(done))
	for i, f := range done {
		bare[i] = f[frame.VNetHeaderLen:]
	}
	for _, agreed := range []bool{false, true} {
		for _, enabled := range [][2]bool{{true, false}, {true, true}, {false, true}, {false, false}} {
			for how, send := range offloadSenders {
				for into, receive := range offloadReceivers {
					name := fmt.Sprintf("agreed=%v/enabled=%v,%v/%s/%s", agreed, enabled[0], enabled[1], how, into)
					t.Run(name, func(t *testing.T) {
						var ofA, ofB int
						a, b := agreedPair(t, agreed, vde.WithTap(func(d vde.Direction, f frame.Frame) {
							if f.Src() != (frame.MAC{2, 0, 0, 0, 0, 1}) {
								t.Errorf("the tap saw % x", f[:14])
							}
							switch d {
							case vde.Sent:
								ofA++
							case vde.Received:
								ofB++
							}
						}))
						given, want := bare, bare
						if enabled[0] {
							a.EnableOffload()
							given = undone
						}
						if enabled[1] {
							b.EnableOffload()
							if want = done; enabled[0] && agreed {
								want = undone
							}
						}
						if a.OffloadAgreed() != agreed || a.OffloadEnabled() != enabled[0] {
							t.Error("OffloadAgreed or OffloadEnabled is wrong")
						}
						sent := make(chan error, 1)
						go func() {
							n, err := send(a, given)
							if err == nil && n != len(given) {
								err = fmt.Errorf("sent %d of %d", n, len(given))
							}
							sent <- err
						}()
						got := receive(t, b, len(want))
						if err := awaitDone(t, "sending", sent); err != nil {
							t.Error(err)
						}
						if !slices.EqualFunc(got, want, bytes.Equal) {
							t.Fatalf("%d frames came, not the %d expected", len(got), len(want))
						}
						bytes := func(frames [][]byte, headed bool) (n uint64) {
							for _, f := range frames {
								n += uint64(len(f))
								if headed {
									n -= frame.VNetHeaderLen
								}
							}
							return n
						}
						as, bs := a.Stats(), b.Stats()
						if as.TxFrames != uint64(len(given)) || as.TxBytes != bytes(given, enabled[0]) ||
							bs.RxFrames != uint64(len(want)) || bs.RxBytes != bytes(want, enabled[1]) ||
							ofA != len(given) || ofB != len(want) {
							t.Errorf("%+v, %+v; taps saw %d and %d", as, bs, ofA, ofB)
						}
					})
				}
			}
		}
	}
}

// TestOffloadRefuses checks what is refused when sent, and how it is counted.
func TestOffloadRefuses(t *testing.T) {
	a, _ := agreedPair(t, false, vde.WithMaxFrameSize(1514))
	a.EnableOffload()
	tooShort := longFrame(5000, 1000)
	tooShort = tooShort[:len(tooShort)-1]
	unknown := longFrame(5000, 1000)
	unknown[1] = 9
	for i, test := range []struct {
		name string
		f    []byte
		want error
	}{
		{"nothing", nil, vde.ErrOffload},
		{"half a header", make([]byte, 9), vde.ErrOffload},
		{"a header alone", make([]byte, 10), vde.ErrFrameSize},
		{"no whole Ethernet header", make([]byte, 23), vde.ErrFrameSize},
		{"a long frame", headed(testFrame(1515, 0)), vde.ErrFrameSize},
		{"segments longer than a frame", longFrame(5000, 1461), vde.ErrFrameSize},
		{"another kind", unknown, vde.ErrOffload},
		{"a segment that is cut off", tooShort, vde.ErrOffload},
	} {
		_, err := a.Write(test.f)
		var op *net.OpError
		if !errors.Is(err, test.want) || !errors.As(err, &op) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
		if n, err := a.WriteBuffers([]net.Buffers{{test.f}, {headed(testFrame(60, 0))}}); n != 0 || !errors.Is(err, test.want) {
			t.Errorf("%s, in pieces: %d, %v, want %v", test.name, n, err, test.want)
		}
		if s := a.Stats(); s.TxInvalid != uint64(2*(i+1)) || s.TxFrames != 0 {
			t.Errorf("%s: %+v", test.name, s)
		}
	}
	good := longFrame(5000, 1460)
	if _, err := a.WriteTo(good, vde.Addr{MAC: frame.MAC{2, 0, 0, 0, 0, 2}}); err != nil {
		t.Error(err)
	}
	if _, err := a.WriteTo(good, vde.Addr{MAC: frame.MAC{2, 0, 0, 0, 0, 3}}); err == nil {
		t.Error("WriteTo sent a frame for another")
	}
}

// TestOffloadDiscards checks how what is received and not right is counted. The
// peer's Conn has not asked for headers and is on a cable without, so that it can
// send anything.
func TestOffloadDiscards(t *testing.T) {
	for _, enabled := range []bool{true, false} {
		t.Run(fmt.Sprintf("enabled=%v", enabled), func(t *testing.T) {
			conns, hangup, err := vde.CablePair([2]bool{false, true}, vde.WithMaxFrameSize(1514))
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
			if enabled {
				b.EnableOffload()
			}
			wrong := longFrame(400, 100)
			wrong[2]++ // header length
			cut := longFrame(3000, 1000)
			for _, d := range [][]byte{
				{},
				make([]byte, 5),
				make([]byte, frame.VNetHeaderLen+13),
				headed(testFrame(1515, 1)),
				wrong,
				cut[:len(cut)-1],
				headed(testFrame(60, 2)),
			} {
				sendDatagram(t, raw, d)
			}
			buf := make([]byte, 1<<16)
			n, err := b.Read(buf)
			want := testFrame(60, 2)
			if enabled {
				want = headed(want)
			}
			if err != nil || !bytes.Equal(buf[:n], want) {
				t.Errorf("% x, %v", buf[:n], err)
			}
			if s := b.Stats(); s.RxFrames != 1 || s.RxEmpty != 1 || s.RxRunts != 4 || s.RxTruncated != 1 {
				t.Errorf("%+v", s)
			}
			sendDatagram(t, raw, longFrame(3000, 1000))
			if _, err = b.Read(buf[:100]); !errors.Is(err, io.ErrShortBuffer) {
				t.Errorf("a short buffer: %v", err)
			}
			if !enabled {
				// The rest of it is still there.
				for _, n := range []int{1054, 1054} {
					if k, err := b.Read(buf); err != nil || k != n {
						t.Errorf("%d, %v, want %d", k, err, n)
					}
				}
				sendDatagram(t, raw, longFrame(5000, 1000))
				if _, err := b.Read(buf); err != nil {
					t.Error(err)
				}
				b.Close()
				if s := b.Stats(); s.RxDiscarded != 4 {
					t.Errorf("%d segments discarded by Close, want 4", s.RxDiscarded)
				}
			}
		})
	}
}

// TestOffloadReconnect checks that the other switch is told nothing of headers.
func TestOffloadReconnect(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testutil.NewFakeSwitch(t)
	c := open(t, sw.VNL(), vde.WithReconnect(quick))
	first := next(t, sw)
	c.EnableOffload()
	check := func(client *testutil.FakeClient) {
		t.Helper()
		if _, err := c.Write(longFrame(3000, 1000)); err != nil {
			t.Fatal(err)
		}
		for i, want := range finished(longFrame(3000, 1000)) {
			got, err := client.Recv(watchdog(t))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("segment %d: %d bytes, %v", i, len(got), err)
			}
		}
		send(t, client, 5)
		buf := make([]byte, 100)
		c.SetReadDeadline(time.Now().Add(patience))
		if n, err := c.Read(buf); err != nil || !bytes.Equal(buf[:n], headed(testFrame(60, 5))) {
			t.Fatalf("% x, %v", buf[:n], err)
		}
	}
	check(first)
	first.Hangup()
	check(next(t, sw))
}

// TestOffloadConformance holds a Conn that did not ask for headers, at an end
// whose other side agreed to them, to what is promised of every other.
func TestOffloadConformance(t *testing.T) {
	testutil.NoLeaks(t)
	testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
		conns, hangup, err := vde.CablePair([2]bool{true, true})
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

// TestOffloadAllocations checks that no kind of frame costs an allocation.
func TestOffloadAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("the race detector allocates itself: see the run without it")
		return
	}
	long, barely, small := longFrame(6000, 1448), barelyFinished(), headed(testFrame(60, 0))
	pieces := []net.Buffers{{long[:10], long[10:64], long[64:]}, {small[:10], small[10:]}}
	parts := 5 // of long
	for _, agreed := range []bool{false, true} {
		a, b := agreedPair(t, agreed)
		a.EnableOffload()
		b.EnableOffload()
		batch := [][]byte{barely, small}
		bufs := make([][]byte, 32)
		for i := range bufs {
			bufs[i] = make([]byte, 1<<16)
		}
		windows := make([][]byte, len(bufs))
		want := parts + 1 + 2
		if agreed {
			want = 4
		}
		if n := testing.AllocsPerRun(100, func() {
			if n, err := a.WriteBuffers(pieces); n != 2 || err != nil {
				t.Fatal(n, err)
			}
			if n, err := a.TryWriteBatch(batch); n != 2 || err != nil {
				t.Fatal(n, err)
			}
			for got := 0; got < want; {
				copy(windows, bufs)
				n, err := b.ReadBatch(windows)
				if err != nil {
					t.Fatal(err)
				}
				got += n
			}
		}); n != 0 {
			t.Errorf("agreed=%v: %v allocations", agreed, n)
		}
	}
}

// sendDatagram sends d as it is.
func sendDatagram(t testing.TB, raw syscall.RawConn, d []byte) {
	t.Helper()
	var sendErr error
	if err := raw.Write(func(fd uintptr) bool {
		sendErr = unix.Send(int(fd), d, 0)
		return sendErr != unix.EAGAIN
	}); err != nil || sendErr != nil {
		t.Fatal(err, sendErr)
	}
}
