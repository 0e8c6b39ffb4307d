// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// joined attaches a port of the switch that it returns to port 2 of sw.
func joined(t *testing.T, sw *vswitch.Switch, cfg vswitch.LinkConfig) (other *vswitch.Switch, a *vswitch.Attachment) {
	t.Helper()
	other = vswitch.New(vswitch.Config{})
	testutil.NoLive(t, "buffers of the other switch", func() int64 { return vswitch.Live(other) })
	t.Cleanup(func() { other.Close() })
	c, err := other.Attach(vde.WithPort(9))
	if err != nil {
		t.Fatal(err)
	}
	if a, err = sw.AttachLink(vswitch.LinkOf(other, c), cfg); err != nil {
		t.Fatal(err)
	}
	return other, a
}

// Frames pass a link in both directions, partial ones as they are.
func TestAttachLink(t *testing.T) {
	testutil.NoLeaks(t)
	sw := vswitch.New(vswitch.Config{})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	defer sw.Close()
	far := attach(t, sw, 1)
	other, a := joined(t, sw, vswitch.LinkConfig{Port: 2, Description: "uplink"})
	near := packetsOn(t, other, attach(t, other, 1))
	if a.Port() != 2 || a.ID() == 0 || a.Err() != nil {
		t.Errorf("port %d, endpoint %d, %v", a.Port(), a.ID(), a.Err())
	}
	e := sw.Ports()[1].Endpoints[0]
	if e.Kind != vswitch.KindLink || e.Description != "uplink" || int(e.PID) != os.Getpid() || e.ID != a.ID() {
		t.Errorf("%+v", e)
	}
	until(t, "the link takes partial frames", func() bool { return other.Ports()[1].Endpoints[0].Offload != 0 })
	farPackets := packetsOn(t, sw, far)
	for _, h := range []packet{
		{data: testFrame(frame.Broadcast(), macA, 60, 1)},
		segment(frame.Broadcast(), macA, false, 1, payload(20_000), 1400),
	} {
		near.send(h)
		if got := farPackets.next(); !equal([]packet{got}, []packet{h}) {
			t.Errorf("%d bytes, %+v", len(got.data), got.header)
		}
		farPackets.send(h)
		if got := near.next(); !equal([]packet{got}, []packet{h}) {
			t.Errorf("back: %d bytes, %+v", len(got.data), got.header)
		}
	}
	counts(t, sw, 2)
	counts(t, other, 9)
}

// An attached link ends with its other side, which has been forwarded before, by
// Close, by Disconnect and with the switch, and leaves the port.
func TestAttachLinkEnds(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(sw, other *vswitch.Switch, a *vswitch.Attachment) error
		want error
	}{
		{"other side", func(_, other *vswitch.Switch, _ *vswitch.Attachment) error { return other.Close() }, vde.ErrHangup},
		{"Close", func(_, _ *vswitch.Switch, a *vswitch.Attachment) error { return a.Close() }, net.ErrClosed},
		{"Disconnect", func(sw, _ *vswitch.Switch, a *vswitch.Attachment) error { return sw.Disconnect(2, a.ID()) }, vde.ErrHangup},
		{"switch", func(sw, _ *vswitch.Switch, _ *vswitch.Attachment) error { return sw.Close() }, vswitch.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			sw := vswitch.New(vswitch.Config{})
			defer sw.Close()
			far := attach(t, sw, 1)
			other, a := joined(t, sw, vswitch.LinkConfig{Port: 2})
			f := testFrame(frame.Broadcast(), macA, 60, 1)
			write(t, attach(t, other, 1), f)
			if err := test.end(sw, other, a); err != nil {
				t.Fatal(err)
			}
			<-a.Done()
			if err := a.Err(); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if n := len(sw.Ports()[1].Endpoints); n != 0 {
				t.Errorf("%d endpoints are left", n)
			}
			// The frame was forwarded, or counted as unread.
			if in := counts(t, sw, 2).In; in.Forwarded+in.Dropped.Closed != 1 {
				t.Errorf("%+v, %+v", in, counts(t, other, 9).Out)
			}
			if test.name == "other side" {
				if got := received(t, sw, far); len(got) != 1 || !bytes.Equal(got[0], f) {
					t.Errorf("%d frames", len(got))
				}
			}
		})
	}
}

// A link that cannot be attached is closed.
func TestAttachLinkRefused(t *testing.T) {
	sw, other := vswitch.New(vswitch.Config{NumPorts: 4}), vswitch.New(vswitch.Config{})
	defer sw.Close()
	defer other.Close()
	l := vswitch.LinkOf(other, attach(t, other, 1))
	if _, err := sw.AttachLink(l, vswitch.LinkConfig{Port: 5}); !errors.Is(err, vswitch.ErrNoPort) {
		t.Errorf("got %v", err)
	}
	if _, err := l.Recv(link.Rx{Bufs: [][]byte{nil}, Sizes: []int{0}}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the link: %v", err)
	}
}

// AwaitRoom waits for the port at which a send without waiting has stopped.
func TestAwaitRoom(t *testing.T) {
	const queue = 8
	for _, test := range []struct {
		name string
		end  func(sw *vswitch.Switch, a, b *vde.Conn) error
		want error
	}{
		{"read", func(_ *vswitch.Switch, _, b *vde.Conn) error {
			bufs := make([][]byte, queue)
			for i := range bufs {
				bufs[i] = make([]byte, 60)
			}
			_, err := b.ReadBatch(bufs)
			return err
		}, nil},
		{"reader leaves", func(_ *vswitch.Switch, _, b *vde.Conn) error { return b.Close() }, nil},
		{"deadline", func(_ *vswitch.Switch, a, _ *vde.Conn) error { return a.SetWriteDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"Close", func(_ *vswitch.Switch, a, _ *vde.Conn) error { return a.Close() }, net.ErrClosed},
		{"Disconnect", func(sw *vswitch.Switch, _, _ *vde.Conn) error { return sw.Disconnect(1, 0) }, vde.ErrHangup},
	} {
		t.Run(test.name, func(t *testing.T) {
			testutil.NoLeaks(t)
			sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{2: withStatic(macB, vswitch.PortConfig{Queue: queue})}})
			defer sw.Close()
			a, b := attach(t, sw, 1), attach(t, sw, 2)
			l := vswitch.LinkOf(sw, a)
			if err := l.AwaitRoom(); err != nil {
				t.Errorf("with room everywhere: %v", err)
			}
			for f := [][]byte{testFrame(macB, macA, 60, 1)}; ; {
				if _, err := a.TryWriteBatch(f); errors.Is(err, vde.ErrFull) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			waited := make(chan error, 1)
			go func() { waited <- l.AwaitRoom() }()
			until(t, "waiting", func() bool { return vswitch.Waiting(sw, b) == 1 })
			if err := test.end(sw, a, b); err != nil {
				t.Fatal(err)
			}
			if err := <-waited; !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
