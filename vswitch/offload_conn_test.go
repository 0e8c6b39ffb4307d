// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// What a Conn with offloading sends to another arrives as it is, however it is
// read, and to one without as ordinary frames; the switch's counters and the
// Conns' lead to each other.
func TestOffloadConn(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
		2: station(macB, vswitch.PortConfig{}), 3: station(macC, vswitch.PortConfig{}),
	}, MaxFrame: 1514})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	defer sw.Close()
	var conns []*vde.Conn
	for n := 1; n <= 3; n++ {
		c, err := sw.Attach(vde.WithPort(n), vde.WithMaxFrameSize(1514))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	a, b, c := conns[0], conns[1], conns[2]
	a.EnableOffload()
	b.EnableOffload()
	if !a.OffloadAgreed() || !a.OffloadEnabled() || c.OffloadEnabled() {
		t.Error("agreed?", a.OffloadAgreed(), a.OffloadEnabled(), c.OffloadEnabled())
	}
	for i, want := range []bool{true, true, false} {
		if got := sw.Ports()[i].Cables[0].Offload; got != want {
			t.Errorf("port %d: offload %v", i+1, got)
		}
	}
	toB := segment(macB, macA, false, 1, payload(60_000), 1400)
	toC := segment(macC, macA, true, 1, payload(40_000), 1400)
	small := segment(macB, macA, true, 1, payload(5), 1400)
	if n, err := a.WriteBatch([][]byte{toB.bytes(), toC.bytes(), small.bytes(), toC.bytes()}); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	buf := make([]byte, 1<<16)
	n, err := b.Read(buf)
	if err != nil || !bytes.Equal(buf[:n], toB.bytes()) {
		t.Errorf("%d bytes, %v", n, err)
	}
	if f := <-b.Frames(); !bytes.Equal(f.Bytes(), small.bytes()) {
		t.Errorf("%x", f.Bytes())
	} else {
		f.Release()
	}
	want := append(ordinary(toC), ordinary(toC)...)
	got := received(t, sw, c)
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("frame %d of %d: %x", i, len(got), got[i])
		}
	}
	in, tx := counts(t, sw, 1).In, a.Stats().TxFrames
	if tx != 4 || in.Frames-in.SplitInto+in.Split != tx || in.Split != 2 || in.Bytes != uint64(len(toB.data)+len(small.data)+len(bytes.Join(want, nil))) {
		t.Errorf("%d frames sent, %+v", tx, in)
	}
	if out, rx := counts(t, sw, 2).Out, b.Stats(); out.Frames != rx.RxFrames || out.Bytes != rx.RxBytes {
		t.Errorf("%+v, %+v", out, rx)
	}
	// What a Conn does not let through does not come here.
	bad := toB
	bad.off.GSOSize = 1514 - 54 + 1
	if _, err := a.Write(bad.bytes()); err == nil {
		t.Error("segments longer than the limit were sent")
	}
	if _, err := a.Write(make([]byte, frame.VNetHeaderLen+13)); err == nil {
		t.Error("a runt was sent")
	}
}
