// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect/v2"
	"google.golang.org/protobuf/proto"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// capture begins to capture.
func (l *lab) capture(r *pb.CaptureRequest) pb.SwitchServiceCaptureClientStream {
	l.t.Helper()
	stream := must(l.client.Capture(l.t.Context(), r))(l.t)
	if first := must(stream.Receive())(l.t); len(first.GetFrames()) != 0 {
		l.t.Errorf("the first answer has %d frames", len(first.GetFrames()))
	}
	l.t.Cleanup(func() { stream.Close() })
	return stream
}

// frames returns the next n frames of a stream.
func frames(t *testing.T, stream pb.SwitchServiceCaptureClientStream, n int) (list []*pb.CapturedFrame) {
	t.Helper()
	for len(list) < n {
		list = append(list, must(stream.Receive())(t).GetFrames()...)
	}
	return list
}

// TestCapture checks that both directions of a port are captured and nothing of others,
// cut off as asked, and that a bound ends the stream.
func TestCapture(t *testing.T) {
	l := newLab(t, vswitch.Config{NumPorts: 9}, api.Options{}, api.Access{})
	a, b, c := l.attach(vde.WithPort(1)), l.attach(vde.WithPort(2)), l.attach(vde.WithPort(3))
	for i, conn := range []*vde.Conn{a, b, c} { // the switch knows them all
		if _, err := conn.Write(flooded(byte(i + 1))); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	all, short := l.capture(&pb.CaptureRequest{Port: proto.Uint32(1)}), l.capture(&pb.CaptureRequest{Port: proto.Uint32(1), SnapLen: 14, MaxFrames: 2})
	want := [][]byte{unicast(2, 1), unicast(1, 2), unicast(1, 3)}
	for i, conn := range []*vde.Conn{a, b, c} {
		if _, err := conn.Write(want[i]); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(unicast(byte(4-i), byte(i+1))); err != nil && i != 1 { // 1 to 4, flooded; 2 to 3 not at 1
			t.Fatal(err)
		}
	}
	got := frames(t, all, 4)
	if !bytes.Equal(got[0].GetData(), want[0]) || !bytes.Equal(got[2].GetData(), want[1]) || !bytes.Equal(got[3].GetData(), want[2]) {
		t.Errorf("frames %x", got)
	}
	if at := got[0].GetTime().AsTime(); at.Before(start) || at.After(time.Now()) || got[0].GetLength() != 60 {
		t.Errorf("time %v, length %d", at, got[0].GetLength())
	}
	cut := frames(t, short, 2)
	if len(cut) != 2 || !bytes.Equal(cut[0].GetData(), want[0][:14]) || cut[0].GetLength() != 60 {
		t.Errorf("frames cut off: %x", cut)
	}
	if _, err := short.Receive(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last frame: %v", err)
	}
	for _, r := range []*pb.CaptureRequest{{}, {Port: proto.Uint32(10)}} {
		stream := must(l.client.Capture(t.Context(), r))(t)
		_, err := stream.Receive()
		if code := connect.CodeOf(err); code != connect.CodeInvalidArgument && code != connect.CodeNotFound {
			t.Errorf("%v: %v", r, err)
		}
		stream.Close()
	}
}

// gsoFrame returns a TCP segment of 8000 bytes for everybody, to be cut into ones of 1448.
func gsoFrame() ([]byte, frame.VNetHeader) {
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	f = append(f, 0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	f = append(f, 0x30, 0x39, 0, 80, 0, 0, 0, 0, 0, 0, 0, 1, 5<<4, 0x18, 0xff, 0xff, 0, 0, 0, 0)
	f = append(f, make([]byte, 8000)...)
	binary.BigEndian.PutUint16(f[16:], uint16(len(f)-14))
	return f, frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: 34, CsumOffset: 16, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 1448}
}

// TestCaptureGSO checks that a capture does not make the switch segment GSO frames.
func TestCaptureGSO(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{}, api.Access{})
	a, b := l.attach(vde.WithPort(1)), l.attach(vde.WithPort(2))
	packet, header := gsoFrame()
	var reader sync.WaitGroup
	defer reader.Wait()
	defer b.Close()
	reader.Go(func() {
		for { // the first call says that it takes GSO frames
			if _, err := b.ReadPackets([][]byte{make([]byte, frame.MaxGSO)}, make([]frame.VNetHeader, 1)); err != nil {
				return
			}
		}
	})
	for {
		stream := l.capture(&pb.CaptureRequest{Port: proto.Uint32(1), MaxFrames: 1})
		if _, err := a.WritePackets([]net.Buffers{{packet}}, []frame.VNetHeader{header}); err != nil {
			t.Fatal(err)
		}
		if frames(t, stream, 1)[0].GetLength() == uint32(len(packet)) {
			break
		}
		// One of the two had not said it yet.
	}
}

// TestCaptureSlow checks that a client which does not read delays nobody, and that every
// frame is in its capture or counted as dropped.
func TestCaptureSlow(t *testing.T) {
	l := newLab(t, vswitch.Config{}, api.Options{Timeout: time.Minute}, api.Access{})
	a := l.attach(vde.WithPort(1))
	stream := l.capture(&pb.CaptureRequest{Port: proto.Uint32(1)})
	const sent = 40000
	big := append(flooded(1), make([]byte, 1400)...)
	batch := [][]byte{big, big, big, big, big, big, big, big}
	for range sent / len(batch) {
		if n, err := a.WriteBatch(batch); n != len(batch) || err != nil {
			t.Fatal(n, err)
		}
	}
	if l.sw.Stats().Monitors.Dropped.Sum() == 0 {
		t.Fatal("nothing was dropped")
	}
	marker := unicast(9, 1)
	for captured, dropped := uint64(0), uint64(0); captured+dropped < sent; {
		if _, err := a.Write(marker); err != nil {
			t.Fatal(err)
		}
		answer := must(stream.Receive())(t)
		dropped = answer.GetDropped()
		for _, f := range answer.GetFrames() {
			if len(f.GetData()) == len(big) {
				captured++
			}
		}
	}
}
