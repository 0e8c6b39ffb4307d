// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun_test

import (
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/wgtun"
)

// TestQueueFull sends more packets into the tunnel than its queue has room for, while
// nobody reads. All are counted, and the device goes on.
func TestQueueFull(t *testing.T) {
	t.Parallel()
	const queue, more = 100, 300
	d, from := lone(t, wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2), Queue: queue})
	p := packet{addr4(1, 9), addr4(2, 9), 64, udp, datagram(100), false}.bytes()
	for range queue + more {
		from.send(p)
	}
	// What comes from the tunnel for the tunnel is dropped too. The wait ends when the
	// stranger's packets have been dropped.
	written, ctx := uint64(0), bound(t)
	for {
		s := d.Stats()
		if ctx.Err() != nil {
			t.Fatalf("%+v", s)
		}
		if s.DroppedFull >= more+written {
			if s.Queued != queue || s.Forwarded != queue+s.DroppedFull {
				t.Errorf("%+v", s)
			}
			break
		}
		if s.Queued == queue {
			if _, err := d.Write([][]byte{p}, 0); err != nil {
				t.Fatal(err)
			}
			written++
		}
	}
	bufs, sizes := buffers(d.BatchSize())
	for read := 0; read < queue; {
		n, err := d.Read(bufs, sizes, headroom)
		if err != nil {
			t.Fatal(err)
		}
		read += n
	}
	from.flush()
	s := d.Stats()
	if s.Queued != 0 || s.Read+s.DroppedFull != s.Forwarded || s.Read != queue+1 {
		t.Errorf("%+v", s)
	}
}

// TestShortBuffer reads a packet into a buffer that is too short for it. It is dropped,
// and the next one is read.
func TestShortBuffer(t *testing.T) {
	t.Parallel()
	d, from := lone(t, wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
	from.send(packet{addr4(1, 9), addr4(2, 9), 64, udp, datagram(1000), false}.bytes())
	want := packet{addr4(1, 9), addr4(2, 9), 63, udp, datagram(80), false}
	sent := want
	sent.ttl++
	from.send(sent.bytes())
	buf, sizes := make([]byte, headroom+100), make([]int, 1)
	n, err := d.Read([][]byte{buf}, sizes, headroom)
	if n != 1 || err != nil || string(buf[headroom:headroom+sizes[0]]) != string(want.bytes()) {
		t.Errorf("Read returned %d, %v and % x", n, err, buf[headroom:])
	}
	if s := d.Stats(); s.DroppedLong != 1 || s.Read != 1 {
		t.Errorf("%+v", s)
	}
}

// TestUnresolved writes packets for a host that does not answer. Each is dropped and
// counted, and WireGuard is told.
func TestUnresolved(t *testing.T) {
	t.Parallel()
	const pending, more = 256, 50 // 256 is the bound of gVisor
	d, _ := lone(t, wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
	p := packet{addr4(2, 9), addr4(1, 77), 64, udp, datagram(100), false}.bytes()
	for range pending + more {
		if _, err := d.Write([][]byte{p}, 0); err != nil {
			t.Fatal(err)
		}
	}
	if s := d.Stats(); s.Written != pending+more || s.Forwarded != s.Written {
		t.Errorf("%+v", s)
	}
	bufs, sizes := buffers(1)
	if _, err := d.Read(bufs, sizes, headroom); err != nil {
		t.Fatal(err)
	}
	ip := header.IPv4(bufs[0][headroom:])
	icmp := header.ICMPv4(ip.Payload())
	if icmp.Type() != header.ICMPv4DstUnreachable || icmp.Code() != header.ICMPv4HostUnreachable {
		t.Errorf("ICMP %d, code %d", icmp.Type(), icmp.Code())
	}
	// The stack is dropping the rest meanwhile, and reports not all.
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for ctx := bound(t); ; {
		s := d.Stats()
		if s.Unresolved+s.Unsent == pending+more && s.Unresolved >= pending {
			return // more, if some were written after the first had been dropped
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%+v", s)
		}
	}
}

// TestTooLongReported sends packets that do not fit the tunnel. The sender is told the
// MTU.
func TestTooLongReported(t *testing.T) {
	t.Parallel()
	_, from := lone(t, wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
	from.send(packet{addr4(1, 9), addr4(2, 9), 64, udp, datagram(1440), true}.bytes())
	icmp := header.ICMPv4(header.IPv4(from.receive(frame.EtherTypeIPv4)).Payload())
	if icmp.Type() != header.ICMPv4DstUnreachable || icmp.Code() != header.ICMPv4FragmentationNeeded || icmp.MTU() != wgtun.DefaultMTU {
		t.Errorf("ICMP %d, code %d, MTU %d", icmp.Type(), icmp.Code(), icmp.MTU())
	}
}

// receive returns the payload of the next frame of a type that the device has sent to the
// stranger, and answers its ARP requests for the address 9 of the network meanwhile.
func (s *stranger) receive(kind frame.EtherType) []byte {
	s.t.Helper()
	for {
		buf := make([]byte, frame.DefaultMaxSize)
		n, err := s.conn.Read(buf)
		if err != nil {
			s.t.Fatal(err)
		}
		f, err := frame.Parse(buf[:n])
		if err != nil {
			s.t.Fatal(err)
		}
		if f.EtherType() == frame.EtherTypeARP {
			if a := header.ARP(f.Payload()); a.Op() == header.ARPRequest && string(a.ProtocolAddressTarget()) == string(addr4(1, 9).AsSlice()) {
				s.answer(a)
			}
		}
		if f.EtherType() == kind && f.Dst() == strangerMAC {
			return f.Payload()
		}
	}
}

// answer answers an ARP request.
func (s *stranger) answer(request header.ARP) {
	s.t.Helper()
	f := frame.AppendHeader(nil, s.device.MAC(), strangerMAC, frame.EtherTypeARP)
	reply := header.ARP(make([]byte, header.ARPSize))
	reply.SetIPv4OverEthernet()
	reply.SetOp(header.ARPReply)
	copy(reply.HardwareAddressSender(), strangerMAC[:])
	copy(reply.ProtocolAddressSender(), request.ProtocolAddressTarget())
	copy(reply.HardwareAddressTarget(), request.HardwareAddressSender())
	copy(reply.ProtocolAddressTarget(), request.ProtocolAddressSender())
	if _, err := s.conn.Write(append(f, reply...)); err != nil {
		s.t.Fatal(err)
	}
}

// TestGarbage sends packets with random changes from both sides. The device then still
// forwards.
func TestGarbage(t *testing.T) {
	t.Parallel()
	d, from := lone(t, wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
	drain := make(chan struct{})
	go func() { // what is sent to the stranger
		defer close(drain)
		buf := make([]byte, frame.DefaultMaxSize)
		for {
			if _, err := from.conn.Read(buf); err != nil {
				return
			}
		}
	}()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	count := 10000
	if testing.Short() {
		count = 1500
	}
	for i := range count {
		p := garbage(random)
		if i%2 == 0 {
			from.send(p)
		} else if _, err := d.Write([][]byte{p}, 0); err != nil {
			t.Fatal(err)
		}
		if i%64 == 0 {
			from.flush()
		}
	}
	from.flush()
	if s := d.Stats(); s.Written != uint64(count/2) {
		t.Errorf("%+v", s)
	}
	from.conn.Close()
	<-drain
}

// garbage returns a packet between a host of the Ethernet and one behind the tunnel, with
// some bytes of its headers changed.
func garbage(random *rand.Rand) []byte {
	body := datagram(8 + random.IntN(1400))
	for i := 8; i < len(body); i++ {
		body[i] = byte(random.Uint32())
	}
	protocols := []uint8{0, 1, 6, udp, 43, 44, 50, 58, noNextHeader, destinationOp, uint8(random.Uint32())}
	p := packet{addr4(1, 9), addr4(2, 9), 64, protocols[random.IntN(len(protocols))], body, random.IntN(4) == 0}
	if random.IntN(2) == 0 {
		p.src, p.dst = addr6(1, 9), addr6(2, 9)
	}
	if random.IntN(2) == 0 {
		p.src, p.dst = p.dst, p.src
	}
	b := p.bytes()
	for range random.IntN(4) {
		b[random.IntN(min(len(b), 60))] = byte(random.Uint32())
	}
	if b[0]>>4 == header.IPv4Version && random.IntN(4) > 0 && len(b) >= header.IPv4MinimumSize {
		if h := header.IPv4(b); int(h.HeaderLength()) >= header.IPv4MinimumSize && int(h.HeaderLength()) <= len(b) {
			h.SetChecksum(0)
			h.SetChecksum(^h.CalculateChecksum())
		}
	}
	return b[:len(b)-random.IntN(2)*random.IntN(len(b))]
}

// TestAnnounced starts a device at another Ethernet address. A host that knew the address
// at the first one reaches it at once.
func TestAnnounced(t *testing.T) {
	t.Parallel()
	sw := newSwitch(t)
	conn := attach(t, sw)
	for range 2 {
		d := newDevice(t, sw, wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
		announced := map[frame.EtherType]bool{}
		buf := make([]byte, frame.DefaultMaxSize)
		for len(announced) < 2 {
			n, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			f, err := frame.Parse(buf[:n])
			if err != nil {
				t.Fatal(err)
			}
			if f.Src() == d.MAC() && f.Dst().IsGroup() {
				announced[f.EtherType()] = true
			}
		}
		d.Close()
	}
}

// TestFragmentOfFragment sends the middle fragment of a datagram, which has the identifier
// 0 and is too long for the tunnel. It becomes two that take its place.
func TestFragmentOfFragment(t *testing.T) {
	t.Parallel()
	const at = 2960
	d, from := lone(t, wgtun.Config{Addrs: addrs(1, 1), Routes: networks(2)})
	body, _ := io.ReadAll(payload(1480))
	p := header.IPv4(packet{addr4(1, 9), addr4(2, 9), 64, udp, body, false}.bytes())
	p.SetID(0)
	p.SetFlagsFragmentOffset(header.IPv4FlagMoreFragments, at)
	p.SetChecksum(0)
	p.SetChecksum(^p.CalculateChecksum())
	from.send(p)
	bufs, sizes := buffers(1)
	for received := 0; received < len(body); {
		if _, err := d.Read(bufs, sizes, headroom); err != nil {
			t.Fatal(err)
		}
		h := header.IPv4(bufs[0][headroom : headroom+sizes[0]])
		got := h[header.IPv4MinimumSize:]
		if !h.IsChecksumValid() || h.ID() != 0 || h.TTL() != 63 || !h.More() || int(h.FragmentOffset()) != at+received ||
			len(got) > len(body)-received || string(got) != string(body[received:received+len(got)]) {
			t.Fatalf("after %d bytes: % x", received, []byte(h[:min(len(h), 40)]))
		}
		received += len(got)
	}
	if s := d.Stats(); s.Forwarded != 1 || s.Read != 2 {
		t.Errorf("%+v", s)
	}
}
