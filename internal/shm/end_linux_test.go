// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/openfiles"
	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/link"
)

func TestBothWays(t *testing.T) {
	client, sw := newPair(t, 9234)
	s := newSlab(70_000)
	for _, way := range []struct {
		name     string
		from, to *End
	}{{"to the switch", client, sw}, {"to the client", sw, client}} {
		frames := [][]byte{bytes.Repeat([]byte{1}, 14), bytes.Repeat([]byte{2}, 1514), bytes.Repeat([]byte{3}, 65526)}
		headers := []frame.VNetHeader{{}, {Flags: 1}, {Flags: 1, GSOType: 1, HdrLen: 54, GSOSize: 1460, CsumStart: 34, CsumOffset: 16}}
		if n, calls, err := way.from.Send(link.Tx{Frames: frames, Headers: headers, NoWait: true}); n != 3 || calls != 1 || err != nil {
			t.Fatalf("%s: sent %d in %d calls, %v", way.name, n, calls, err)
		}
		f := frames[1]
		pieces := link.Tx{Pieces: []net.Buffers{{f[:4], f[4:30], nil, f[30:]}}, Headers: headers[1:2]}
		if n, calls, err := way.from.Send(pieces); n != 1 || calls != 1 || err != nil {
			t.Fatalf("%s: sent %d in pieces in %d calls, %v", way.name, n, calls, err)
		}
		n, err := way.to.RecvPlaced(s, maxBatch)
		if n != 4 || err != nil {
			t.Fatalf("%s: received %d, %v", way.name, n, err)
		}
		for i, j := range []int{0, 1, 2, 1} {
			if !bytes.Equal(s.frames[i][:s.sizes[i]], frames[j]) || s.headers[i] != headers[j] {
				t.Errorf("%s: frame %d has %d bytes, %+v", way.name, i, s.sizes[i], s.headers[i])
			}
		}
		if _, err := way.to.RecvPlaced(s, maxBatch); err != link.ErrEmpty {
			t.Errorf("%s: then %v", way.name, err)
		}
	}
}

func TestFullAndTooLong(t *testing.T) {
	client, sw := newPair(t, 1514)
	f := make([]byte, 1514)
	sent := 0
	for {
		n, _, err := client.Send(link.Tx{Frames: [][]byte{f, f, f}, NoWait: true})
		sent += n
		if err == link.ErrFull {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := DefaultRing / int(slotLen(1514)); sent != want {
		t.Errorf("the ring took %d frames, want %d", sent, want)
	}
	if err := client.SetWriteDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, _, err := client.Send(link.Tx{Frames: [][]byte{f}}); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("sent %d, %v", n, err)
	}
	if err := client.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}

	// A sender that waits is woken when half the ring is free.
	done := make(chan error, 1)
	go func() {
		_, _, err := client.Send(link.Tx{Frames: [][]byte{f}})
		done <- err
	}()
	s := newSlab(1514)
	got := 0
	for got < sent+1 {
		n, err := sw.Recv(s.rx(maxBatch))
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n, _, err := client.Send(link.Tx{Frames: [][]byte{f, make([]byte, DefaultRing)}}); n != 1 || !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("a frame as long as the ring: sent %d, %v", n, err)
	}
}

func TestHangup(t *testing.T) {
	client, sw := newPair(t, 1514)
	s := newSlab(1514)
	send(t, sw, 60, 60)
	client.Hangup()
	if n, err := client.Recv(s.rx(1)); n != 1 || err != nil {
		t.Errorf("received %d, %v", n, err)
	}
	if n, err := client.Recv(s.rx(9)); n != 1 || err != nil {
		t.Errorf("received %d, %v", n, err)
	}
	for range 2 {
		if _, err := client.Recv(s.rx(9)); err != transport.ErrDrained {
			t.Errorf("then %v", err)
		}
	}
}

func TestClose(t *testing.T) {
	client, sw := newPair(t, 1514)
	send(t, sw, 60, 60, 60)
	if unread, err := client.Close(); unread != 3 || err != nil {
		t.Errorf("closed with %d unread, %v", unread, err)
	}
	if n, _, err := sw.Send(short); n != 0 || !errors.Is(err, unix.EPIPE) {
		t.Errorf("sent %d to a closed End, %v", n, err)
	}
	if _, _, err := client.Send(short); !errors.Is(err, net.ErrClosed) {
		t.Errorf("sent after closing: %v", err)
	}
	if _, err := client.Recv(newSlab(60).rx(1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("received after closing: %v", err)
	}
	if unread, err := client.Close(); unread != 0 || err != nil {
		t.Errorf("closed again: %d, %v", unread, err)
	}
}

// TestCloseFull closes the receiver of a ring that is full.
func TestCloseFull(t *testing.T) {
	client, sw := newPair(t, 1514)
	fill(t, sw)
	client.Close()
	if n, _, err := sw.Send(short); n != 0 || !errors.Is(err, unix.EPIPE) {
		t.Errorf("sent %d, %v", n, err)
	}
}

// fill sends until the ring is full.
func fill(t *testing.T, e *End) {
	t.Helper()
	tx := short
	tx.NoWait = true
	for {
		switch _, _, err := e.Send(tx); err {
		case nil:
		case link.ErrFull:
			return
		default:
			t.Fatal(err)
		}
	}
}

// TestCloseWakes closes an End of which a receive and a send wait.
func TestCloseWakes(t *testing.T) {
	client, _ := newPair(t, 1514)
	fill(t, client)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := client.Recv(newSlab(60).rx(1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a receive that waited: %v", err)
		}
	})
	wg.Go(func() {
		if _, _, err := client.Send(short); !errors.Is(err, net.ErrClosed) {
			t.Errorf("a send that waited: %v", err)
		}
	})
	for client.rx.ring.frameWakeup.Load() == 0 || client.tx.ring.roomWakeup.Load() == 0 {
		runtime.Gosched() // the two are about to wait
	}
	client.Close()
	wg.Wait()
}

func TestShut(t *testing.T) {
	client, sw := newPair(t, 1514)
	send(t, client, 60)
	sw.Shut()
	tx := short
	tx.NoWait = true
	if _, _, err := client.Send(tx); !errors.Is(err, unix.EPIPE) {
		t.Errorf("sent to an End that was shut: %v", err)
	}
	if unread, err := sw.Close(); unread != 1 || err != nil {
		t.Errorf("closed with %d unread, %v", unread, err)
	}
}

// TestViolation has a peer break the rules: this ends the End with the reason, and no
// descriptor is left open.
func TestViolation(t *testing.T) {
	for _, test := range []struct {
		name  string
		write func(peer *End)
		find  func(e *End) error
	}{
		{"tail", func(p *End) { p.tx.ring.tail.Store(1 << 50) }, func(e *End) error { return receive(e) }},
		{"tail back", func(p *End) {
			p.Send(short)
			p.tx.ring.tail.Store(16)
		}, func(e *End) error { return receive(e) }},
		{"length", func(p *End) {
			word64(p.tx.ring.data, 0).Store(1<<64 - 1)
			p.tx.ring.tail.Store(128)
		}, func(e *End) error { return receive(e) }},
		{"head", func(p *End) { p.rx.ring.head.Store(1 << 40) }, func(e *End) error {
			for {
				if _, _, err := e.Send(link.Tx{Frames: [][]byte{make([]byte, 1514)}, NoWait: true}); err != nil {
					return err
				}
			}
		}},
		{"our tail", func(p *End) { p.rx.ring.tail.Store(48) }, func(e *End) error {
			_, _, err := e.Send(short)
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := len(openfiles.Open())
			peer, e := newPair(t, 1514)
			test.write(peer)
			err := test.find(e)
			if !errors.Is(err, link.ErrViolation) {
				t.Fatalf("found %v", err)
			}
			if again := receive(e); again != err {
				t.Errorf("then a receive returns %v", again)
			}
			if _, _, again := e.Send(short); again != err {
				t.Errorf("then a send returns %v", again)
			}
			e.Hangup()
			if err := receive(e); err != transport.ErrDrained {
				t.Errorf("then %v", err)
			}
			e.Close()
			peer.Close()
			awaitDescriptors(t, before)
		})
	}
}

func receive(e *End) error {
	s := newSlab(1514)
	for {
		if _, err := e.Recv(s.rx(maxBatch)); err != nil {
			return err
		}
	}
}

// TestScribbler has a peer write random words all over the region while both
// directions are in use. The results do not matter, as long as the calls end and
// the process goes on.
func TestScribbler(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		peer, e := newPair(t, 1514)
		var wg sync.WaitGroup
		wg.Go(func() { receive(e) })
		wg.Go(func() {
			f := make([]byte, 1514)
			for {
				if _, _, err := e.Send(link.Tx{Frames: [][]byte{f, f[:60]}}); err != nil {
					return
				}
			}
		})
		words := [][2]int{{upAt, 4 * line}, {downAt, 4 * line}, {controlLen, 4096}, {controlLen + DefaultRing, 4096}}
		for range 2000 {
			where := words[rnd.IntN(len(words))]
			v := rnd.Uint64() >> rnd.IntN(64)
			word64(peer.region, where[0]+rnd.IntN(where[1])&^7).Store(v)
			if v%16 == 0 {
				ringDoorbell(peer.tx.peerDoorbell)
				ringDoorbell(peer.rx.peerDoorbell)
			}
		}
		e.Close()
		wg.Wait()
		peer.Close()
	}
}

func TestNoAllocations(t *testing.T) {
	client, sw := newPair(t, 1514)
	s := newSlab(1514)
	batch := [][]byte{make([]byte, 60), make([]byte, 1514)}
	pieces := []net.Buffers{{batch[0], batch[1]}}
	headers := make([]frame.VNetHeader, len(batch))
	if n := testing.AllocsPerRun(100, func() {
		client.Send(link.Tx{Frames: batch})
		client.Send(link.Tx{Pieces: pieces, Headers: headers})
		sw.Recv(s.rx(2))
		sw.Recv(s.rxHeaders(maxBatch))
		client.Send(link.Tx{Frames: batch})
		sw.RecvPlaced(s, maxBatch)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
