// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
)

// TestRedialFirst checks that the first attempt is the caller's.
func TestRedialFirst(t *testing.T) {
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	var seen []context.Context
	if l, err := link.Redial(ctx, func(ctx context.Context) (link.Link, error) {
		seen = append(seen, ctx)
		return nil, errRefused
	}, link.RedialPolicy{}); l != nil || err != errRefused || len(seen) != 1 || seen[0] != ctx {
		t.Errorf("%v, %v after %d attempts", l, err, len(seen))
	}
	seen = nil
	peers := make(chan link.Link, 2)
	l, err := link.Redial(ctx, func(ctx context.Context) (link.Link, error) {
		seen = append(seen, ctx)
		a, b := linktest.Pipe(1)
		peers <- b
		return a, nil
	}, link.RedialPolicy{MinDelay: 1, MaxDelay: 1})
	if err != nil {
		t.Fatal(err)
	}
	cancel() // bounds the first attempt only
	(<-peers).Close()
	second := <-peers
	send(t, second, 1)
	want(t, l, 1)
	l.Close()
	second.Close()
	if later := seen[1]; later.Value(key{}) != "v" || later.Err() == nil {
		t.Errorf("later attempts have value %v and at Close the error %v", later.Value(key{}), later.Err())
	}
}

// TestFirstDial begins down.
func TestFirstDial(t *testing.T) {
	d := newDialer(2)
	p := policy
	p.FirstDial = true
	redial(t, d, p, func(t *testing.T, l *redialed) {
		caps := l.Caps()
		if s := caps.State.State(); s.Up || s.Attempt != 0 || caps.Offload != 0 {
			t.Errorf("begins %+v, offload %v", s, caps.Offload)
		}
		if n, _, err := l.Send(link.Tx{Frames: [][]byte{number(0)}, NoWait: true}); n != 0 || err != link.ErrDown {
			t.Errorf("NoWait: %d, %v", n, err)
		}
		if _, err := recv(l, 3, true); err != link.ErrEmpty {
			t.Errorf("NoWait: %v", err)
		}
		begin := time.Now()
		send(t, l, 1) // waits
		want(t, <-d.peers, 1)
		took := time.Since(begin)
		if took < 3*dialTime+10*time.Second || took > 3*dialTime+20*time.Second || !d.times[0].Equal(begin) {
			t.Errorf("the first of 3 attempts after %v, up after %v", d.times[0].Sub(begin), took)
		}
		synctest.Wait()
		for attempt := 1; attempt <= 3; attempt++ {
			s := <-l.changes
			up := attempt == 3
			if s.Up != up || s.Attempt != attempt || errors.Is(s.Err, errRefused) == up || s.Outage < time.Duration(attempt)*dialTime || s.Outage > took {
				t.Errorf("change %d: %+v", attempt, s)
			}
		}
		if s := l.Caps().State.State(); !s.Up || s.Attempt != 3 || s.Outage != took || s.Err != nil || l.Caps().Offload == 0 {
			t.Errorf("ends %+v", s)
		}
	})
}

// TestFirstDialGivesUp ends a link that never was up.
func TestFirstDialGivesUp(t *testing.T) {
	redial(t, newDialer(100), link.RedialPolicy{FirstDial: true, MaxAttempts: 2}, func(t *testing.T, l *redialed) {
		if _, err := recv(l, 3, false); !errors.Is(err, link.ErrHangup) || !errors.Is(err, errRefused) || err != l.Err() {
			t.Errorf("%v", err)
		}
		<-l.Done()
	})
}

// TestRedialChanges checks what listeners are told, and that stop ends it.
func TestRedialChanges(t *testing.T) {
	d := newDialer(0)
	redial(t, d, policy, func(t *testing.T, l *redialed) {
		if s := l.Caps().State.State(); s != (link.State{Up: true}) {
			t.Errorf("begins %+v", s)
		}
		d.fail = 1
		(<-d.peers).Close()
		synctest.Wait()
		if s := <-l.changes; s.Up || s.Attempt != 0 || s.Err != link.ErrHangup || s.Outage != 0 {
			t.Errorf("down: %+v", s)
		}
		time.Sleep(time.Second)
		if s := l.Caps().State.State(); s.Up || s.Outage != time.Second || s.Err != link.ErrHangup {
			t.Errorf("after a second %+v", s)
		}
		if s := <-l.changes; s.Up || s.Attempt != 1 || !errors.Is(s.Err, errRefused) {
			t.Errorf("first attempt: %+v", s)
		}
		l.stop()
		peer := <-d.peers
		synctest.Wait()
		if s := l.Caps().State.State(); !s.Up || s.Attempt != 2 || s.Err != nil {
			t.Errorf("up: %+v", s)
		}
		select {
		case s := <-l.changes:
			t.Errorf("told after stop: %+v", s)
		default:
		}
		peer.Close()
	})
}

// TestRedialStateOfTraffic checks that a link through which a frame has passed says that
// it is up: whoever waits for the end of an outage waits for one that has begun.
func TestRedialStateOfTraffic(t *testing.T) {
	d := newDialer(0)
	redial(t, d, policy, func(t *testing.T, l *redialed) {
		for range 500 {
			(<-d.peers).Close()
			send(t, l, 1) // waits
			if s := l.Caps().State.State(); !s.Up {
				t.Fatalf("a frame was sent through a link with the state %+v", s)
			}
		}
	})
}

// TestRedialOrder checks that nothing which an old link had received is lost or
// comes late.
func TestRedialOrder(t *testing.T) {
	d := newDialer(0)
	redial(t, d, policy, func(t *testing.T, l *redialed) {
		first := <-d.peers
		send(t, first, 1, 2, 3, 4)
		want(t, l, 1, 2, 3)
		send(t, first, 5)
		first.Close()
		second := <-d.peers
		defer second.Close()
		send(t, second, 6, 7)
		synctest.Wait()
		want(t, l, 4, 5)
		want(t, l, 6, 7)
		if n, err := recv(l, 3, true); n != nil || err != link.ErrEmpty {
			t.Errorf("%v, %v", n, err)
		}
		// And a receive that waits across an outage.
		got := make(chan []int)
		go func() {
			n, _ := recv(l, 3, false)
			got <- n
		}()
		synctest.Wait()
		second.Close()
		third := <-d.peers
		defer third.Close()
		send(t, third, 8)
		if n := <-got; !slices.Equal(n, []int{8}) {
			t.Errorf("across an outage: %v", n)
		}
	})
}

// TestRedialDiscards checks that each frame is received, or counted once.
func TestRedialDiscards(t *testing.T) {
	d := newDialer(0)
	d.wrap = func(l link.Link) link.Link { return counting{l} }
	redial(t, d, policy, func(t *testing.T, l *redialed) {
		for i := range 4 { // links end one after the other, and nobody receives
			peer := <-d.peers
			send(t, peer, i, i)
			peer.Close()
		}
		peer := <-d.peers
		defer peer.Close()
		send(t, peer, 9)
		synctest.Wait()
		// Two links are kept: the last that has ended, and the one in use.
		counted := l.Caps().Counters
		if c := counted(); c.Discarded != 6 || c.Foreign != 5 {
			t.Errorf("%+v, want 6 discarded, and one foreign for each of 5 links", c)
		}
		want(t, l, 3, 3)
		if unread, err := l.Close(); unread != 1 || err != nil {
			t.Errorf("%d unread, %v", unread, err)
		}
		if c := counted(); c.Discarded != 6 || c.Foreign != 5 {
			t.Errorf("after Close %+v", c)
		}
		if unread, err := l.Close(); unread != 0 || err != nil {
			t.Errorf("%d unread, %v, again", unread, err)
		}
	})
}

// A counting link has counted one foreign frame.
type counting struct{ link.Link }

func (c counting) Caps() link.Caps {
	return link.Caps{Counters: func() link.Counters { return link.Counters{Foreign: 1} }}
}

// TestRedialDeadlines checks that they hold for later links, and in an outage.
func TestRedialDeadlines(t *testing.T) {
	d := newDialer(0)
	redial(t, d, policy, func(t *testing.T, l *redialed) {
		end := time.Now().Add(time.Minute)
		if err := errors.Join(l.SetReadDeadline(end), l.SetWriteDeadline(end)); err != nil {
			t.Fatal(err)
		}
		(<-d.peers).Close()
		peer := <-d.peers
		defer peer.Close()
		if _, err := recv(l, 3, false); !errors.Is(err, os.ErrDeadlineExceeded) || !time.Now().Equal(end) {
			t.Errorf("Recv: %v, %v after the deadline", err, time.Since(end))
		}
		synctest.Wait() // for the other timer of this moment
		if _, _, err := l.Send(link.Tx{Frames: [][]byte{number(0)}}); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Send: %v", err)
		}
		_ = l.SetReadDeadline(time.Time{})
		_ = l.SetWriteDeadline(time.Time{})
		send(t, l, 1)
		send(t, peer, 2)
		want(t, l, 2)

		d.fail = 1000
		peer.Close()
		synctest.Wait()
		end = time.Now().Add(time.Hour)
		_ = l.SetReadDeadline(end)
		_ = l.SetWriteDeadline(end)
		rx := make(chan error)
		go func() {
			_, err := recv(l, 3, false)
			rx <- err
		}()
		_, _, err := l.Send(link.Tx{Frames: [][]byte{number(0)}})
		if e := <-rx; !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(e, os.ErrDeadlineExceeded) || !time.Now().Equal(end) {
			t.Errorf("in an outage: %v, %v, %v after the deadline", err, e, time.Since(end))
		}
	})
}

// TestRedialDown checks which calls fail and which wait while the link is down.
func TestRedialDown(t *testing.T) {
	for _, failWrites := range []bool{false, true} {
		t.Run(fmt.Sprintf("FailWrites=%v", failWrites), func(t *testing.T) {
			d := newDialer(0)
			p := policy
			p.FailWrites = failWrites
			redial(t, d, p, func(t *testing.T, l *redialed) {
				(<-d.peers).Close()
				synctest.Wait()
				frames := link.Tx{Frames: [][]byte{number(1), number(2)}, NoWait: true}
				if n, _, err := l.Send(frames); n != 0 || err != link.ErrDown {
					t.Errorf("NoWait: %d, %v", n, err)
				}
				frames.NoWait = false
				n, _, err := l.Send(frames)
				room := l.AwaitRoom()
				if failWrites {
					if n != 0 || err != link.ErrDown || room != link.ErrDown {
						t.Errorf("Send: %d, %v; AwaitRoom: %v", n, err, room)
					}
					return
				}
				if n != 2 || err != nil || room != nil {
					t.Fatalf("Send: %d, %v; AwaitRoom: %v", n, err, room)
				}
				want(t, <-d.peers, 1, 2)
			})
		})
	}
}

// TestGivingUp checks when a link ends for good, and what calls then return.
func TestGivingUp(t *testing.T) {
	for name, test := range map[string]struct {
		policy   link.RedialPolicy
		attempts int
	}{
		"attempts": {link.RedialPolicy{MaxAttempts: 3}, 3},
		"outage":   {link.RedialPolicy{MaxOutage: time.Minute}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDialer(0)
			redial(t, d, test.policy, func(t *testing.T, l *redialed) {
				d.fail = 1 << 30
				peer := <-d.peers
				send(t, peer, 1, 2)
				begin := time.Now()
				peer.Close()
				synctest.Wait()
				waiting := make(chan error, 2)
				go func() {
					_, _, err := l.Send(link.Tx{Frames: [][]byte{number(0)}})
					waiting <- err
				}()
				go func() { waiting <- l.AwaitRoom() }()
				<-l.Done()
				reason := l.Err()
				if !errors.Is(reason, link.ErrHangup) || !errors.Is(reason, errRefused) {
					t.Errorf("reason: %v", reason)
				}
				if test.attempts > 0 && d.failed != test.attempts || test.attempts == 0 && time.Since(begin) < time.Minute {
					t.Errorf("gave up after %d attempts in %v", d.failed, time.Since(begin))
				}
				for range 2 {
					if err := <-waiting; err != reason {
						t.Errorf("a call that waited: %v", err)
					}
				}
				want(t, l, 1, 2)
				for _, noWait := range []bool{false, true} {
					if _, err := recv(l, 3, noWait); err != reason {
						t.Errorf("Recv: %v", err)
					}
					if _, _, err := l.Send(link.Tx{Frames: [][]byte{number(0)}, NoWait: noWait}); err != reason {
						t.Errorf("Send: %v", err)
					}
				}
			})
		})
	}
}

// TestRedialDelays checks pauses: they double, and the attempts right after a link
// that has ended soon go on from there.
func TestRedialDelays(t *testing.T) {
	d := newDialer(0)
	p := link.RedialPolicy{MinDelay: time.Second, MaxDelay: 8 * time.Second}
	redial(t, d, p, func(t *testing.T, l *redialed) {
		peer := <-d.peers
		time.Sleep(time.Hour)
		d.fail = 5
		peer.Close()
		peer = <-d.peers
		last := time.Now()
		for i, longest := range []time.Duration{1, 2, 4, 8, 8, 8} {
			from := d.times[i].Add(dialTime)
			if i == 0 {
				from = d.times[0].Add(dialTime + time.Hour)
			}
			if pause := d.times[i+1].Sub(from); pause > longest*time.Second || pause < longest*time.Second/2 {
				t.Errorf("pause %d: %v, want %v to %v", i, pause, longest*time.Second/2, longest*time.Second)
			}
		}
		d.fail = 0
		peer.Close() // at once
		(<-d.peers).Close()
		if pause := time.Since(last) - dialTime; pause < 4*time.Second {
			t.Errorf("after a link that ended at once: %v, want 4 seconds at least", pause)
		}
	})
}

// TestCloseWhileDialing checks that Close ends an attempt, and closes a link that
// comes in spite of it.
func TestCloseWhileDialing(t *testing.T) {
	d := newDialer(0)
	redial(t, d, policy, func(t *testing.T, l *redialed) {
		d.begun = make(chan struct{})
		(<-d.peers).Close()
		<-d.begun
		begin := time.Now()
		waiting := make(chan error, 2)
		go func() { _, err := recv(l, 3, false); waiting <- err }()
		go func() { _, _, err := l.Send(link.Tx{Frames: [][]byte{number(0)}}); waiting <- err }()
		synctest.Wait()
		if _, err := l.Close(); err != nil || time.Since(begin) != 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		for range 2 {
			if err := <-waiting; err != net.ErrClosed {
				t.Errorf("a call that waited: %v", err)
			}
		}
		if l.SetReadDeadline(time.Time{}) != net.ErrClosed || l.SetWriteDeadline(time.Time{}) != net.ErrClosed || l.AwaitRoom() != net.ErrClosed {
			t.Error("a closed link can be used")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		var peer link.Link
		l, err := link.Redial(t.Context(), func(ctx context.Context) (a link.Link, err error) {
			<-ctx.Done() // and does not care
			a, peer = linktest.Pipe(1)
			return a, nil
		}, link.RedialPolicy{FirstDial: true})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		l.Close()
		<-peer.Done()
	})
}

// A plain link takes ordinary frames only.
type plain struct{ link.Link }

func (p plain) Caps() link.Caps { return link.Caps{Address: "plain"} }

func (p plain) Send(t link.Tx) (n, calls int, err error) {
	for _, h := range t.Headers {
		if h.Partial() {
			return 0, 0, errors.New("cannot take it")
		}
	}
	return p.Link.Send(t)
}

// TestRedialFinishes sends a GSO frame to links that take it and that do not.
func TestRedialFinishes(t *testing.T) {
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	f = append(f, 0x45, 0, 0x0b, 0xe0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	f = append(f, 0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0xf6, 0, 0, 0, 0)
	f = append(f, bytes.Repeat([]byte{'x'}, 3000)...)
	h := []frame.VNetHeader{{Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 1000, CsumStart: 34, CsumOffset: 16}}
	d := newDialer(0)
	redial(t, d, policy, func(t *testing.T, l *redialed) {
		for round, sizes := range [][]int{{len(f)}, {1054, 1054, 1054}} {
			peer := <-d.peers
			for _, tx := range []link.Tx{{Frames: [][]byte{f}, Headers: h}, {Pieces: []net.Buffers{{f[:20], f[20:]}}, Headers: h}} {
				if n, _, err := l.Send(tx); n != 1 || err != nil {
					t.Fatalf("round %d: %d, %v", round, n, err)
				}
				for _, want := range sizes {
					got, headers := make([]int, 1), make([]frame.VNetHeader, 1)
					if n, err := peer.Recv(link.Rx{Bufs: [][]byte{make([]byte, 1<<16)}, Sizes: got, Headers: headers}); n != 1 || got[0] != want || headers[0].Partial() == (round == 1) {
						t.Errorf("round %d: %d frames of %v, %+v, %v; want %d bytes", round, n, got, headers, err, want)
					}
				}
			}
			d.wrap = func(l link.Link) link.Link { return plain{l} }
			peer.Close()
		}
		<-d.peers
		synctest.Wait() // it is in use then
		if got := l.Caps(); got.Address != "plain" || got.Offload != 0 {
			t.Errorf("Caps are not those of the link in use: %+v", got)
		}
	})
}

// A refusing link finds nobody at the other end.
type refusing struct{ link.Link }

func (r refusing) Send(link.Tx) (n, calls int, err error) {
	return 0, 0, os.NewSyscallError("sendto", syscall.ECONNREFUSED)
}

// TestRedialRefused checks that a send that finds nobody waits for the end of the
// link to follow, but not for ever.
func TestRedialRefused(t *testing.T) {
	d := newDialer(0)
	d.wrap = func(l link.Link) link.Link { return refusing{l} }
	redial(t, d, policy, func(t *testing.T, l *redialed) {
		begin := time.Now()
		frames := link.Tx{Frames: [][]byte{number(1)}}
		if _, _, err := l.Send(frames); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(begin) == 0 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		begin = time.Now()
		if _, _, err := l.Send(link.Tx{Frames: frames.Frames, NoWait: true}); !errors.Is(err, syscall.ECONNREFUSED) || time.Since(begin) != 0 {
			t.Errorf("NoWait: %v after %v", err, time.Since(begin))
		}
		done := make(chan error)
		go func() {
			_, _, err := l.Send(frames)
			done <- err
		}()
		synctest.Wait()
		d.wrap = nil
		(<-d.peers).Close()
		if err := <-done; err != nil {
			t.Errorf("when the link has ended: %v", err)
		}
		want(t, <-d.peers, 1)
	})
}

// An ending link is one of whose end nobody has been told yet.
type ending struct{ link.Link }

func (e ending) Done() <-chan struct{} { return nil }

// TestRedialEnding checks that a send which may not wait and meets a link that has ended
// says that the link is down, not that it is over.
func TestRedialEnding(t *testing.T) {
	d := newDialer(0)
	d.wrap = func(l link.Link) link.Link { return ending{l} }
	redial(t, d, policy, func(t *testing.T, l *redialed) {
		(<-d.peers).Close()
		n, _, err := l.Send(link.Tx{Frames: [][]byte{number(1)}, NoWait: true})
		if n != 0 || !errors.Is(err, link.ErrDown) || errors.Is(err, link.ErrHangup) {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// TestRedialLink holds a link that gives up at once to what is promised of every
// link.
func TestRedialLink(t *testing.T) {
	linktest.Test(t, func(tb testing.TB) (link.Link, link.Link, error) {
		a, b := linktest.Pipe(64)
		var ends [2]link.Link
		for i, inner := range []link.Link{a, b} {
			once := inner
			l, err := link.Redial(tb.Context(), func(context.Context) (l link.Link, err error) {
				if l, once = once, nil; l == nil {
					err = errRefused
				}
				return l, err
			}, link.RedialPolicy{MinDelay: 1, MaxDelay: 1, MaxAttempts: 1})
			if err != nil {
				return nil, nil, err
			}
			ends[i] = l
		}
		return ends[0], ends[1], nil
	}, linktest.Options{})
}
