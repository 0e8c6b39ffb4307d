// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/link"
	"github.com/go-vde/sdk/internal/sockio"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/pool"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// An agreedLink is one end of a datagram pair whose two sides take frames with
// offload headers as they are.
type agreedLink struct{ *sockio.Socket }

func (l agreedLink) EnableOffload()      {}
func (l agreedLink) OffloadAgreed() bool { return true }
func (l agreedLink) Gone() bool          { return false }

func (l agreedLink) Recv(bufs [][]byte, sizes []int) (int, error) {
	return l.Socket.Recv(bufs, sizes, true)
}

func (l agreedLink) RecvBuffers(*pool.Pool, []*pool.Buffer, []int) (int, error) {
	return 0, errors.ErrUnsupported // an endpoint does not use Frames
}

func (l agreedLink) SyscallConn() (syscall.RawConn, error) { return l.RawConn(), nil }

// agreedPair returns two connections whose other sides agreed.
func agreedPair(t testing.TB, opts ...vde.Option) (a, b *vde.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	conns := make([]*vde.Conn, 2)
	for i, fd := range fds {
		attached, err := link.Attach("cable", opts, func(link.Settings) (link.Link, error) {
			s, err := sockio.New(fd, "cable")
			return agreedLink{s}, err
		})
		if err != nil {
			t.Fatal(err)
		}
		conns[i] = attached.Conn.(*vde.Conn)
		t.Cleanup(func() { conns[i].Close() })
	}
	return conns[0], conns[1]
}

// cables are the kinds of cable.
var cables = map[string]func(t testing.TB, opts ...vde.Option) (a, b *vde.Conn){
	"plain": pair, "agreed": agreedPair, "switch": switchPair,
}

// switchPair returns two ports of a switch in this process.
func switchPair(t testing.TB, opts ...vde.Option) (a, b *vde.Conn) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{MaxFrame: netstack.MaxMTU + frame.HeaderLen})
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

// transfer sends size bytes over TCP and compares what comes.
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
		t.Errorf("what came has the sum %s, want %s", got, want)
	}
}

// TestOffloadHosts lets hosts talk over each kind of cable, with each kind of
// endpoint, and looks at the length of what goes over it.
func TestOffloadHosts(t *testing.T) {
	const size = 16 << 20
	for cable, pair := range cables {
		for _, processors := range []int{1, 2} {
			for _, mtu := range []int{1500, 9000, 65522} {
				for _, v := range []int{4, 6} {
					t.Run(fmt.Sprintf("%s/processors=%d/mtu=%d/v%d", cable, processors, mtu, v), func(t *testing.T) {
						ca, cb := pair(t, vde.WithMaxFrameSize(mtu+14))
						cfg := netstack.HostConfig{MTU: mtu, Processors: processors}
						cfg.Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64")}
						a := host(t, ca, cfg)
						cfg.Addrs = []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("fd00::2/64")}
						b := host(t, cb, cfg)
						addr := "10.0.0.2:80"
						if v == 6 {
							addr = "[fd00::2]:80"
						}
						before := a.Stats()
						transfer(t, a, b, addr, size)
						sa, sb := a.Stats(), b.Stats()
						frames := sa.Endpoint.Conn.TxFrames - before.Endpoint.Conn.TxFrames
						long := size/frames > uint64(mtu)
						if want := ca.OffloadAgreed() && mtu < 65522; long != want {
							t.Errorf("%d bytes went in %d frames; long segments: %v, want %v", int64(size), frames, long, want)
						}
						if s := sb.Endpoint.Conn; s.RxRunts+s.RxTruncated != 0 {
							t.Errorf("%+v", s)
						}
						if sa.Endpoint.TxDropped()+sb.Endpoint.TxDropped() != 0 {
							t.Errorf("%+v\n%+v", sa, sb)
						}
						for _, h := range []*netstack.Host{a, b} {
							s := h.Stack().Stats()
							if n := s.TCP.ChecksumErrors.Value() + s.TCP.InvalidSegmentsReceived.Value() + s.IP.MalformedPacketsReceived.Value(); n != 0 {
								t.Errorf("%v: %d packets were wrong", h.MAC(), n)
							}
						}
						udp(t, a, b, addr)
					})
				}
			}
		}
	}
}

// udp sends a datagram there and back, a fragmented one too.
func udp(t *testing.T, from, to *netstack.Host, addr string) {
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

// TestOffloadVerifies checks that a frame is trusted only if its header says so:
// of datagrams with and without a right checksum, behind headers that vouch for
// it and that do not, the right ones arrive.
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
				{"left out, and said so", needs, partial, true},
				{"wrong", none, partial, false},
				{"wrong, after one that was trusted", none, partial, false},
				{"left out, with a wrong IPv4 header", needs, func(d []byte) []byte { partial(d)[24] ^= 1; return d }, false},
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
					continue // what arrives next has another number
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

// sumTo sets the checksum of d.
func sumTo(d []byte, sum uint16) []byte {
	binary.BigEndian.PutUint16(d[40:], sum)
	return d
}

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
