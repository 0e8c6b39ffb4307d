// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/binary"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// TestSharedMemoryUsers: memory is shared with the same user, and with others only
// where both sides were told so.
func TestSharedMemoryUsers(t *testing.T) {
	testpeers.Need(t, "CAP_SETUID", "CAP_SETGID")
	root := who{}
	for _, test := range []struct {
		name         string
		client, here vde.SharedMemory
		user         who
		want         bool
	}{
		{"same user", vde.SharedMemorySameUser, vde.SharedMemorySameUser, root, true},
		{"client never", vde.SharedMemoryNever, vde.SharedMemoryAlways, root, false},
		{"switch never", vde.SharedMemoryAlways, vde.SharedMemoryNever, root, false},
		{"another user", vde.SharedMemorySameUser, vde.SharedMemorySameUser, nobody, false},
		{"another user, client always", vde.SharedMemoryAlways, vde.SharedMemorySameUser, nobody, false},
		{"another user, switch always", vde.SharedMemorySameUser, vde.SharedMemoryAlways, nobody, false},
		{"another user, both always", vde.SharedMemoryAlways, vde.SharedMemoryAlways, nobody, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			sw := vswitch.New(vswitch.Config{Mode: 0o777, SharedMemory: test.here})
			dir := serve(t, sw)
			defer sw.Close()
			if err := os.Chmod(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			var c *vde.Conn
			if err := test.user.do(func() (err error) {
				c, err = vde.Open(t.Context(), dir, vde.WithSharedMemory(test.client))
				return err
			}); err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if got := c.Caps().SharedMemory; got != test.want {
				t.Errorf("shared memory: %v, want %v", got, test.want)
			}
			kind := vswitch.KindStream
			switch {
			case test.want:
				kind = vswitch.KindSharedMemory
			case test.client == vde.SharedMemoryNever:
				kind = vswitch.KindSocket
			}
			if got := sw.Ports()[0].Endpoints[0].Kind; got != kind {
				t.Errorf("the endpoint is %q, want %q", got, kind)
			}
			if n := sw.Stats().Serve.RingsRejected; n != 0 {
				t.Errorf("%d bad offers", n)
			}
		})
	}
}

// TestWriterAndLeaver: a write without a deadline that waits for a client with
// shared memory goes on when that client leaves; what it waited for is counted as
// refused.
func TestWriterAndLeaver(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
		1: {Static: []vswitch.StaticEntry{{MAC: macB}}, Wait: vswitch.Forever},
	}})
	dir := serve(t, sw)
	defer sw.Close()
	c := open(t, dir, vde.WithPort(1))
	if !c.Caps().SharedMemory {
		t.Fatal("no shared memory")
	}
	a := attach(t, sw, 2)
	f := frame.AppendHeader(nil, macB, macA, frame.EtherTypeExperimental)
	f = append(f, make([]byte, 1400)...)
	for {
		if _, err := a.TryWriteBatch([][]byte{f}); err != nil {
			break // full
		}
	}
	written := make(chan error, 1)
	go func() {
		_, err := a.WriteBatch([][]byte{f, f, f})
		written <- err
	}()
	until(t, "waiting", func() bool { return vswitch.WaitingOutside(sw, 1) })
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-written; err != nil {
		t.Errorf("the write: %v", err)
	}
	until(t, "counted", func() bool {
		d := counts(t, sw, 1).Out.Dropped
		return d.Refused+d.Closed >= 3 && d.Timeout == 0
	})
}

// TestBrokenRings has a client break the rules: it loses its port, that is
// counted, and others notice nothing.
func TestBrokenRings(t *testing.T) {
	testutil.NoLeaks(t)
	news := newNews()
	sw := vswitch.New(vswitch.Config{Logger: slog.New(news)})
	defer sw.Close()
	wreck, detach, err := vswitch.AttachViolator(sw, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer detach()
	a, b := attach(t, sw, 2), attach(t, sw, 3)
	wreck()
	for deadline := time.Now().Add(time.Minute); ; {
		changed := news.next()
		if sw.Stats().Serve.Violations == 1 && len(sw.Ports()[0].Endpoints) == 0 {
			break
		}
		select {
		case <-changed:
		case <-time.After(time.Until(deadline)):
			t.Fatalf("still attached: %+v", sw.Stats().Serve)
		}
	}
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 2}, frame.EtherTypeExperimental)
	f = append(f, make([]byte, 46)...)
	if _, err := a.Write(f); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 100)
	if n, err := b.Read(buf); n != len(f) || err != nil {
		t.Errorf("the others: %d bytes, %v", n, err)
	}
}

// A ringDialogue is a switch with three clients that have shared memory: A asks, B
// answers, and the third one receives only when it is told to.
type ringDialogue struct {
	t            *testing.T
	sw           *vswitch.Switch
	a, b, silent end

	questions, answers int // so far
}

// silentMAC is the address of the station that is silent.
var silentMAC = frame.MAC{2, 0, 0, 0, 0, 0xd}

func newRingDialogue(t *testing.T) *ringDialogue {
	sw := vswitch.New(vswitch.Config{DefaultPort: vswitch.PortConfig{Wait: vswitch.Forever}, Ports: map[int]vswitch.PortConfig{
		3: withStatic(silentMAC, vswitch.PortConfig{Wait: vswitch.Forever}),
	}})
	d := &ringDialogue{t: t, sw: sw, a: attachRings(t, sw, 1, false), b: attachRings(t, sw, 2, false), silent: attachRings(t, sw, 3, false)}
	for _, e := range []end{d.a, d.a, d.b} {
		e.next() // flooded when the others were attached
	}
	d.send(d.b, frame.Broadcast(), macB, 0) // to be known
	d.receive(d.a, macB, 0)
	d.receive(d.silent, macB, 0)
	return d
}

// send sends a frame with a number.
func (d *ringDialogue) send(e end, dst, src frame.MAC, n int) {
	d.t.Helper()
	f := testFrame(dst, src, 64, 0)
	binary.BigEndian.PutUint32(f[frame.HeaderLen:], uint32(n))
	if err := e.send(packet{data: f}); err != nil {
		d.t.Fatal(err)
	}
}

// receive waits for the next frame, which must have a source and a number.
func (d *ringDialogue) receive(e end, src frame.MAC, n int) {
	d.t.Helper()
	f := e.next().data
	if got := binary.BigEndian.Uint32(f[frame.HeaderLen:]); frame.Frame(f).Src() != src || got != uint32(n) {
		d.t.Fatalf("frame %d from %v, want %d from %v", got, frame.Frame(f).Src(), n, src)
	}
}

// ask sends a question from A to B.
func (d *ringDialogue) ask() {
	d.t.Helper()
	d.send(d.a, macB, macA, d.questions)
	d.receive(d.b, macA, d.questions)
	d.questions++
}

// fill has B send to the silent station until the switch waits there, and returns
// the number of frames.
func (d *ringDialogue) fill() (sent int) {
	d.t.Helper()
	before := counts(d.t, d.sw, 2).In.Frames
	for !vswitch.WaitingOutside(d.sw, 3) {
		// No more ahead of the switch than there is room for: it stops in the
		// midst of them, and B's own frames must still find room behind.
		if counts(d.t, d.sw, 2).In.Frames-before+1000 < uint64(sent) {
			continue
		}
		d.send(d.b, silentMAC, macB, sent)
		sent++
	}
	return sent
}

// TestRingsPolledTogether has two clients with shared memory ask and answer, during
// which the switch polls and one goroutine forwards for both. In the midst of it the
// one that answers fills the port of a third client, which does not receive: its own
// frames wait from then on, those of the one that asks do not. Nothing is lost and
// nothing changes its place.
func TestRingsPolledTogether(t *testing.T) {
	testutil.NoLeaks(t)
	const (
		asked    = 100 // in a round, before the port is full
		overtake = 50  // and then
	)
	rounds := 20
	if testing.Short() {
		rounds = 2
	}
	d := newRingDialogue(t)
	defer d.sw.Close()
	for range rounds {
		for range asked {
			d.ask()
			d.send(d.b, macA, macB, d.answers)
			d.receive(d.a, macB, d.answers)
			d.answers++
		}
		sent := d.fill()
		d.send(d.b, macA, macB, d.answers) // waits behind the others
		for range overtake {
			d.ask()
		}
		for i := range sent {
			d.receive(d.silent, macB, i)
		}
		d.receive(d.a, macB, d.answers)
		d.answers++
	}
	// A and B also got what was flooded when stations became known.
	for n, want := range map[int]int{1: d.answers + 4, 2: d.questions + 2} {
		if got := counts(t, d.sw, n).Out.Frames; got != uint64(want) {
			t.Errorf("%d frames have left by port %d, want %d", got, n, want)
		}
	}
}
