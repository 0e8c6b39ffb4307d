// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch"
)

// What clients send to each other through data sockets: frames of all lengths,
// several clients on one port, no flush when a port opens, stations that move at
// once, strangers that are kept out.
func TestSocketFrames(t *testing.T) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"sizes", carriesAllSizes},
		{"65550 bytes", carriesTheLongestFrame},
		{"shared port", sharesAPort},
		{"no flush, move at once", movesAtOnce},
		{"strangers", keepsStrangersOut},
		{"data socket closed", countsRefused},
	} {
		t.Run(test.name, test.run)
	}
}

// carriesAllSizes sends frames of the lengths at which something changes.
func carriesAllSizes(t *testing.T) {
	sw, dir := start(t, vswitch.Config{})
	a, b := plug(t, dir, plugOptions{}), plug(t, dir, plugOptions{})
	for _, n := range []int{0, 1, 13, 9235, 20000} {
		a.send(testFrame(frame.Broadcast(), macA, n, 1))
	}
	for _, n := range []int{14, 20, 59, 60, 1514, 1518, 1519, 9234} {
		a.send(testFrame(frame.Broadcast(), macA, n, byte(n)))
		b.expect(testFrame(frame.Broadcast(), macA, n, byte(n)))
	}
	want := vswitch.InDropped{Empty: 1, Runt: 2, Giant: 2}
	until(t, "counted", func() bool { return sw.Stats().Ports[0].In.Frames == 13 })
	if got := sw.Stats().Ports[0].In; got.Dropped != want || got.Forwarded != 8 {
		t.Errorf("%+v", got)
	}
}

// carriesTheLongestFrame sends a frame of MaxFrameSizeLimit bytes.
func carriesTheLongestFrame(t *testing.T) {
	_, dir := start(t, vswitch.Config{MaxFrameSize: vswitch.MaxFrameSizeLimit})
	a, b := plug(t, dir, plugOptions{}), plug(t, dir, plugOptions{})
	f := testFrame(frame.Broadcast(), macA, vswitch.MaxFrameSizeLimit, 7)
	a.send(f)
	b.expect(f)
}

// sharesAPort has two clients on one port: both get what is for it, and nothing from
// each other.
func sharesAPort(t *testing.T) {
	sw, dir := start(t, vswitch.Config{})
	a, b, c := plug(t, dir, plugOptions{request: v3(0, 3)}), plug(t, dir, plugOptions{request: v3(0, 3)}), plug(t, dir, plugOptions{})
	f := testFrame(frame.Broadcast(), macA, 60, 1)
	a.send(f)
	c.expect(f)
	f = testFrame(macA, macC, 60, 2)
	c.send(f)
	a.expect(f)
	b.expect(f) // and so the twin did not get the first one
	if got := active(sw); !slices.Equal(got, []int{1, 3}) {
		t.Errorf("active ports %v", got)
	}
	a.close()
	until(t, "one endpoint", func() bool { return len(sw.Ports()[1].Endpoints) == 1 })
	c.send(f) // the station stays, for its port does
	b.expect(f)
}

// movesAtOnce has a port open, which flushes nothing, and a station move to it.
func movesAtOnce(t *testing.T) {
	_, dir := start(t, vswitch.Config{})
	a, b := plug(t, dir, plugOptions{}), plug(t, dir, plugOptions{})
	f := testFrame(frame.Broadcast(), macA, 60, 1)
	a.send(f)
	b.expect(f)
	c := plug(t, dir, plugOptions{})
	one, two, all := testFrame(macA, macB, 60, 2), testFrame(macA, macB, 60, 3), testFrame(frame.Broadcast(), macB, 60, 4)
	b.send(one)
	b.send(all)
	a.expect(one)
	a.expect(all)
	c.expect(all) // not one
	f = testFrame(macB, macA, 60, 5)
	c.send(f) // A moves
	b.expect(f)
	b.send(two)
	b.send(all)
	c.expect(two)
	c.expect(all)
	a.expect(all)
}

// keepsStrangersOut connects to the data socket that the switch made for another.
func keepsStrangersOut(t *testing.T) {
	_, dir := start(t, vswitch.Config{})
	a := plug(t, dir, plugOptions{})
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: a.peer}); err != unix.EPERM {
		t.Errorf("a stranger connects to %s: %v", a.peer, err)
	}
}

// countsRefused sends to a client whose data socket is closed.
func countsRefused(t *testing.T) {
	sw, dir := start(t, vswitch.Config{})
	a, b, c := plug(t, dir, plugOptions{}), plug(t, dir, plugOptions{}), plug(t, dir, plugOptions{})
	b.closeData()
	f := testFrame(frame.Broadcast(), macA, 60, 1)
	for range 3 {
		a.send(f)
		c.expect(f)
	}
	if got := sw.Stats().Ports[1].Out; got.Dropped.Refused != 3 || got.Offered != 3 {
		t.Errorf("%+v", got)
	}
	if got := active(sw); len(got) != 3 {
		t.Errorf("active ports %v", got)
	}
}
