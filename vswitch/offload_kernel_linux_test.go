// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vswitch"
)

// tcpPeer is just enough of TCP to send to a kernel that loses nothing.
type tcpPeer struct {
	t        *testing.T
	port     *packetPort
	mac      frame.MAC // the kernel's
	v6       bool
	seq, ack uint32
	window   int
}

// send sends an unfinished segment.
func (p *tcpPeer) send(flags byte, data []byte) {
	h := segment(p.mac, macA, p.v6, p.seq, data, 1400)
	tcp, _, _ := tcpOf(h.data)
	binary.BigEndian.PutUint32(h.data[tcp+8:], p.ack)
	h.data[tcp+13] = flags
	p.port.send(h)
	p.seq += uint32(len(data))
}

// await waits until the kernel has all that was sent.
func (p *tcpPeer) await() {
	p.t.Helper()
	for {
		h := p.port.next()
		if len(h.data) < 54 || h.data[ipAt(h.data)-2] == 0x08 && h.data[ipAt(h.data)-1] == 0x06 {
			continue
		}
		if proto := h.data[ipAt(h.data)+map[bool]int{false: 9, true: 6}[p.v6]]; proto != 6 {
			continue // multicast reports
		}
		tcp, _, _ := tcpOf(h.data)
		if _, _, err := payloadOf(h); err != nil {
			p.t.Fatal(err)
		}
		if h.data[tcp+13]&0x04 != 0 {
			p.t.Fatal("the kernel resets the connection")
		}
		if h.data[tcp+13]&0x02 != 0 {
			p.ack = binary.BigEndian.Uint32(h.data[tcp+4:]) + 1
		}
		p.window = int(binary.BigEndian.Uint16(h.data[tcp+14:]))
		if binary.BigEndian.Uint32(h.data[tcp+8:]) == p.seq && p.window > 0 {
			return
		}
	}
}

// The kernel takes what superframes are cut into for the TCP that it is.
func TestOffloadToKernel(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[v6], func(t *testing.T) {
			sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, DefaultPort: vswitch.PortConfig{Wait: vswitch.Forever}})
			dir := serve(t, sw)
			defer sw.Close()
			local, remote := netip.MustParsePrefix("10.0.0.2/24"), "10.0.0.1"
			if v6 {
				local, remote = netip.MustParsePrefix("fd00::2/64"), "fd00::1"
			}
			s := testpeers.StartKernelTap(t, dir, testpeers.KernelTapConfig{Addrs: []netip.Prefix{local}})
			if _, err := s.Exec(t.Context(), "ip", "neigh", "add", remote, "lladdr", macA.String(), "dev", s.Name(), "nud", "permanent"); err != nil {
				t.Fatal(err)
			}
			var l net.Listener
			if err := s.Do(func() (err error) {
				l, err = net.Listen("tcp", netip.AddrPortFrom(local.Addr(), 80).String())
				return err
			}); err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			const total = 400_000
			sum := make(chan [32]byte, 1)
			go func() {
				defer close(sum)
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				h := sha256.New()
				if n, err := io.CopyN(h, c, total); err != nil {
					t.Errorf("%d bytes received, %v", n, err)
				}
				sum <- [32]byte(h.Sum(nil))
			}()
			p := &tcpPeer{t: t, port: packetsOn(t, sw, attach(t, sw, 100)), mac: s.MAC(), v6: v6}
			p.send(0x02, nil)
			p.seq++
			p.await()
			p.send(0x10, nil)
			data := payload(total)
			for rest := data; len(rest) > 0; {
				n := min(len(rest), p.window, 60_000)
				p.send(0x18, rest[:n])
				rest = rest[n:]
				p.await()
			}
			if got := <-sum; got != sha256.Sum256(data) {
				t.Error("other bytes arrived")
			}
			in := counts(t, sw, 100).In
			if in.GSOFrames < 6 || in.Segments < total/1400 {
				t.Errorf("%+v", in)
			}
		})
	}
}
