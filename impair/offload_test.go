// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package impair_test

import (
	"bytes"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/impair"
)

// longSegment returns an IPv4 TCP segment of 10 times 100 bytes of payload,
// without its checksum, behind its offload header.
func longSegment() []byte {
	f := make([]byte, frame.VNetHeaderLen)
	frame.VNetHeader{
		Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 100, CsumStart: 34, CsumOffset: 16,
	}.Put(f)
	f = frame.AppendHeader(f, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	f = append(f, 0x45, 0, 4, 16, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	f = append(f, 0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x10, 1, 0xf6, 0, 0, 0, 0)
	return append(f, make([]byte, 1000)...)
}

// TestOffload checks that chance decides about each part of a long segment, and
// that what arrives has a header, however it is received.
func TestOffload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line, far := lined(t, impair.Config{Out: impair.Impairment{Delay: time.Second, Queue: 7}})
		c := line.Conn()
		c.EnableOffload()
		if c.OffloadAgreed() {
			t.Error("a line agreed to something")
		}
		if _, err := c.Write(longSegment()); err != nil {
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
		if out, _ := line.Stats(); out.Frames != 10 || out.Passed != 7 || out.Overflowed != 3 || c.Stats().TxFrames != 1 {
			t.Errorf("%+v, %+v", out, c.Stats())
		}

		send(t, far, 1, 2)
		want := append(make([]byte, frame.VNetHeaderLen), numbered(1)...)
		if n, err := c.Read(buf); err != nil || !bytes.Equal(buf[:n], want) {
			t.Errorf("read % x, %v", buf[:n], err)
		}
		f := <-c.Frames()
		want = append(make([]byte, frame.VNetHeaderLen), numbered(2)...)
		if !bytes.Equal(f.Bytes(), want) {
			t.Errorf("delivered % x", f.Bytes())
		}
		f.Release()
	})
}
