// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"bytes"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// writePackets writes frames with their metadata.
func writePackets(c *vde.Conn, frames ...packet) (int, error) {
	var all []net.Buffers
	var headers []frame.VNetHeader
	for _, h := range frames {
		all, headers = append(all, net.Buffers{h.data}), append(headers, h.header)
	}
	return c.WritePackets(all, headers)
}

// packetConns returns a switch for frames of 1514 bytes and three ports of it, for
// A, B and C. B takes partial frames.
func packetConns(t *testing.T) (sw *vswitch.Switch, a, b, c *vde.Conn) {
	sw = vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{
		2: withStatic(macB, vswitch.PortConfig{}), 3: withStatic(macC, vswitch.PortConfig{}),
	}, MaxFrameSize: 1514})
	testutil.NoLive(t, "buffers of the switch", func() int64 { return vswitch.Live(sw) })
	t.Cleanup(func() { sw.Close() })
	var conns [3]*vde.Conn
	for i := range conns {
		c, err := sw.Attach(vde.WithPort(i+1), vde.WithMaxFrameSize(1514))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns[i] = c
	}
	packetsOn(t, sw, conns[1])
	return sw, conns[0], conns[1], conns[2]
}

// Packets between Conns arrive as they are sent if the receiver takes partial
// frames, and as ordinary frames otherwise.
func TestOffloadConn(t *testing.T) {
	sw, a, b, c := packetConns(t)
	if got := a.Caps().Offload; got != link.OffloadChecksum|link.OffloadTSO {
		t.Errorf("the switch takes %v", got)
	}
	for i, want := range []link.Offload{0, link.OffloadChecksum | link.OffloadTSO, 0} {
		if got := sw.Ports()[i].Endpoints[0].Offload; got != want {
			t.Errorf("port %d: offload %v", i+1, got)
		}
	}
	toB := segment(macB, macA, false, 1, payload(60_000), 1400)
	toC := segment(macC, macA, true, 1, payload(40_000), 1400)
	if n, err := writePackets(a, toB, toC, toC); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	bufs, headers := [][]byte{make([]byte, 1<<16)}, make([]frame.VNetHeader, 1)
	if n, err := b.ReadPackets(bufs, headers); n != 1 || err != nil || !bytes.Equal(bufs[0], toB.data) || headers[0] != toB.header {
		t.Errorf("%d bytes, %+v, %v", len(bufs[0]), headers[0], err)
	}
	want := append(ordinary(toC), ordinary(toC)...)
	if got := received(t, sw, c); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%d frames, want %d", len(got), len(want))
	}
	in, tx := counts(t, sw, 1).In, a.Stats().TxFrames
	if tx != 3 || in.Frames-in.Segments+in.GSOFrames != tx || in.GSOFrames != 2 || in.Bytes != uint64(len(toB.data)+len(bytes.Join(want, nil))) {
		t.Errorf("%d frames sent, %+v", tx, in)
	}
	if out, rx := counts(t, sw, 2).Out, b.Stats(); out.Frames != rx.RxFrames || out.Bytes != rx.RxBytes {
		t.Errorf("%+v, %+v", out, rx)
	}
}

// Other reads than ReadPackets finish partial frames that the port has taken, which
// may become more frames than there is room for.
func TestOffloadConnReads(t *testing.T) {
	_, a, b, _ := packetConns(t)
	long, small := segment(macB, macA, false, 1, payload(60_000), 1400), segment(macB, macA, true, 1, payload(5), 1400)
	if n, err := writePackets(a, small, long); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	segments := ordinary(long)
	buf := make([]byte, 1<<16)
	for _, want := range [][]byte{ordinary(small)[0], segments[0]} {
		if n, err := b.Read(buf); err != nil || !bytes.Equal(buf[:n], want) {
			t.Errorf("%d bytes, %v", n, err)
		}
	}
	bufs, headers := [][]byte{buf}, make([]frame.VNetHeader, 1)
	if n, err := b.ReadPackets(bufs, headers); n != 1 || err != nil || !bytes.Equal(bufs[0], segments[1]) || !headers[0].IsZero() {
		t.Errorf("%d bytes, %+v, %v", len(bufs[0]), headers[0], err)
	}
	last := testFrame(macB, macA, 60, 7)
	write(t, a, last)
	for i, want := range append(segments[2:], last) {
		f := <-b.Frames()
		if !bytes.Equal(f.Bytes(), want) {
			t.Errorf("frame %d: %x", i, f.Bytes())
		}
		f.Release()
	}
}

// A Conn refuses packets that the switch would have to drop.
func TestOffloadConnRefuses(t *testing.T) {
	_, a, _, _ := packetConns(t)
	good := segment(macB, macA, false, 1, payload(4000), 1400)
	long, wrong := good, good
	long.header.GSOSize = 1514 - 54 + 1
	wrong.header.CsumOffset--
	for _, test := range []struct {
		name string
		send packet
		want error
	}{
		{"segments longer than the limit", long, vde.ErrFrameSize},
		{"another header", wrong, vde.ErrOffload},
		{"runt", packet{data: make([]byte, 13)}, vde.ErrFrameSize},
	} {
		if _, err := writePackets(a, test.send); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
