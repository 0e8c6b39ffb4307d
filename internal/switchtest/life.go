// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package switchtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
)

// testKill ends the switch with SIGKILL under connections in all states.
func (s *suite) testKill(t *testing.T) {
	n := s.crashing(t, Config{})
	k, ok := n.Switch.(Killer)
	if !ok {
		return
	}
	s.testEnd(n, k.Kill)
	if _, err := os.Stat(filepath.Join(n.Dir(), "ctl")); err != nil {
		t.Errorf("the dead switch's socket: %v", err)
	}
}

// testStop ends the switch cleanly.
func (s *suite) testStop(t *testing.T) {
	n := s.crashing(t, Config{})
	s.testEnd(n, n.Stop)
	if _, err := os.Stat(filepath.Join(n.Dir(), "ctl")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the stopped switch's socket: %v", err)
	}
}

func (s *suite) testEnd(n *network, end func()) {
	p := pool.New(s.MaxFrame, 0)
	testutil.NoLive(n, "buffers", func() int64 { return p.Stats().Live })
	a, b := n.station(1, overSocket), n.station(2)
	reading, framing := n.station(3), n.station(4, vde.WithFrames(p, 1))

	// One station waits in Read, one has frames in its channel that are not received, one is idle.
	idle := n.station(5)
	read := make(chan error, 1)
	go func() {
		buf := make([]byte, s.MaxFrame)
		for {
			if _, err := reading.Read(buf); err != nil {
				read <- err
				return
			}
		}
	}()
	ch := framing.Frames()

	n.exchange(a, b)
	witness := n.station(6)
	var queued [][]byte
	for i := range window(queuedSize) {
		queued = append(queued, testFrame(b.mac, a.mac, queuedSize, uint64(i)))
	}
	n.write(a.Conn, queued...)
	n.settle(a.Conn, 1000)
	n.passedOn(a, witness)
	end()

	for _, st := range []*station{a, b, reading, framing, idle, witness} {
		n.ended(st.mac.String(), st.Conn)
	}
	n.failed("a read that waited", <-read, vde.ErrHangup)
	buf := make([]byte, s.MaxFrame)
	for _, f := range queued {
		k, err := readQueued(b.Conn, buf)
		if err != nil {
			n.Fatal(err)
		}
		n.same("after the end, b", buf[:k], f)
	}
	_, err := readQueued(b.Conn, buf)
	n.failed("Read after the last frame", err, vde.ErrHangup)
	for range 2 {
		_, err = a.Write(queued[0])
		n.failed("Write", err, vde.ErrHangup)
	}
	for f := range ch {
		f.Release()
	}
	for _, st := range []*station{a, b, reading, framing, idle, witness} {
		n.close(st.Conn)
		n.ended(st.mac.String()+", closed", st.Conn)
	}
	_, err = vde.Open(n.Context(), n.Dir())
	n.failed("joining a switch that has gone", err, vde.ErrNoSwitch)
	noOwnNames(n, n.Dir(), os.Getpid())
}

// queuedSize is the size of the frames that wait at a station when its switch ends.
const queuedSize = 300

// readQueued reads the next frame of queuedSize bytes. Frames for other stations are shorter; a station receives them
// from a hub, and from a switch that does not know the address.
func readQueued(c *vde.Conn, buf []byte) (int, error) {
	for {
		k, err := c.Read(buf)
		if err != nil || k == queuedSize {
			return k, err
		}
	}
}

// testPause pauses the switch: writers wait, and nothing is lost.
func (s *suite) testPause(t *testing.T) {
	n := s.network(t, Config{})
	p, ok := n.Switch.(Pauser)
	if !ok {
		return
	}
	// A queue that is shorter than the switch's own: all that it holds fits there, and b need not read meanwhile.
	a, b := n.station(1, vde.WithWriteBuffer(32<<10)), n.station(2)
	n.exchange(a, b)
	p.Pause()
	var seq uint64
	batch := func(k int) (frames [][]byte) {
		for i := range k {
			frames = append(frames, testFrame(b.mac, a.mac, 1514, seq+uint64(i)))
		}
		return frames
	}
	const many = 2000
	first := batch(many)
	if err := a.SetWriteDeadline(time.Now().Add(quickly)); err != nil {
		t.Fatal(err)
	}
	k, err := a.WriteBatch(first)
	n.failed("WriteBatch to a paused switch", err, os.ErrDeadlineExceeded)
	if k == 0 || k == many {
		t.Fatalf("a paused switch took %d frames", k)
	}
	seq += uint64(k)
	k, err = a.TryWriteBatch(batch(3))
	n.failed("TryWriteBatch", err, vde.ErrFull)
	if st := a.Stats(); k != 0 || st.TxFull != 3 || st.TxFrames != seq+1 {
		t.Errorf("TryWriteBatch took %d frames; counted %+v", k, st)
	}
	if a.Err() != nil || b.Err() != nil {
		t.Errorf("a pause ended connections: %v, %v", a.Err(), b.Err())
	}

	// A writer that waits goes on when the switch is resumed.
	if err := a.SetWriteDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	const more = 20
	waited := make(chan error, 1)
	rest := batch(more)
	go func() {
		_, err := a.WriteBatch(rest)
		waited <- err
	}()
	p.Resume()
	for i := range seq + more {
		n.expect("after the pause, b", b.Conn, testFrame(b.mac, a.mac, 1514, i))
	}
	if err := <-waited; err != nil {
		t.Errorf("the writer that waited: %v", err)
	}
	n.exchange(a, b)
}

// testOpenPaused joins a paused switch.
func (s *suite) testOpenPaused(t *testing.T) {
	n := s.crashing(t, Config{})
	p, ok := n.Switch.(Pauser)
	if !ok {
		return
	}
	w := n.watch()
	before := n.names()
	p.Pause()

	ctx, cancel := context.WithTimeout(t.Context(), quickly)
	defer cancel()
	_, err := vde.Open(ctx, n.Dir())
	n.failed("joining with a deadline", err, context.DeadlineExceeded)
	if got := strings.Join(n.names(), " "); got != strings.Join(before, " ") {
		t.Errorf("left: %s", got)
	}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	opened := make(chan error, 1)
	go func() {
		_, err := vde.Open(ctx, n.Dir())
		opened <- err
	}()
	n.until(w, "the data socket", func(names []string) bool { return len(hidden(names)) > 0 })
	cancel()
	n.failed("joining, cancelled", <-opened, context.Canceled)
	if got := strings.Join(n.names(), " "); got != strings.Join(before, " ") {
		t.Errorf("left: %s", got)
	}
	p.Resume()
}

// testSocketMode checks the mode and group of the data socket. The socket has a name only until the client has
// joined, so the switch is paused meanwhile.
func (s *suite) testSocketMode(t *testing.T) {
	testpeers.Need(t, "CAP_CHOWN")
	group, gid := someGroup(t)
	for _, tt := range []struct {
		name string
		vnl  string
		opts []vde.Option
		want socketMode
	}{
		{"default", "", nil, socketMode{0o700, -1}},
		{"mode 0", "", []vde.Option{vde.WithSocketMode(0)}, socketMode{0o700, -1}},
		{"mode", "", []vde.Option{vde.WithSocketMode(0o640)}, socketMode{0o640, -1}},
		{"mode in the VNL", "[mode=0606]", []vde.Option{vde.WithSocketMode(0o640)}, socketMode{0o606, -1}},
		{"group", "", []vde.Option{vde.WithSocketGroup(group)}, socketMode{0o700, gid}},
		{"group and mode", "", []vde.Option{vde.WithSocketGroup(fmt.Sprint(gid)), vde.WithSocketMode(0o770)}, socketMode{0o770, gid}},
		{"both in the VNL", fmt.Sprintf("[group=%s/mode=770]", group), nil, socketMode{0o770, gid}},
	} {
		t.Run(tt.name, func(t *testing.T) { s.testSocketModeOf(t, tt.vnl, tt.opts, tt.want) })
	}
	t.Run("unknown group", func(t *testing.T) {
		n := s.network(t, Config{})
		before := strings.Join(n.names(), " ")
		c, err := vde.Open(t.Context(), n.Dir(), vde.WithSocketGroup("no-such-group"))
		if err == nil {
			c.Close()
			t.Error("joined with a group that does not exist")
		}
		if after := strings.Join(n.names(), " "); after != before {
			t.Errorf("left: %s", after)
		}
	})
}

// A socketMode is what a data socket is expected to have.
type socketMode struct {
	mode fs.FileMode
	gid  int // -1: any
}

// reached reports whether the socket at path has its final mode and group. Before, it may have a narrower mode,
// but never a wider one.
func (m socketMode) reached(t *testing.T, path string) bool {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	if extra := info.Mode().Perm() &^ (m.mode | 0o700); extra != 0 {
		t.Errorf("the data socket has mode %v, asked for was %v", info.Mode(), m.mode)
	}
	return info.Mode().Perm() == m.mode && (m.gid < 0 || groupOf(info) == m.gid)
}

func (s *suite) testSocketModeOf(t *testing.T, suffix string, opts []vde.Option, want socketMode) {
	n := s.network(t, Config{})
	p, ok := n.Switch.(Pauser)
	if !ok {
		return
	}
	w := n.watch()
	p.Pause()
	type result struct {
		c   *vde.Conn
		err error
	}
	opened := make(chan result, 1)
	go func() {
		c, err := vde.Open(t.Context(), n.Dir()+suffix, opts...)
		opened <- result{c, err}
	}()
	n.until(w, "the data socket with its mode", func(names []string) bool {
		return slices.ContainsFunc(hidden(names), func(name string) bool {
			return want.reached(t, filepath.Join(n.Dir(), name))
		})
	})
	p.Resume()
	r := <-opened
	if r.err != nil {
		t.Fatal(r.err)
	}
	defer n.close(r.c)
	if left := hidden(n.names()); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	n.exchange(&station{r.c, mac(1)}, n.station(2))
}

// testRestart joins again after the switch has been started again.
func (s *suite) testRestart(t *testing.T) {
	n := s.crashing(t, Config{})
	r, ok := n.Switch.(Restarter)
	if !ok {
		return
	}
	for _, how := range []string{"killed", "stopped", "running"} {
		a, b := n.station(1), n.station(2)
		n.exchange(a, b)
		switch how {
		case "killed":
			n.end()
		case "stopped":
			n.Stop()
		}
		r.Restart()
		n.ended(how+": a", a.Conn)
		n.ended(how+": b", b.Conn)
		n.exchange(n.station(3), n.station(4))
		// The connections to the old switch have ended for good.
		_, err := a.Write(testFrame(frame.Broadcast(), a.mac, 60, 1))
		n.failed(how+": Write", err, vde.ErrHangup)
	}
}

// testCycles opens and closes many connections, with frames queued at different places.
func (s *suite) testCycles(t *testing.T) {
	cycles := uint64(1000)
	if testing.Short() {
		cycles = 200
	}
	n := s.network(t, Config{})
	p := pool.New(s.MaxFrame, 0)
	testutil.NoLive(t, "buffers", func() int64 { return p.Stats().Live })
	peer := n.station(1)
	w := n.watch()
	before := n.names()
	for i := range cycles {
		c, err := vde.Open(t.Context(), n.Dir(), vde.WithFrames(p, 1))
		if err != nil {
			t.Fatalf("the %dth time: %v", i, err)
		}
		f := testFrame(frame.Broadcast(), mac(2), 100, i)
		n.write(c, f)
		n.expect("the peer", peer.Conn, f)
		f = testFrame(mac(2), peer.mac, 100, i)
		n.write(peer.Conn, f, f, f)
		switch ch := c.Frames(); i % 4 {
		case 0: // all three unread
		case 1: // one read, the rest on its way
			got := <-ch
			if s.Concurrent {
				// Frames for earlier connections with this address may arrive here.
				for seq, err := testframe.Check(got.Bytes()); err == nil && seq < i; seq, err = testframe.Check(got.Bytes()) {
					got.Release()
					got = <-ch
				}
			}
			n.same("the newcomer", got.Bytes(), f)
			got.Release()
		case 2:
			for range 3 {
				(<-ch).Release()
			}
		case 3: // Frames after Close
			defer func() {
				for range c.Frames() {
					t.Error("a frame after the end")
				}
			}()
		}
		n.closeAndWait(w, before, c)
		for got := range c.Frames() {
			got.Release()
		}
		if st := c.Stats(); st.RxFrames+st.RxDiscarded > 3 && !s.Concurrent || st.RxRunts+st.RxTruncated+st.RxEmpty+st.RxForeign != 0 {
			t.Fatalf("counted %+v", st)
		}
	}
	if st := peer.Stats(); st.TxFrames != 3*cycles || st.RxFrames != cycles {
		t.Errorf("the peer counted %+v", st)
	}
}

// testPathLengths uses directories whose names are about as long as a socket address allows.
func (s *suite) testPathLengths(t *testing.T) {
	if s.FixedDir {
		return
	}
	base := testutil.ShortDir(t)
	for length := 90; length <= 103; length++ {
		t.Run(fmt.Sprint(length), func(t *testing.T) {
			dir := filepath.Join(base, strings.Repeat("d", length-len(base)-1))
			n := s.network(t, Config{Dir: dir})
			if n.Dir() != dir {
				t.Fatalf("the switch is at %s", n.Dir())
			}
			n.exchange(n.station(1), n.station(2))
			c := n.station(3)
			n.peer(testpeers.CPeerConfig{Role: testpeers.CEcho, MAC: mac(4)})
			f := testFrame(mac(4), c.mac, 500, 1)
			n.write(c.Conn, f)
			n.expect("the echo", c.Conn, testFrame(c.mac, mac(4), 500, 1))
		})
	}
	for length := 104; length <= 110; length++ {
		dir := filepath.Join(base, strings.Repeat("d", length-len(base)-1))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := vde.Open(t.Context(), dir)
		if !errors.Is(err, vde.ErrPathTooLong) {
			t.Errorf("a directory of %d bytes: %v", length, err)
		}
	}
}
