// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// A socketLink is one end of a pair of datagram sockets, each datagram of which
// begins with a virtio-net header.
type socketLink struct{ *sockio.Socket }

func (socketLink) Done() <-chan struct{} { return nil }
func (socketLink) Err() error            { return nil }

// agreedPair returns two connections whose links take GSO frames.
func agreedPair(t testing.TB, opts ...vde.Option) (a, b *vde.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]*vde.Conn, 2)
	for i, fd := range fds {
		s, err := sockio.New(fd, "pair", true)
		if err != nil {
			t.Fatal(err)
		}
		if conns[i], err = vde.NewConn(t.Context(), socketLink{s}, opts...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conns[i].Close() })
	}
	return conns[0], conns[1]
}

// pairs are the kinds of pairs of connections.
var pairs = map[string]func(t testing.TB, opts ...vde.Option) (a, b *vde.Conn){
	"plain": pair, "agreed": agreedPair, "switch": switchPair,
}

// switchPair returns two ports of a switch in this process.
func switchPair(t testing.TB, opts ...vde.Option) (a, b *vde.Conn) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{MaxFrameSize: netstack.MaxMTU + frame.HeaderLen})
	t.Cleanup(func() { sw.Close() })
	conns := make([]*vde.Conn, 2)
	for i := range conns {
		c, err := sw.Attach(opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		conns[i] = c
	}
	return conns[0], conns[1]
}

// transfer sends size bytes over TCP and compares what arrives.
func transfer(t *testing.T, from, to *netstack.Host, addr string, size int64) {
	t.Helper()
	l, err := to.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sum := make(chan string, 1)
	go func() {
		defer close(sum)
		c, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		h := sha256.New()
		if _, err := io.Copy(h, c); err != nil {
			t.Error(err)
		}
		sum <- hex.EncodeToString(h.Sum(nil))
	}()
	c, err := from.DialContext(bound(t), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.Copy(c, payload(size)); err != nil {
		t.Fatal(err)
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, want := <-sum, payloadSum(size); got != want {
		t.Errorf("the received data has the sum %s, want %s", got, want)
	}
}

// TestOffloadHosts transfers data between hosts over each kind of pair, with each
// kind of endpoint, and checks whether GSO frames were used.
func TestOffloadHosts(t *testing.T) {
	for kind, pair := range pairs {
		for _, processors := range []int{1, 2} {
			for _, mtu := range []int{1500, 9000, 65522} {
				for _, v := range []int{4, 6} {
					t.Run(fmt.Sprintf("%s/processors=%d/mtu=%d/v%d", kind, processors, mtu, v), func(t *testing.T) {
						t.Parallel()
						ca, cb := pair(t, vde.WithMaxFrameSize(mtu+14))
						testOffloadHosts(t, ca, cb, netstack.HostConfig{MTU: mtu, Processors: processors}, v == 6)
					})
				}
			}
		}
	}
}

func testOffloadHosts(t *testing.T, ca, cb *vde.Conn, cfg netstack.HostConfig, v6 bool) {
	size := scaled(16<<20, 2<<20)
	cfg.Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64")}
	a := host(t, ca, cfg)
	cfg.Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd00::2/64")}
	b := host(t, cb, cfg)
	addr := "10.0.0.2:80"
	if v6 {
		addr = "[fd00::2]:80"
	}
	before := a.Stats()
	transfer(t, a, b, addr, size)
	sa, sb := a.Stats(), b.Stats()
	frames := sa.Endpoint.Conn.TxFrames - before.Endpoint.Conn.TxFrames
	long := uint64(size)/frames > uint64(cfg.MTU)
	if want := (ca.Caps().Offload != 0) && cfg.MTU < 65522; long != want {
		t.Errorf("%d bytes were sent in %d frames; GSO frames: %v, want %v", size, frames, long, want)
	}
	if s := sb.Endpoint.Conn; s.RxRunts+s.RxTruncated != 0 {
		t.Errorf("%+v", s)
	}
	if dropped(sa.Endpoint)+dropped(sb.Endpoint) != 0 {
		t.Errorf("%+v\n%+v", sa, sb)
	}
	for _, h := range []*netstack.Host{a, b} {
		s := h.Stack().Stats()
		if n := s.TCP.ChecksumErrors.Value() + s.TCP.InvalidSegmentsReceived.Value() + s.IP.MalformedPacketsReceived.Value(); n != 0 {
			t.Errorf("%v: %d invalid packets", h.MAC(), n)
		}
	}
	exchangeDatagrams(t, a, b, addr)
}

// exchangeDatagrams sends datagrams there and back, a fragmented one too.
func exchangeDatagrams(t *testing.T, from, to *netstack.Host, addr string) {
	t.Helper()
	s, err := to.ListenPacket("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := from.DialContext(bound(t), "udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	deadline, _ := bound(t).Deadline()
	s.SetDeadline(deadline)
	c.SetDeadline(deadline)
	buf := make([]byte, 1<<16)
	for _, n := range []int{1, 1000, 20_000} {
		msg, _ := io.ReadAll(payload(int64(n)))
		if _, err := c.Write(msg); err != nil {
			t.Fatal(err)
		}
		k, from, err := s.ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:k], msg) {
			t.Fatalf("%d bytes, %v", k, err)
		}
		if _, err := s.WriteTo(buf[:k], from); err != nil {
			t.Fatal(err)
		}
		if k, err := c.Read(buf); err != nil || !bytes.Equal(buf[:k], msg) {
			t.Fatalf("%d bytes back, %v", k, err)
		}
	}
}

// TestOffloadVerifies checks that the stack skips verifying a checksum only if the
// virtio-net header of the frame allows it: it sends datagrams with a right, a wrong and a
// partial checksum behind different headers.
func TestOffloadVerifies(t *testing.T) {
	for _, processors := range []int{1, 2} {
		t.Run(fmt.Sprintf("processors=%d", processors), func(t *testing.T) {
			ca, cb := agreedPair(t)
			h := host(t, cb, netstack.HostConfig{Processors: processors, Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
			s, err := h.ListenPacket("udp", "10.0.0.2:53")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			raw, err := ca.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			none := frame.VNetHeader{}
			needs := frame.VNetHeader{Flags: frame.VNetNeedsChecksum, CsumStart: 34, CsumOffset: 6}
			partial := func(d []byte) []byte { return sumTo(d, partialSum(d)) }
			for i, test := range []struct {
				name    string
				o       frame.VNetHeader
				change  func([]byte) []byte
				arrives bool
			}{
				{"right", none, nil, true},
				{"partial, and so declared", needs, partial, true},
				{"wrong", none, partial, false},
				{"wrong, after a partial one", none, partial, false},
				{"partial, with a wrong IPv4 header", needs, func(d []byte) []byte { partial(d)[24] ^= 1; return d }, false},
				{"right again", none, nil, true},
			} {
				d := datagram(h.MAC(), byte(i))
				if test.change != nil {
					d = test.change(d)
				}
				f := make([]byte, frame.VNetHeaderLen)
				test.o.Put(f)
				writeRaw(t, raw, append(f, d...))
				if !test.arrives {
					continue // the datagram that arrives next has another number
				}
				buf := make([]byte, 10)
				deadline, _ := bound(t).Deadline()
				s.SetDeadline(deadline)
				if n, _, err := s.ReadFrom(buf); err != nil || n != 1 || buf[0] != byte(i) {
					t.Fatalf("%s: %v, %v", test.name, buf[:n], err)
				}
			}
		})
	}
}

// datagram returns a UDP datagram with one byte to port 53 of 10.0.0.2.
func datagram(to frame.MAC, b byte) []byte {
	d := frame.AppendHeader(nil, to, frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeIPv4)
	d = append(d, 0x45, 0, 0, 29, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
	ip := header.IPv4(d[14:])
	ip.SetChecksum(^ip.CalculateChecksum())
	d = append(d, 0x30, 0x39, 0, 53, 0, 9, 0, 0, b)
	return sumTo(d, ^checksum.Checksum(d[34:], partialSum(d)))
}

// partialSum returns the sum of the pseudo-header of d.
func partialSum(d []byte) uint16 {
	ip := header.IPv4(d[14:])
	return header.PseudoHeaderChecksum(header.UDPProtocolNumber, ip.SourceAddress(), ip.DestinationAddress(), uint16(len(d)-34))
}

// sumTo sets the checksum of d to sum.
func sumTo(d []byte, sum uint16) []byte {
	binary.BigEndian.PutUint16(d[40:], sum)
	return d
}

// writeRaw sends d as one datagram.
func writeRaw(t testing.TB, raw syscall.RawConn, d []byte) {
	t.Helper()
	var werr error
	if err := raw.Write(func(fd uintptr) bool {
		werr = unix.Send(int(fd), d, 0)
		return werr != unix.EAGAIN
	}); err != nil || werr != nil {
		t.Fatal(err, werr)
	}
}
