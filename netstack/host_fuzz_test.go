// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A hostileSender sends arbitrary frames to a host.
type hostileSender struct {
	sw   *vswitch.Switch
	host *netstack.Host
	c    *vde.Conn
	buf  []byte
}

// newHostileSender returns a sender for a host at 10.0.0.1/8 with an open TCP port and
// an open UDP port.
func newHostileSender(tb testing.TB) *hostileSender {
	sw := vswitch.New(vswitch.Config{})
	tb.Cleanup(func() { sw.Close() })
	h := host(tb, attach(tb, sw), netstack.HostConfig{Addrs: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.1/8"), netip.MustParsePrefix("fd00::1/64"),
	}})
	l, err := h.Listen("tcp", ":80")
	if err != nil {
		tb.Fatal(err)
	}
	p, err := h.ListenPacket("udp", ":53")
	if err != nil {
		tb.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	go func() {
		b := make([]byte, 2000)
		for {
			if _, _, err := p.ReadFrom(b); err != nil {
				return
			}
		}
	}()
	return &hostileSender{sw: sw, host: h, c: attach(tb, sw), buf: make([]byte, frame.DefaultMaxSize)}
}

// send sends a frame to the host, or to the broadcast address if the first bit of b is
// set. The rest of b is the frame from its EtherType on.
func (s *hostileSender) send(tb testing.TB, b []byte) {
	if len(b) < 1 {
		return
	}
	dst := s.host.MAC()
	if b[0]&1 != 0 {
		dst = frame.Broadcast()
	}
	f := append(append(dst[:], 2, 0, 0, 0, 1, 1), b[1:]...)
	if len(f) < frame.HeaderLen || len(f) > 1514 {
		return
	}
	if _, err := frame.Parse(f); err != nil {
		return // the switch drops such frames
	}
	if _, err := s.c.Write(f); err != nil {
		tb.Fatal(err)
	}
}

// checkAlive checks that the host answers a ping. The ping comes from a random
// address, so that ARP entries of earlier frames have no effect on it.
func (s *hostileSender) checkAlive(tb testing.TB) {
	mac, ip := frame.MAC{2, 0, 0, 0, 1, 2}, netip.AddrFrom4([4]byte{10, 128 | byte(rand.Uint32()), byte(rand.Uint32()), byte(rand.Uint32())})
	host := netip.MustParseAddr("10.0.0.1")
	question := testframe.Echo{Src: mac, Dst: s.host.MAC(), From: ip, To: host, ID: uint16(rand.Uint32()), Seq: uint16(rand.Uint32()), Data: []byte("still there?")}
	if _, err := s.c.Write(question.Frame()); err != nil {
		tb.Fatal(err)
	}
	s.c.SetReadDeadline(time.Now().Add(watchdog))
	for {
		n, err := s.c.Read(s.buf)
		if err != nil {
			tb.Fatalf("the host does not answer: %v", err)
		}
		f := s.buf[:n]
		if a, err := testframe.ParseARP(f); err == nil && !a.Reply && a.TargetIP == ip {
			if _, err := s.c.Write(a.Answer(mac).Frame()); err != nil {
				tb.Fatal(err)
			}
			continue
		}
		if e, err := testframe.ParseEcho(f); err == nil && e.Reply && e.ID == question.ID && e.Seq == question.Seq && string(e.Data) == "still there?" {
			break
		}
	}
	// The counters are not read at one moment: the last frames may still be in
	// delivery.
	st := s.host.Stats().Endpoint
	if st.RxDelivered+st.RxFiltered > st.Conn.RxFrames || st.Conn.RxFrames-st.RxDelivered-st.RxFiltered > 64 {
		tb.Errorf("%+v", st)
	}
}

// seeds returns arguments of send with packets that a host has to process.
func seeds() [][]byte {
	end := func(f []byte) []byte { return append([]byte{0}, f[12:]...) }
	me, host := netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.1")
	tcp := make([]byte, 40)
	tcp[0], tcp[8], tcp[9] = 0x45, 64, 6
	binary.BigEndian.PutUint16(tcp[2:], 40)
	copy(tcp[12:], []byte{10, 0, 0, 9, 10, 0, 0, 1})
	header.IPv4(tcp).SetChecksum(^header.IPv4(tcp).CalculateChecksum())
	binary.BigEndian.PutUint16(tcp[22:], 80)
	tcp[32], tcp[33] = 0x50, byte(header.TCPFlagSyn)
	ns := make([]byte, 64)
	ns[0], ns[5], ns[6], ns[7] = 0x60, 24, 58, 255
	copy(ns[8:], []byte{0xfd, 15: 9})
	copy(ns[24:], []byte{0xfd, 15: 1})
	ns[40] = 135
	copy(ns[48:], []byte{0xfd, 15: 1})
	return [][]byte{
		end(testframe.ARPRequest([6]byte{2, 0, 0, 0, 1, 1}, me, host)),
		end(testframe.ARP{Reply: true, SenderMAC: [6]byte{2, 0, 0, 0, 1, 1}, SenderIP: me, TargetIP: host}.Frame()),
		end(testframe.Echo{From: me, To: host, Data: []byte("x")}.Frame()),
		append([]byte{0, 8, 0}, tcp...),
		append([]byte{1, 0x86, 0xdd}, ns...),
		{0, 8, 0, 0x45, 0, 0, 20, 0, 0, 0x20, 0, 64, 17}, // truncated, a fragment
		{0, 8, 6, 0, 1, 8, 0, 6, 4},
		{1, 0x81, 0, 0, 1, 8, 0},
	}
}

// FuzzHost sends three arbitrary frames to a host, and checks that it still answers.
func FuzzHost(f *testing.F) {
	s := newHostileSender(f)
	list := seeds()
	for i := range list {
		f.Add(list[i], list[(i+1)%len(list)], list[(i+3)%len(list)])
	}
	f.Fuzz(func(t *testing.T, a, b, c []byte) {
		for _, end := range [][]byte{a, b, c} {
			s.send(t, end)
		}
		s.checkAlive(t)
	})
}

// TestGarbage floods a host with invalid frames during a transfer between that host
// and another.
func TestGarbage(t *testing.T) {
	t.Parallel()
	s := newHostileSender(t)
	other := host(t, attach(t, s.sw), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/8")}})
	transfer := startStream(t, s.host, other)
	r := rand.New(rand.NewPCG(1, 2))
	list := seeds()
	for i := range scaled(20_000, 2_000) {
		end := append([]byte(nil), list[r.IntN(len(list))]...)
		if at := r.IntN(len(end)); at > 30 || at < 12 { // not in addresses, which a host may believe
			end[at] = byte(r.Uint32())
		}
		s.send(t, append(end, make([]byte, r.IntN(100))...))
		if i%1000 == 0 {
			transfer.progress(1 << 20)
		}
	}
	transfer.finish()
	s.checkAlive(t)
}

// TestRuntsAndGiants sends frames that are too short or too long to a host. The
// connection counts and drops them.
func TestRuntsAndGiants(t *testing.T) {
	t.Parallel()
	sw := testutil.NewFakeSwitch(t)
	h := host(t, open(t, sw.VNL()), netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/8")}})
	client, err := sw.Next(bound(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{nil, {1}, make([]byte, 13), make([]byte, 9500), make([]byte, 20000)} {
		if err := client.Send(b); err != nil {
			t.Fatal(err)
		}
	}
	question := testframe.ARP{SenderMAC: [6]byte{2, 0, 0, 0, 1, 2}, SenderIP: netip.MustParseAddr("10.0.0.2"), TargetIP: netip.MustParseAddr("10.0.0.1")}
	if err := client.Send(question.Frame()); err != nil {
		t.Fatal(err)
	}
	for {
		f, err := client.Recv(bound(t))
		if err != nil {
			t.Fatal(err)
		}
		if a, err := testframe.ParseARP(f); err == nil && a.Reply && a.TargetIP == question.SenderIP {
			break
		}
	}
	st := h.Stats().Endpoint
	if c := st.Conn; c.RxEmpty != 1 || c.RxRunts != 2 || c.RxTruncated != 2 || c.RxFrames != 1 {
		t.Errorf("%+v", c)
	}
}
