// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu_test

import (
	"bytes"
	"encoding/binary"
	"net"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/link"
)

// superframe returns a TCP segment of 20000 bytes with the checksum of its
// pseudo-header, and the metadata that it has for an MTU of 1500.
func superframe() (frame.VNetHeader, []byte) {
	f := frame.AppendHeader(nil, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	f = append(f, 0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	f = append(f, 0xc0, 1, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x18, 1, 0xf6, 0, 0, 0, 0)
	f = append(f, bytes.Repeat([]byte("payload "), 2500)...)
	binary.BigEndian.PutUint16(f[16:], uint16(len(f)-14))
	sum := 0x0a00 + 1 + 0x0a00 + 2 + 6 + len(f) - 34
	binary.BigEndian.PutUint16(f[50:], uint16(sum>>16+sum))
	return frame.VNetHeader{Flags: frame.VNetNeedsChecksum, GSOType: frame.GSOTCPv4, HdrLen: 54, GSOSize: 1460, CsumStart: 34, CsumOffset: 16}, f
}

// TestSuperframes sends a superframe as libkrun does. With the parameter it is
// segments, or has metadata if that is asked for; without, it is a long frame.
func TestSuperframes(t *testing.T) {
	h, f := superframe()
	segments := gso.Segments(h, bytes.Clone(f))
	record := append(binary.BigEndian.AppendUint32(nil, uint32(len(f))), f...)
	for _, params := range []string{"[server]", "[server/superframes]"} {
		p := path(t)
		l := mustOpen(t, "stream://"+p+params)
		c, err := net.Dial("unix", p)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(watchdog))
		write := func(n int) {
			for range n {
				if _, err := c.Write(record); err != nil {
					t.Fatal(err)
				}
			}
		}
		write(2)
		bufs, sizes, headers := [][]byte{make([]byte, 1<<16)}, make([]int, 1), make([]frame.VNetHeader, 1)
		if params == "[server]" {
			if n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers}); n != 1 || !bytes.Equal(bufs[0][:sizes[0]], f) || !headers[0].IsZero() {
				t.Errorf("%d frames of %d bytes, %+v, %v", n, sizes[0], headers[0], err)
			}
			continue
		}
		if n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers}); n != 1 || !bytes.Equal(bufs[0][:sizes[0]], f) || headers[0] != h {
			t.Errorf("%d frames of %d bytes, %+v, %v", n, sizes[0], headers[0], err)
		}
		for i, s := range segments[:5] {
			if got := recv(t, l); !bytes.Equal(got, s) {
				t.Errorf("segment %d: % x…", i, got[:60])
			}
		}
		if n, err := l.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers}); n != 1 || !bytes.Equal(bufs[0][:sizes[0]], segments[5]) || !headers[0].IsZero() {
			t.Errorf("a kept segment: %d frames of %d bytes, %+v, %v", n, sizes[0], headers[0], err)
		}
		write(1)
		unread, err := l.Close()
		if want := len(segments) - 6 + 1; err != nil || unread != want { // of the second, and the third
			t.Errorf("%d unread, %v", unread, err)
		}
	}
}
