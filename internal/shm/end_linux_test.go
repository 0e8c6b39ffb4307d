// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package shm

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
)

// descriptors counts those this process has open.
func descriptors(tb testing.TB) int {
	tb.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		tb.Fatal(err)
	}
	return len(entries)
}

// headed returns frames with offs in front of them.
func headed(frames [][]byte, offs []frame.VNetHeader) (all [][]byte) {
	for i, f := range frames {
		b := make([]byte, frame.VNetHeaderLen, frame.VNetHeaderLen+len(f))
		offs[i].Put(b)
		all = append(all, append(b, f...))
	}
	return all
}

func TestBothWays(t *testing.T) {
	client, sw := newPair(t, 9234)
	s := newSlab(70_000)
	for _, way := range []struct {
		name     string
		from, to *End
	}{{"to the switch", client, sw}, {"to the client", sw, client}} {
		frames := [][]byte{bytes.Repeat([]byte{1}, 14), bytes.Repeat([]byte{2}, 1514), bytes.Repeat([]byte{3}, 65526)}
		offs := []frame.VNetHeader{{}, {Flags: 1}, {Flags: 1, GSOType: 1, HdrLen: 54, GSOSize: 1460, CsumStart: 34, CsumOffset: 16}}
		if n, calls, err := way.from.SendHeaded(headed(frames, offs), false); n != 3 || calls != 1 || err != nil {
			t.Fatalf("%s: sent %d in %d calls, %v", way.name, n, calls, err)
		}
		h := headed(frames, offs)[1]
		if n, calls, err := way.from.SendBuffersHeaded([]net.Buffers{{h[:4], h[4:30], nil, h[30:]}}, true); n != 1 || calls != 1 || err != nil {
			t.Fatalf("%s: sent %d in pieces in %d calls, %v", way.name, n, calls, err)
		}
		n, err := way.to.Recv(s, maxBatch, true)
		if n != 4 || err != nil {
			t.Fatalf("%s: received %d, %v", way.name, n, err)
		}
		for i, j := range []int{0, 1, 2, 1} {
			if !bytes.Equal(s.frames[i][:s.sizes[i]], frames[j]) || s.offs[i] != offs[j] {
				t.Errorf("%s: frame %d has %d bytes, %+v", way.name, i, s.sizes[i], s.offs[i])
			}
		}
		if _, err := way.to.Recv(s, maxBatch, false); err != link.ErrEmpty {
			t.Errorf("%s: then %v", way.name, err)
		}
	}
}

func TestFullAndTooLong(t *testing.T) {
	client, sw := newPair(t, 1514)
	f := make([]byte, 1514)
	sent := 0
	for {
		n, _, err := client.Send([][]byte{f, f, f}, false)
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
	if n, _, err := client.Send([][]byte{f}, true); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("sent %d, %v", n, err)
	}
	if err := client.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}

	// A sender that waits is woken when half the ring is free.
	done := make(chan error, 1)
	go func() {
		_, _, err := client.Send([][]byte{f}, true)
		done <- err
	}()
	s := newSlab(1514)
	got := 0
	for got < sent+1 {
		n, err := sw.Recv(s, maxBatch, true)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n, _, err := client.Send([][]byte{f, make([]byte, DefaultRing)}, true); n != 1 || !errors.Is(err, unix.EMSGSIZE) {
		t.Errorf("a frame as long as the ring: sent %d, %v", n, err)
	}
}

func TestTheEnd(t *testing.T) {
	f := make([]byte, 60)
	t.Run("Hangup", func(t *testing.T) {
		client, sw := newPair(t, 1514)
		s := newSlab(1514)
		if _, _, err := sw.Send([][]byte{f, f}, false); err != nil {
			t.Fatal(err)
		}
		client.Hangup()
		if n, err := client.Recv(s, 1, true); n != 1 || err != nil {
			t.Errorf("received %d, %v", n, err)
		}
		if n, err := client.Recv(s, 9, true); n != 1 || err != nil {
			t.Errorf("received %d, %v", n, err)
		}
		for range 2 {
			if _, err := client.Recv(s, 9, true); err != link.ErrDrained {
				t.Errorf("then %v", err)
			}
		}
	})
	t.Run("Close", func(t *testing.T) {
		client, sw := newPair(t, 1514)
		if _, _, err := sw.Send([][]byte{f, f, f}, false); err != nil {
			t.Fatal(err)
		}
		if unread, err := client.Close(); unread != 3 || err != nil {
			t.Errorf("closed with %d unread, %v", unread, err)
		}
		if n, _, err := sw.Send([][]byte{f}, true); n != 0 || !errors.Is(err, unix.EPIPE) {
			t.Errorf("sent %d to who has closed, %v", n, err)
		}
		if _, _, err := client.Send([][]byte{f}, true); !errors.Is(err, net.ErrClosed) {
			t.Errorf("sent after closing: %v", err)
		}
		if _, err := client.Recv(newSlab(60), 1, true); !errors.Is(err, net.ErrClosed) {
			t.Errorf("received after closing: %v", err)
		}
		if unread, err := client.Close(); unread != 0 || err != nil {
			t.Errorf("closed again: %d, %v", unread, err)
		}
	})
	t.Run("CloseFull", func(t *testing.T) {
		client, sw := newPair(t, 1514)
		for err := error(nil); err == nil; {
			_, _, err = sw.Send([][]byte{f}, false)
		}
		client.Close()
		if n, _, err := sw.Send([][]byte{f}, true); n != 0 || !errors.Is(err, unix.EPIPE) {
			t.Errorf("sent %d, %v", n, err)
		}
	})
	t.Run("CloseWakes", func(t *testing.T) {
		client, _ := newPair(t, 1514)
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := client.Recv(newSlab(60), 1, true); !errors.Is(err, net.ErrClosed) {
				t.Errorf("a receive that waited: %v", err)
			}
		})
		wg.Go(func() {
			for {
				if _, _, err := client.Send([][]byte{f}, true); err != nil {
					if !errors.Is(err, net.ErrClosed) {
						t.Errorf("a send that waited: %v", err)
					}
					return
				}
			}
		})
		for client.rx.sleeps.Load() == 0 || client.tx.waits.Load() == 0 {
			// The two are on their way into waiting.
			unix.Poll(nil, 1)
		}
		client.Close()
		wg.Wait()
	})
	t.Run("Shut", func(t *testing.T) {
		client, sw := newPair(t, 1514)
		if _, _, err := client.Send([][]byte{f}, false); err != nil {
			t.Fatal(err)
		}
		sw.Shut()
		if _, _, err := client.Send([][]byte{f}, false); !errors.Is(err, unix.EPIPE) {
			t.Errorf("sent to who takes nothing more: %v", err)
		}
		if unread, err := sw.Close(); unread != 1 || err != nil {
			t.Errorf("closed with %d unread, %v", unread, err)
		}
	})
}

// TestBroken has a peer break the rules, and sees that this ends one End with the
// reason and leaves nothing.
func TestBroken(t *testing.T) {
	for _, test := range []struct {
		name  string
		wreck func(peer *End)
		find  func(e *End) error
	}{
		{"tail", func(p *End) { p.tx.tail.Store(1 << 50) }, func(e *End) error { return receive(e) }},
		{"tail back", func(p *End) {
			p.Send([][]byte{make([]byte, 60)}, false)
			p.tx.tail.Store(16)
		}, func(e *End) error { return receive(e) }},
		{"length", func(p *End) {
			word64(p.tx.data, 0).Store(1<<64 - 1)
			p.tx.tail.Store(128)
		}, func(e *End) error { return receive(e) }},
		{"head", func(p *End) { p.rx.head.Store(1 << 40) }, func(e *End) error {
			for {
				if _, _, err := e.Send([][]byte{make([]byte, 1514)}, false); err != nil {
					return err
				}
			}
		}},
		{"our tail", func(p *End) { p.rx.tail.Store(48) }, func(e *End) error {
			_, _, err := e.Send([][]byte{make([]byte, 60)}, false)
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := descriptors(t)
			peer, e := newPair(t, 1514)
			told := make(chan error, 1)
			e.OnBreak(func(err error) { told <- err })
			test.wreck(peer)
			err := test.find(e)
			if !errors.Is(err, ErrBroken) {
				t.Fatalf("found %v", err)
			}
			if err := <-told; !errors.Is(err, ErrBroken) {
				t.Errorf("told %v", err)
			}
			if again := receive(e); again != err {
				t.Errorf("then a receive returns %v", again)
			}
			if _, _, again := e.Send([][]byte{make([]byte, 60)}, true); again != err {
				t.Errorf("then a send returns %v", again)
			}
			e.Hangup()
			if err := receive(e); err != link.ErrDrained {
				t.Errorf("then %v", err)
			}
			e.Close()
			peer.Close()
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors, there were %d", after, before)
			}
		})
	}
}

func receive(e *End) error {
	s := newSlab(1514)
	for {
		if _, err := e.Recv(s, maxBatch, true); err != nil {
			return err
		}
	}
}

// TestScribbler has a peer write random words all over the region while both
// directions are in use. What comes of it does not matter, as long as the calls
// end and nothing else does.
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
				if _, _, err := e.Send([][]byte{f, f[:60]}, true); err != nil {
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
				ringBell(peer.frameBell)
				ringBell(peer.roomBell)
			}
		}
		e.Close()
		wg.Wait()
		peer.Close()
	}
}

func TestAcceptRefuses(t *testing.T) {
	eventfd := func(flags int) int {
		fd, err := unix.Eventfd(0, flags|unix.EFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	memory := func(n int, o *offer, seals int) int {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, offerLen)
		if o != nil {
			o.put(b)
		}
		if _, err := unix.Pwrite(fd, b, 0); err != nil {
			t.Fatal(err)
		}
		if err := unix.Ftruncate(fd, int64(n)); err != nil {
			t.Fatal(err)
		}
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	file := func() int {
		fd, err := unix.Open(filepath.Join(t.TempDir(), "f"), unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, offerLen)
		offer{features: allFeatures, ring: MinRing}.put(b)
		if _, err := unix.Pwrite(fd, b, 0); err != nil {
			t.Fatal(err)
		}
		return fd
	}
	good := offer{features: allFeatures, ring: MinRing}
	size := good.regionLen()
	bells := func() []int { return []int{eventfd(unix.EFD_NONBLOCK), eventfd(unix.EFD_NONBLOCK)} }
	for _, test := range []struct {
		name string
		fds  []int
	}{
		{"a bell for a region", bells()[:1]},
		{"a file", append([]int{file()}, bells()...)},
		{"no offer in it", append([]int{memory(size, nil, needSeals)}, bells()...)},
		{"may shrink", append([]int{memory(size, &good, needSeals&^unix.F_SEAL_SHRINK)}, bells()...)},
		{"may be unsealed", append([]int{memory(size, &good, needSeals&^unix.F_SEAL_SEAL)}, bells()...)},
		{"read-only", append([]int{memory(size, &good, needSeals|unix.F_SEAL_WRITE)}, bells()...)},
		{"read-only from now on", append([]int{memory(size, &good, needSeals|unix.F_SEAL_FUTURE_WRITE)}, bells()...)},
		{"too short", append([]int{memory(size-1, &good, needSeals)}, bells()...)},
		{"too long", append([]int{memory(size+1, &good, needSeals)}, bells()...)},
		{"one bell", append([]int{memory(size, &good, needSeals)}, bells()[:1]...)},
		{"a file for a bell", []int{memory(size, &good, needSeals), file(), eventfd(unix.EFD_NONBLOCK)}},
		{"a bell that blocks", []int{memory(size, &good, needSeals), eventfd(unix.EFD_NONBLOCK), eventfd(0)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := descriptors(t)
			end, offload, attach, err := Accept(test.fds, allFeatures)
			if end != nil || offload || attach != nil || err == nil {
				t.Errorf("got %v, %v, %v, %v", end, offload, attach, err)
			}
			if after := descriptors(t); after != before-len(test.fds) {
				t.Errorf("%d descriptors are left of %d, with %d taken over", after, before, len(test.fds))
			}
		})
	}
	if end, _, _, err := Accept(nil, allFeatures); end != nil || err != nil {
		t.Errorf("no offer: %v, %v", end, err)
	}
}

// TestTruncate tries to cut a region off that the switch has mapped.
func TestTruncate(t *testing.T) {
	o, err := NewOffer(allFeatures, 1514)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	for _, n := range []int64{0, 4096, int64(o.regionLen()) + 4096} {
		if err := unix.Ftruncate(o.fd, n); err != unix.EPERM {
			t.Errorf("made %d bytes long: %v", n, err)
		}
	}
	// A hole reads as zeros; it does not kill.
	sw, _, attach, err := Accept(dup(t, o.Descriptors()), allFeatures)
	if err != nil || len(attach) != 2 {
		t.Fatal(attach, err)
	}
	defer sw.Close()
	if err := unix.Fallocate(o.fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, int64(o.regionLen())); err != nil {
		t.Fatal(err)
	}
	if _, err := sw.Recv(newSlab(60), 1, false); err != link.ErrEmpty {
		t.Errorf("received from a hole: %v", err)
	}
}

func TestOfferOutcomes(t *testing.T) {
	for _, test := range []struct {
		name        string
		offer, want uint64
		rings       bool
		offload     bool
	}{
		{"all", allFeatures, allFeatures, true, false},
		{"rings refused", allFeatures, FeatureHeaders, false, true},
		{"all refused", allFeatures, 0, false, false},
		{"offload only", FeatureHeaders, allFeatures, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := descriptors(t)
			o, err := NewOffer(test.offer, 1514)
			if err != nil {
				t.Fatal(err)
			}
			sw, offload, attach, err := Accept(dup(t, o.Descriptors()), test.want)
			if (sw != nil) != test.rings || offload != test.offload || err != nil {
				t.Fatalf("the switch has %v, %v, %v", sw, offload, err)
			}
			client, offload, err := o.Taken(dup(t, attach))
			if (client != nil) != test.rings || offload != test.offload || err != nil {
				t.Fatalf("the client has %v, %v, %v", client, offload, err)
			}
			if sw != nil {
				sw.Close()
				client.Close()
			}
			if after := descriptors(t); after != before {
				t.Errorf("%d descriptors, there were %d", after, before)
			}
		})
	}
	t.Run("lost", func(t *testing.T) {
		before := descriptors(t)
		o, err := NewOffer(allFeatures, 1514)
		if err != nil {
			t.Fatal(err)
		}
		sw, _, attach, err := Accept(dup(t, o.Descriptors()), allFeatures)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := o.Taken(dup(t, attach[:1])); !errors.Is(err, ErrLost) {
			t.Errorf("with one descriptor: %v", err)
		}
		sw.Close()
		if after := descriptors(t); after != before {
			t.Errorf("%d descriptors, there were %d", after, before)
		}
	})
}

// TestUndone: what a side takes undone is the other's to see.
func TestUndone(t *testing.T) {
	client, sw := newPair(t, 1514)
	f := [][]byte{make([]byte, 60)}
	client.Send(f, false)
	sw.Send(f, false)
	if !client.Undone() || sw.Undone() {
		t.Errorf("at first the client may send undone frames: %v, the switch: %v", client.Undone(), sw.Undone())
	}
	client.TakeOffload()
	sw.Send(f, false)
	if !sw.Undone() {
		t.Error("the switch does not see that the client takes undone frames")
	}
}

func TestNoAllocations(t *testing.T) {
	client, sw := newPair(t, 1514)
	s := newSlab(1514)
	batch := [][]byte{make([]byte, 60), make([]byte, 1514)}
	pieces := []net.Buffers{{batch[0], batch[1]}}
	if n := testing.AllocsPerRun(100, func() {
		client.Send(batch, true)
		client.SendBuffers(pieces, true)
		sw.Recv(s, maxBatch, true)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
