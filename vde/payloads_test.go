// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/conntest"
	"github.com/go-vde/sdk/link/linktest"
	"github.com/go-vde/sdk/vde"
)

var (
	ownMAC   = frame.MAC{2, 0, 0, 0, 0, 1}
	otherMAC = frame.MAC{2, 0, 0, 0, 0, 2}
)

// A foreignAddr is the address of another package, such as that of a packet socket.
type foreignAddr string

func (a foreignAddr) Network() string { return "packet" }
func (a foreignAddr) String() string  { return string(a) }

// ethernet returns a frame from otherMAC whose header ends in words and whose payload
// is "text".
func ethernet(dst frame.MAC, words ...uint16) []byte {
	f := append(dst[:], otherMAC[:]...)
	for _, w := range words {
		f = append(f, byte(w>>8), byte(w))
	}
	return append(f, "text"...)
}

// TestPayloadConnReads sends frames of all kinds to a PayloadConn for IPv4, and behind
// those that it is to skip one that it is not.
func TestPayloadConnReads(t *testing.T) {
	c, client := conntest.Join(t)
	p, err := vde.NewPayloadConn(c, frame.EtherTypeIPv4, ownMAC)
	if err != nil {
		t.Fatal(err)
	}
	group := frame.MAC{1, 0, 0x5e, 0, 0, 1}
	skipped := uint64(0)
	for _, test := range []struct {
		name    string
		f       []byte
		want    string
		skipped bool
	}{
		{"for it", ethernet(ownMAC, 0x0800), "text", false},
		{"broadcast", ethernet(frame.Broadcast(), 0x0800), "text", false},
		{"multicast", ethernet(group, 0x0800), "text", false},
		{"priority tag", ethernet(ownMAC, 0x8100, 0xe000, 0x0800), "text", false},
		{"no payload", ethernet(ownMAC, 0x0800)[:frame.HeaderLen], "", false},
		{"for another", ethernet(otherMAC, 0x0800), "", true},
		{"another type", ethernet(ownMAC, 0x0806), "", true},
		{"a length", ethernet(ownMAC, 4), "", true},
		{"a VLAN", ethernet(ownMAC, 0x8100, 7, 0x0800), "", true},
		{"a VLAN behind a priority tag", ethernet(ownMAC, 0x8100, 0, 0x8100, 7, 0x0800), "", true},
	} {
		if err := client.Send(test.f); err != nil {
			t.Fatal(err)
		}
		if test.skipped {
			skipped++
			if err := client.Send(ethernet(ownMAC, 0x0800)); err != nil {
				t.Fatal(err)
			}
			test.want = "text"
		}
		b := make([]byte, 10)
		n, src, err := p.ReadFrom(b)
		if string(b[:n]) != test.want || src != net.Addr(vde.Addr{MAC: otherMAC}) || err != nil {
			t.Errorf("%s: %q from %v, %v; want %q", test.name, b[:n], src, err, test.want)
		}
		if got := p.Skipped(); got != skipped {
			t.Errorf("%s: %d skipped, want %d", test.name, got, skipped)
		}
	}
	if err := client.Send(ethernet(ownMAC, 0x0800)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 3)
	if n, _, err := p.ReadFrom(b); string(b[:n]) != "tex" || !errors.Is(err, io.ErrShortBuffer) {
		t.Errorf("into 3 bytes: %q, %v", b[:n], err)
	}
}

// TestPayloadConnWrites sends to addresses of all kinds.
func TestPayloadConnWrites(t *testing.T) {
	c, client := conntest.Join(t)
	p, err := vde.NewPayloadConn(c, frame.EtherTypeIPv4, otherMAC)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.LocalAddr(); got != net.Addr(vde.Addr{MAC: otherMAC}) {
		t.Errorf("local address %v", got)
	}
	for _, dst := range []net.Addr{vde.Addr{MAC: ownMAC}, foreignAddr("02:00:00:00:00:01"), foreignAddr("02-00-00-00-00-01")} {
		if n, err := p.WriteTo([]byte("text"), dst); n != 4 || err != nil {
			t.Errorf("to %v: %d, %v", dst, n, err)
		}
		if f, err := client.Recv(conntest.Watchdog(t)); err != nil || !bytes.Equal(f, ethernet(ownMAC, 0x0800)) {
			t.Errorf("to %v: the switch received % x, %v", dst, f, err)
		}
	}
	for _, dst := range []net.Addr{nil, foreignAddr(""), foreignAddr("10.0.0.1"), &net.UDPAddr{}} {
		var op *net.OpError
		if n, err := p.WriteTo([]byte("text"), dst); n != 0 || !errors.As(err, &op) || op.Addr != dst {
			t.Errorf("to %v: %d, %v", dst, n, err)
		}
	}
	if n, err := p.WriteTo(make([]byte, c.MaxFrameSize()), vde.Addr{MAC: ownMAC}); n != 0 || !errors.Is(err, vde.ErrFrameSize) {
		t.Errorf("too long: %d, %v", n, err)
	}
}

// TestPayloadConnAllocations checks that WriteTo makes no garbage.
func TestPayloadConnAllocations(t *testing.T) {
	la, lb := linktest.Pipe(1)
	a, err := vde.NewConn(t.Context(), la)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := vde.NewConn(t.Context(), lb)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	p, err := vde.NewPayloadConn(a, frame.EtherTypeIPv4, otherMAC)
	if err != nil {
		t.Fatal(err)
	}
	payload, dst, buf := []byte("text"), net.Addr(vde.Addr{MAC: ownMAC}), make([]byte, 100)
	checkNoAllocations(t, "WriteTo", func() {
		n, err := p.WriteTo(payload, dst)
		mustMove(t, len(payload), n, err)
		n, err = b.Read(buf)
		mustMove(t, frame.HeaderLen+len(payload), n, err)
	})
}

// TestPayloadConnEnds checks deadlines and Close, and what is no type or station.
func TestPayloadConnEnds(t *testing.T) {
	c, _ := conntest.Join(t)
	for _, test := range []struct {
		kind frame.EtherType
		mac  frame.MAC
	}{{0x8100, ownMAC}, {frame.EtherTypeIPv4, frame.Broadcast()}, {frame.EtherTypeIPv4, frame.MAC{}}} {
		if _, err := vde.NewPayloadConn(c, test.kind, test.mac); err == nil {
			t.Errorf("%v at %v is accepted", test.kind, test.mac)
		}
	}
	p, err := vde.NewPayloadConn(c, frame.EtherTypeIPv4, ownMAC)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetReadDeadline(time.Now()); err != nil {
		t.Error(err)
	}
	if _, _, err := p.ReadFrom(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	if err := errors.Join(p.SetDeadline(time.Time{}), p.SetWriteDeadline(time.Time{}), p.Close()); err != nil {
		t.Error(err)
	}
	if _, _, err := p.ReadFrom(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadFrom after Close: %v", err)
	}
	if _, err := p.WriteTo([]byte("text"), vde.Addr{MAC: ownMAC}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteTo after Close: %v", err)
	}
}

// TestWriteToForeignAddr gives WriteTo the address of another package.
func TestWriteToForeignAddr(t *testing.T) {
	c, client := conntest.Join(t)
	f := ethernet(ownMAC, 0x0806)
	if n, err := c.WriteTo(f, foreignAddr("02:00:00:00:00:01")); n != len(f) || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if got, err := client.Recv(conntest.Watchdog(t)); err != nil || !bytes.Equal(got, f) {
		t.Errorf("the switch received % x, %v", got, err)
	}
	for _, dst := range []net.Addr{foreignAddr("02:00:00:00:00:02"), foreignAddr("x"), &net.UDPAddr{}} {
		if n, err := c.WriteTo(f, dst); n != 0 || err == nil {
			t.Errorf("to %v: %d, %v", dst, n, err)
		}
	}
	if s := c.Stats(); s.TxInvalid != 3 || s.TxFrames != 1 {
		t.Errorf("counted %+v", s)
	}
}
