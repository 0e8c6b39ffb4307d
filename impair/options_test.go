// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package impair_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// redialing returns a connection on a link that is dialed again, and the other
// ends of the links that were dialed.
func redialing(t testing.TB) (*vde.Conn, <-chan link.Link) {
	t.Helper()
	peers := make(chan link.Link, 10)
	l, err := link.Redial(t.Context(), func(context.Context) (link.Link, error) {
		a, b := linktest.Pipe(10)
		peers <- b
		return a, nil
	}, link.RedialPolicy{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := vde.NewConn(t.Context(), l)
	if err != nil {
		t.Fatal(err)
	}
	return c, peers
}

// TestLinkChange checks that the line's Conn tells of the link below.
func TestLinkChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, peers := redialing(t)
		line, err := impair.New(c, impair.Config{})
		if err != nil {
			t.Fatal(err)
		}
		conn := line.Conn()
		defer conn.Close()
		changes := make(chan vde.LinkState, 10)
		stop := conn.OnLinkChange(func(s vde.LinkState) { changes <- s })
		if conn.Caps().State == nil || !conn.LinkState().Up {
			t.Errorf("at first: %+v, caps %+v", conn.LinkState(), conn.Caps())
		}
		(<-peers).Close()
		time.Sleep(time.Minute) // of the bubble's clock: it dials again
		if len(changes) != 2 {
			t.Fatalf("%d changes were reported, want down and up", len(changes))
		}
		if s := <-changes; s.Up || !errors.Is(s.Err, vde.ErrHangup) {
			t.Errorf("the first change is %+v, want down with ErrHangup", s)
		}
		if s := <-changes; !s.Up || s.Attempt != 1 || s != conn.LinkState() || s != c.LinkState() {
			t.Errorf("the second change is %+v, want up at the first attempt; state %+v, below %+v", s, conn.LinkState(), c.LinkState())
		}
		stop()
		(<-peers).Close()
		time.Sleep(time.Minute) // of the bubble's clock: it dials again
		if len(changes) != 0 {
			t.Errorf("%d changes were reported after stop", len(changes))
		}
		(<-peers).Close()
		time.Sleep(time.Minute) // of the bubble's clock: it dials again
		far := <-peers
		send(t, conn, 7, 1)
		buf, sizes := make([]byte, 200), make([]int, 1)
		if n, err := far.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 || !bytes.Equal(buf[:sizes[0]], numbered(7)) {
			t.Errorf("%d frames, %x, %v", n, buf[:sizes[0]], err)
		}
		conn.Close()
		far.Close()
	})
}

// TestNoLinkChange is about a line around a connection that does not come back.
func TestNoLinkChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{})
		c, _ := sw.Attach()
		line, err := impair.New(c, impair.Config{In: impair.Impairment{Delay: time.Second}})
		if err != nil {
			t.Fatal(err)
		}
		defer line.Conn().Close()
		defer line.Conn().OnLinkChange(func(s vde.LinkState) { t.Errorf("called with %+v", s) })()
		if line.Conn().Caps().State != nil || !line.Conn().LinkState().Up {
			t.Errorf("%+v", line.Conn().LinkState())
		}
		sw.Close()
		synctest.Wait()
		if s := line.Conn().LinkState(); s.Up || !errors.Is(s.Err, vde.ErrHangup) {
			t.Errorf("%+v", s)
		}
	})
}

// TestOptions checks that the options given for the line's Conn have their effect.
func TestOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{})
		defer sw.Close()
		near, _ := sw.Attach()
		far, _ := sw.Attach()
		defer far.Close()
		var sent, received atomic.Int64
		line, err := impair.New(near, impair.Config{}, vde.WithName("bad line"), vde.WithMaxFrameSize(100), vde.WithFrames(nil, 3),
			vde.WithFrameHook(func(d vde.Direction, f frame.Frame) {
				if d == vde.Sent {
					sent.Add(1)
				} else {
					received.Add(1)
				}
			}))
		if err != nil {
			t.Fatal(err)
		}
		conn := line.Conn()
		defer conn.Close()
		if s := conn.LocalAddr().String(); s != "bad line" {
			t.Errorf("the address is %q", s)
		}
		if n := conn.MaxFrameSize(); n != 100 {
			t.Errorf("the longest frame has %d bytes", n)
		}
		if n := cap(conn.Frames()); n != 3 {
			t.Errorf("the channel holds %d", n)
		}
		send(t, conn, 0, 2)
		if _, err := conn.Write(append(numbered(0), 0)); !errors.Is(err, vde.ErrFrameSize) {
			t.Errorf("a frame of 101 bytes: %v", err)
		}
		send(t, far, 0, 1)
		if _, err := far.Write(append(numbered(0), 0)); err != nil {
			t.Error(err)
		}
		(<-conn.Frames()).Release()
		synctest.Wait()
		if sent.Load() != 2 || received.Load() != 1 || conn.Stats().RxTruncated != 1 {
			t.Errorf("the hook saw %d sent and %d received; %+v", sent.Load(), received.Load(), conn.Stats())
		}
	})
}

// TestNewRefusesOptions checks that the connection below is the caller's if the
// options are wrong.
func TestNewRefusesOptions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{})
		defer sw.Close()
		near, _ := sw.Attach(vde.WithMaxFrameSize(2000))
		defer near.Close()
		far, _ := sw.Attach()
		defer far.Close()
		for name, o := range map[string]vde.Option{
			"no depth":                                       vde.WithFrames(nil, -1),
			"longer frames than those below":                 vde.WithMaxFrameSize(2001),
			"to reconnect, which is for the link below":      vde.WithReconnect(vde.ReconnectPolicy{}),
			"to reconnect with a policy that makes no sense": vde.WithReconnect(vde.ReconnectPolicy{MinDelay: -1}),
		} {
			line, err := impair.New(near, impair.Config{}, o)
			switch {
			case err == nil:
				t.Errorf("%s: accepted", name)
				line.Conn().Close()
				return
			case strings.Count(err.Error(), "impair: ") != 1:
				t.Errorf("%s: %q does not have the prefix once", name, err)
			}
		}
		if err := near.Err(); err != nil {
			t.Fatalf("the connection has ended: %v", err)
		}
		send(t, far, 1, 1)
		if got := receive(t, near); len(got) != 1 {
			t.Errorf("received %v", got)
		}
		line, err := impair.New(near, impair.Config{}, vde.WithMaxFrameSize(2000))
		if err != nil {
			t.Fatal(err)
		}
		line.Conn().Close()
	})
}

// TestFramePools checks that the line's Conn has the pools of the frames that are
// under way in either direction.
func TestFramePools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, far := newLine(t, impair.Config{Out: impair.Impairment{Delay: time.Hour}, In: impair.Impairment{Delay: time.Hour}})
		live := func() (n int64) {
			for _, p := range line.Conn().FramePools() {
				n += p.Stats().Live
			}
			return n
		}
		for what, c := range map[string]*vde.Conn{"outwards": line.Conn(), "inwards": far} {
			before := live()
			send(t, c, 0, 2)
			synctest.Wait()
			if n := live() - before; n != 2 {
				t.Errorf("%d buffers more with two frames under way %s", n, what)
			}
		}
		line.Conn().Close()
		if n := live(); n != 0 {
			t.Errorf("%d buffers are live after Close", n)
		}
	})
}
