// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package switchtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// testConformance puts two connections through the suite for packet connections, each pair on a switch of its
// own, which for a hangup is killed if that can be done.
func (s *suite) testConformance(t *testing.T) {
	testutil.TestPacketConn(t, func(tb testing.TB) (*testutil.Pair, error) {
		n := s.crashing(tb, Config{})
		var conns [2]*vde.Conn
		for i := range conns {
			c, err := n.tryOpen(n.Dir(), vde.WithMaxFrameSize(s.MaxFrame))
			if err != nil {
				return nil, err
			}
			conns[i] = c
		}
		pair := &testutil.Pair{A: conns[0], B: conns[1]}
		if !s.Concurrent {
			pair.Hangup = func() {
				for _, c := range conns {
					if c.Err() == nil {
						n.settle(c, 16)
					}
				}
				n.end()
			}
		}
		return pair, nil
	}, testutil.ConnOptions{Lossy: s.Lossy, MaxFrame: s.MaxFrame})
}

// end ends the switch, without a chance to clean up if possible.
func (n *network) end() {
	if k, ok := n.Switch.(Killer); ok {
		k.Kill()
		return
	}
	n.Stop()
}

// A receiver is one way to receive, one call at a time. It passes each frame to got, for the time of the call.
type receiver struct {
	name string
	make func(c *vde.Conn, maxFrame int) func(got func([]byte)) error
}

var receivers = []receiver{
	{"Read", func(c *vde.Conn, maxFrame int) func(func([]byte)) error {
		buf := make([]byte, maxFrame)
		return func(got func([]byte)) error {
			k, err := c.Read(buf)
			if err == nil {
				got(buf[:k])
			}
			return err
		}
	}},
	{"ReadFrom", func(c *vde.Conn, maxFrame int) func(func([]byte)) error {
		buf := make([]byte, maxFrame)
		return func(got func([]byte)) error {
			k, from, err := c.ReadFrom(buf)
			if err != nil {
				return err
			}
			if want := (vde.Addr{MAC: frame.Frame(buf).Src()}); from != net.Addr(want) {
				return fmt.Errorf("ReadFrom says a frame is from %v, the frame says %v", from, want)
			}
			got(buf[:k])
			return nil
		}
	}},
	{"ReadBatch", func(c *vde.Conn, maxFrame int) func(func([]byte)) error {
		slab := make([]byte, 32*maxFrame)
		bufs := make([][]byte, 32)
		return func(got func([]byte)) error {
			for i := range bufs {
				bufs[i] = slab[i*maxFrame : (i+1)*maxFrame]
			}
			k, err := c.ReadBatch(bufs)
			for _, f := range bufs[:k] {
				got(f)
			}
			return err
		}
	}},
	{"Frames", func(c *vde.Conn, _ int) func(func([]byte)) error {
		ch := c.Frames()
		return func(got func([]byte)) error {
			select {
			case f, ok := <-ch:
				if !ok {
					return c.Err()
				}
				got(f.Bytes())
				f.Release()
				return nil
			case <-time.After(limit):
				return errors.New("no frame on the channel")
			}
		}
	}},
}

// receive calls recv until it has brought count frames, each of which check accepts.
func (n *network) receive(recv func(func([]byte)) error, count int, check func(f []byte) error) {
	n.Helper()
	for got := 0; got < count; {
		var bad error
		err := recv(func(f []byte) {
			if e := check(f); e != nil && bad == nil {
				bad = fmt.Errorf("frame %d of %d: %w", got, count, e)
			}
			got++
		})
		if err = errors.Join(err, bad); err != nil {
			n.Fatalf("after %d frames of %d: %v", got, count, err)
		}
	}
}

// inOrder returns a check for test frames from src to dst, of the given sizes in turn, numbered from first on.
func inOrder(dst, src frame.MAC, first uint64, sizes ...int) func([]byte) error {
	next := first
	return func(b []byte) error {
		seq, err := testframe.Check(b)
		want := sizes[(next-first)%uint64(len(sizes))]
		switch f := frame.Frame(b); {
		case err != nil:
			return err
		case seq != next:
			return fmt.Errorf("number %d, want %d", seq, next)
		case len(b) != want:
			return fmt.Errorf("%d bytes, want %d", len(b), want)
		case f.Dst() != dst || f.Src() != src:
			return fmt.Errorf("from %v to %v, want from %v to %v", f.Src(), f.Dst(), src, dst)
		}
		next++
		return nil
	}
}

// forEver makes a C source pause after its first burst until it is told to end. If it left at once, the switch
// could drop what it has not taken from the source's queue.
const forEver = time.Hour

func (s *suite) testFromC(t *testing.T) {
	for _, r := range receivers {
		t.Run(r.name, func(t *testing.T) {
			n := s.network(t, Config{})
			c := n.station(1)
			recv := r.make(c.Conn, s.MaxFrame)
			if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
				t.Fatal(err)
			}
			var frames, bytes uint64
			for i, size := range s.sizes() {
				count := 2 * window(size)
				first := uint64(1000 * i)
				source := n.peer(testpeers.CPeerConfig{Role: testpeers.CSource, MAC: mac(2), Peer: c.mac, Size: size, First: first, Burst: count, Gap: forEver})
				if err := source.Begin(); err != nil {
					t.Fatal(err)
				}
				n.receive(recv, count, inOrder(c.mac, mac(2), first, size))
				if res := n.finish(source); res.Sent != uint64(count) || res.SendErrors != 0 {
					t.Errorf("the source: %+v", res)
				}
				frames += uint64(count)
				bytes += uint64(count * size)
			}
			st := c.Stats()
			if st.RxFrames != frames || st.RxBytes != bytes || st.RxRunts+st.RxTruncated+st.RxEmpty+st.RxForeign+st.RxDiscarded != 0 {
				t.Errorf("received %d frames of %d bytes in all, counted %+v", frames, bytes, st)
			}
		})
	}
}

// A sender is one way to send some frames.
type sender struct {
	name string
	send func(c *vde.Conn, frames [][]byte) (n int, err error)
}

var senders = []sender{
	{"Write", func(c *vde.Conn, frames [][]byte) (int, error) {
		for i, f := range frames {
			if k, err := c.Write(f); k != len(f) || err != nil {
				return i, fmt.Errorf("%d of %d bytes: %w", k, len(f), err)
			}
		}
		return len(frames), nil
	}},
	{"WriteTo", func(c *vde.Conn, frames [][]byte) (int, error) {
		for i, f := range frames {
			if k, err := c.WriteTo(f, vde.Addr{MAC: frame.Frame(f).Dst()}); k != len(f) || err != nil {
				return i, fmt.Errorf("%d of %d bytes: %w", k, len(f), err)
			}
		}
		return len(frames), nil
	}},
	{"WriteBatch", (*vde.Conn).WriteBatch},
	{"TryWriteBatch", (*vde.Conn).TryWriteBatch},
	{"WriteBuffers", func(c *vde.Conn, frames [][]byte) (int, error) {
		pieces := make([]net.Buffers, len(frames))
		for i, f := range frames {
			pieces[i] = net.Buffers{f[:12], f[12:14], nil, f[14:20], f[20:]}
		}
		return c.WriteBuffers(pieces)
	}},
}

func (s *suite) testToC(t *testing.T) {
	for _, w := range senders {
		t.Run(w.name, func(t *testing.T) {
			n := s.network(t, Config{})
			c := n.station(1)
			if err := c.SetWriteDeadline(time.Now().Add(limit)); err != nil {
				t.Fatal(err)
			}
			sink := n.peer(testpeers.CPeerConfig{Role: testpeers.CSink, MAC: mac(2)})
			var frames, bytes uint64
			for _, size := range s.sizes() {
				for range 3 {
					batch := make([][]byte, window(size))
					for i := range batch {
						batch[i] = testFrame(mac(2), c.mac, size, frames)
						frames++
						bytes += uint64(size)
					}
					if k, err := w.send(c.Conn, batch); k != len(batch) || err != nil {
						t.Fatalf("%d of %d frames sent: %v", k, len(batch), err)
					}
					n.await(sink, frames)
				}
			}
			res := n.finish(sink)
			if res.Frames != frames || res.Bytes != bytes || res.Lost+res.Duplicates+res.Late+res.Corrupt+res.Other != 0 {
				t.Errorf("sent %d frames of %d bytes in all; the sink: %+v", frames, bytes, res)
			}
			st := c.Stats()
			if st.TxFrames != frames || st.TxBytes != bytes || st.TxFull+st.TxRefused+st.TxNoBuffer+st.TxInvalid != 0 {
				t.Errorf("sent %d frames of %d bytes in all, counted %+v", frames, bytes, st)
			}
		})
	}
}

// testPingPong has one frame on its way at a time, of lengths from the shortest to the
// longest.
func (s *suite) testPingPong(t *testing.T) {
	frames := 1000
	if testing.Short() {
		frames = 250
	}
	n := s.network(t, Config{})
	c := n.station(1)
	n.peer(testpeers.CPeerConfig{Role: testpeers.CEcho, MAC: mac(2)})
	for i := range frames {
		size := testframe.MinSize + i*(s.MaxFrame-testframe.MinSize)/(frames-1)
		n.write(c.Conn, testFrame(mac(2), c.mac, size, uint64(i)))
		n.expect("the echo", c.Conn, testFrame(c.mac, mac(2), size, uint64(i)))
	}
	if st := c.Stats(); st.TxFrames != uint64(frames) || st.RxFrames != uint64(frames) || st.TxBytes != st.RxBytes {
		t.Errorf("counted %+v", st)
	}
}

func (s *suite) testWindowedEcho(t *testing.T) {
	for _, r := range receivers {
		t.Run(r.name, func(t *testing.T) {
			n := s.network(t, Config{})
			c := n.station(1)
			n.peer(testpeers.CPeerConfig{Role: testpeers.CEcho, MAC: mac(2)})
			recv := r.make(c.Conn, s.MaxFrame)
			if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
				t.Fatal(err)
			}
			for seq := uint64(0); seq < 2000; {
				batch := make([][]byte, window(1514))
				sizes := make([]int, len(batch))
				for i := range batch {
					sizes[i] = testframe.MinSize + int(seq*7919)%(1514-testframe.MinSize)
					batch[i] = testFrame(mac(2), c.mac, sizes[i], seq)
					seq++
				}
				n.write(c.Conn, batch...)
				n.receive(recv, len(batch), inOrder(c.mac, mac(2), seq-uint64(len(batch)), sizes...))
			}
		})
	}
}

// testGoBetweenC relays from a C source to a C sink.
func (s *suite) testGoBetweenC(t *testing.T) {
	n := s.network(t, Config{})
	c := n.station(1)
	sink := n.peer(testpeers.CPeerConfig{Role: testpeers.CSink, MAC: mac(3)})
	count := 2 * window(1514)
	source := n.peer(testpeers.CPeerConfig{Role: testpeers.CSource, MAC: mac(2), Peer: c.mac, Size: 1514, Burst: count, Gap: forEver})
	if err := source.Begin(); err != nil {
		t.Fatal(err)
	}
	for range count {
		f := n.read(c.Conn)
		if frame.Frame(f).Dst() != c.mac || frame.Frame(f).Src() != mac(2) {
			t.Fatalf("received % x", short(f))
		}
		frame.PutHeader(f, mac(3), c.mac, testframe.EtherType)
		n.write(c.Conn, f)
	}
	// A hub has shown the sink the source's frames too: twice the same.
	n.await(sink, uint64(count))
	res := n.finish(sink)
	if res.Frames != uint64(count) || res.Lost+res.Corrupt != 0 || !s.Hub && res.Other != 0 {
		t.Errorf("of %d frames relayed, the sink: %+v", count, res)
	}
}

// floodFrames is how many frames are sent as fast as they go.
const floodFrames = 20_000

// testFloodToC sends faster than a sink may read: what does not arrive must be the switch's drops.
func (s *suite) testFloodToC(t *testing.T) {
	n := s.network(t, Config{})
	c := n.station(1, overSocket)
	if err := c.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	sink := n.peer(testpeers.CPeerConfig{Role: testpeers.CSink, MAC: mac(2)})
	batch := make([][]byte, 50)
	for seq := uint64(0); seq < floodFrames; {
		for i := range batch {
			batch[i] = testFrame(mac(2), c.mac, 60+int(seq%700), seq)
			seq++
		}
		if k, err := c.WriteBatch(batch); k != len(batch) || err != nil {
			t.Fatalf("%d of %d frames sent: %v", k, len(batch), err)
		}
	}
	n.settle(c.Conn, 1000)
	res := n.finish(sink)
	dropped := floodFrames - res.Frames
	t.Logf("%d frames sent, %d arrived, %d dropped by the switch; frames per system call: %.1f",
		floodFrames, res.Frames, dropped, float64(c.Stats().TxFrames)/float64(c.Stats().TxCalls))
	if res.Duplicates+res.Late+res.Corrupt+res.Other != 0 || res.Frames == 0 || dropped != 0 && !s.Lossy {
		t.Errorf("the sink: %+v", res)
	}
	if st := c.Stats(); st.TxFrames != floodFrames || st.TxFull+st.TxRefused+st.TxNoBuffer+st.TxInvalid != 0 {
		t.Errorf("counted %+v", st)
	}
	n.reconcile(t, floodFrames, dropped)
}

// A flood is what a reader has received until its error.
type flood struct {
	frames, last uint64
	err          error
}

// readFlood receives test frames whose numbers rise until recv fails.
func readFlood(recv func(func([]byte)) error) (r flood) {
	for r.err == nil {
		var bad error
		err := recv(func(f []byte) {
			seq, e := testframe.Check(f)
			if e == nil && r.frames > 0 && seq <= r.last {
				e = fmt.Errorf("frame %d after %d", seq, r.last)
			}
			if e != nil && bad == nil {
				bad = e
			}
			r.frames++
			r.last = seq
		})
		r.err = errors.Join(err, bad)
	}
	return r
}

// testFloodFromC receives from a source that never waits for anybody but the switch.
func (s *suite) testFloodFromC(t *testing.T) {
	n := s.network(t, Config{})
	c := n.station(1)
	source := n.peer(testpeers.CPeerConfig{Role: testpeers.CSource, MAC: mac(2), Peer: c.mac, Size: 300, Burst: floodFrames, Gap: forEver})

	done := make(chan flood, 1)
	go func() { done <- readFlood(receivers[2].make(c.Conn, s.MaxFrame)) }()
	if err := source.Begin(); err != nil {
		t.Fatal(err)
	}
	n.await(source, floodFrames)
	// The rest is in the source's queue at the switch, which holds a few hundred frames. A switch takes at least
	// one of them in each round.
	w := n.watch()
	for range 300 {
		n.round(w)
	}
	// The reader then takes what is in our queue, up to a deadline in the past.
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	r := <-done
	var timeout net.Error
	if !errors.As(r.err, &timeout) || !timeout.Timeout() {
		t.Errorf("reading: %v", r.err)
	}
	n.close(c.Conn)
	st := c.Stats()
	if st.RxFrames != r.frames || st.RxRunts+st.RxTruncated+st.RxEmpty+st.RxForeign != 0 {
		t.Errorf("%d frames received, counted %+v", r.frames, st)
	}
	dropped := floodFrames - r.frames - st.RxDiscarded
	t.Logf("%d frames sent, %d received, %d unread at the end, %d dropped by the switch; frames per system call: %.1f",
		floodFrames, r.frames, st.RxDiscarded, dropped, float64(st.RxFrames)/float64(st.RxCalls))
	if r.frames == 0 || dropped > floodFrames || dropped != 0 && !s.Lossy {
		t.Errorf("%d frames of %d arrived", floodFrames-dropped, floodFrames)
	}
	if res := n.finish(source); res.Sent != floodFrames || res.SendErrors != 0 {
		t.Errorf("the source: %+v", res)
	}
	n.reconcile(t, floodFrames, dropped)
}

// reconcile compares with the switch's own count, if it has one.
func (n *network) reconcile(t *testing.T, sent, dropped uint64) {
	p, ok := n.ports()
	if !ok {
		return
	}
	ports, err := p.Ports()
	if err != nil {
		t.Fatal(err)
	}
	var in uint64
	for _, p := range ports {
		in += p.InPackets
	}
	if in != 0 && in != sent {
		t.Errorf("the switch took %d frames of %d sent (%d of them dropped)", in, sent, dropped)
	}
}

// testVdePlug exchanges frames with the standard streams of a vde_plug.
func (s *suite) testVdePlug(t *testing.T) {
	n := s.network(t, Config{})
	c := n.station(1)
	plug := testpeers.StartVdePlug(t, n.Dir())
	for i, size := range append([]int{frame.HeaderLen + 12, 59}, s.sizes()...) {
		f := testFrame(frame.Broadcast(), c.mac, size, uint64(2*i))
		n.write(c.Conn, f)
		got, err := plug.Recv(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		n.same("vde_plug", got, f)
		// vde_plug reads a frame and the two bytes of its length from its standard input into one buffer.
		size = min(size, frame.DefaultMaxSize-2)
		f = testFrame(c.mac, mac(2), size, uint64(2*i+1))
		if err := plug.Send(f); err != nil {
			t.Fatal(err)
		}
		n.expect(fmt.Sprintf("of %d bytes from vde_plug, the connection", size), c.Conn, f)
	}
	// Two vde_plugs exchange frames. A third station receives broadcasts.
	other := testpeers.StartVdePlug(t, "vde://"+n.Dir())
	f := testFrame(frame.Broadcast(), mac(3), 200, 99)
	if err := other.Send(f); err != nil {
		t.Fatal(err)
	}
	got, err := plug.Recv(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	n.same("vde_plug", got, f)
	n.expect("the connection", c.Conn, f)
	plug.CloseInput()
	if err := plug.Wait(t.Context()); err != nil {
		t.Errorf("vde_plug: %v", err)
	}
}

// testLongFrames sends frames longer than the switch takes.
func (s *suite) testLongFrames(t *testing.T) {
	n := s.network(t, Config{})
	large := vde.WithMaxFrameSize(s.MaxFrame + 1000)
	a, b := n.station(1, large), n.station(2, large)
	for i, extra := range []int{1, 2, 500, 1000} {
		f := testFrame(frame.Broadcast(), a.mac, s.MaxFrame+extra, uint64(i))
		n.write(a.Conn, f)
		if s.Cuts {
			n.expect("b", b.Conn, f[:s.MaxFrame])
		}
		f = testFrame(frame.Broadcast(), a.mac, s.MaxFrame, uint64(100+i))
		n.write(a.Conn, f)
		n.expect("b", b.Conn, f)
	}
	// Short ones: a header is a frame.
	header := testFrame(b.mac, a.mac, 100, 0)[:frame.HeaderLen]
	n.write(a.Conn, header)
	n.expect("b", b.Conn, header)
}
