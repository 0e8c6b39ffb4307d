// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package impair_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
)

// longSegment returns a GSO frame that becomes ten IPv4 TCP segments of 100 bytes
// of payload, with its header.
func longSegment() ([]byte, frame.VNetHeader) {
	h := frame.VNetHeader{
		Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 100, CsumStart: 34, CsumOffset: 16,
	}
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	f = append(f, 0x45, 0, 4, 16, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	f = append(f, 0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0xf6, 0, 0, 0, 0)
	return append(f, make([]byte, 1000)...), h
}

// TestGSOFrame checks that the segments of a GSO frame are impaired one by one.
func TestGSOFrame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, far := newLine(t, impair.Config{Out: impair.Impairment{Delay: time.Second, Queue: 7}})
		c := line.Conn()
		if o := c.Caps().Offload; o != 0 {
			t.Errorf("a line takes %v", o)
		}
		f, h := longSegment()
		if _, err := c.WritePackets([]net.Buffers{{f}}, []frame.VNetHeader{h}); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 200)
		for i := range 7 {
			n, err := far.Read(buf)
			if seq := binary.BigEndian.Uint32(buf[38:]); err != nil || n != 154 || seq != uint32(1+i*100) {
				t.Fatalf("segment %d: %d bytes from %d on, %v", i, n, seq, err)
			}
		}
		synctest.Wait() // the last one is counted after it has arrived
		if out, _ := line.Stats(); out.Frames != 10 || out.Delivered != 7 || out.Overflowed != 3 || c.Stats().TxFrames != 1 {
			t.Errorf("%+v, %+v", out, c.Stats())
		}

		send(t, far, 1, 2)
		headers := []frame.VNetHeader{{GSOSize: 1}}
		if n, err := c.ReadPackets([][]byte{buf}, headers); n != 1 || err != nil || !headers[0].IsZero() || !bytes.HasPrefix(buf, numbered(1)) {
			t.Errorf("read % x, %+v, %v", buf, headers, err)
		}
		got := <-c.Frames()
		if !bytes.Equal(got.Bytes(), numbered(2)) {
			t.Errorf("delivered % x", got.Bytes())
		}
		got.Release()
	})
}
