// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/vswitch"
)

// A notifyingLink has one batch of frames, which the test has the switch receive.
type notifyingLink struct {
	link.Link
	frames  [][]byte
	headers []frame.VNetHeader
	served  chan link.Receiver
	over    chan struct{}
}

func (l *notifyingLink) Caps() link.Caps { return link.Caps{SharedMemory: true, Notifier: l} }

func (l *notifyingLink) Serve(r link.Receiver) {
	l.served <- r
	<-l.over
	r.Ended(link.ErrHangup)
}

func (l *notifyingLink) RecvPlaced(p link.Placer, _ int) (int, error) {
	for i, f := range l.frames {
		copy(p.Place(i, len(f), l.headers[i]), f)
	}
	return len(l.frames), nil
}

// A sentLink tells when it is sent something.
type sentLink struct {
	link.Link
	sent func()
}

func (l sentLink) Caps() link.Caps { return link.Caps{} }

func (l sentLink) Send(t link.Tx) (n, calls int, err error) {
	l.sent()
	return len(t.Frames), 1, nil
}

// TestReleasesBeforeLongWork checks that what cannot be forwarded in a moment is
// forwarded after release was called, so that a goroutine that receives for others
// does not keep them waiting, and that other frames are not.
func TestReleasesBeforeLongWork(t *testing.T) {
	short := testFrame(macB, macA, 60, 1)
	gsoHeader, gsoFrame := longTCP()
	for _, test := range []struct {
		name   string
		ports  int // beside the one that sends
		frames [][]byte
		header frame.VNetHeader
		want   bool
	}{
		{"one frame", 2, [][]byte{short}, frame.VNetHeader{}, false},
		{"for all of a few ports", 2, [][]byte{testFrame(frame.Broadcast(), macA, 60, 1)}, frame.VNetHeader{}, false},
		{"for all of many ports", 100, [][]byte{testFrame(frame.Broadcast(), macA, 60, 1)}, frame.VNetHeader{}, true},
		{"many bytes", 2, slices.Repeat([][]byte{testFrame(macB, macA, 1514, 1)}, 40), frame.VNetHeader{}, true},
		{"a GSO frame", 2, [][]byte{gsoFrame}, gsoHeader, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			sw := vswitch.New(vswitch.Config{})
			defer sw.Close()
			released, sent, late := false, 0, false
			end := func() link.Link {
				a, b := linktest.Pipe(1)
				t.Cleanup(func() { b.Close() })
				return a
			}
			in := &notifyingLink{Link: end(), frames: test.frames, served: make(chan link.Receiver, 1), over: make(chan struct{})}
			for range test.frames {
				in.headers = append(in.headers, test.header)
			}
			if _, err := sw.AttachLink(in, vswitch.LinkConfig{}); err != nil {
				t.Fatal(err)
			}
			for range test.ports {
				l := sentLink{end(), func() {
					sent++
					late = late || !released
				}}
				if _, err := sw.AttachLink(l, vswitch.LinkConfig{}); err != nil {
					t.Fatal(err)
				}
			}
			if !(<-in.served).Ready(func() { released = true }) || sent < test.ports {
				t.Errorf("sent %d times", sent)
			}
			if released != test.want || released && late {
				t.Errorf("released: %v, before the first frame was sent: %v", released, !late)
			}
			close(in.over)
		})
	}
}

// longTCP returns a frame that is to become three segments.
func longTCP() (h frame.VNetHeader, f []byte) {
	f = frame.AppendHeader(nil, macB, macA, frame.EtherTypeIPv4)
	f = append(f, 0x45, 0, 0x0b, 0xe0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	f = append(f, 0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0xf6, 0, 0, 0, 0)
	f = append(f, make([]byte, 3000)...)
	return frame.VNetHeader{Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 1000, CsumStart: 34, CsumOffset: 16}, f
}
