// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package switchtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
)

// Lengths of what precedes the data of an ICMP echo.
const (
	ipHeader   = 20
	icmpHeader = 8
	echoHeader = frame.HeaderLen + ipHeader + icmpHeader
)

// mtu returns the largest MTU whose frames the switch takes, leaving room for a tag as Ethernet does.
func (s *suite) mtu() int { return s.MaxFrame - frame.HeaderLen - frame.TagLen }

// echoSizes returns lengths of ICMP data up to what fits the MTU.
func (s *suite) echoSizes() []int {
	return []int{0, 1, 17, 18, 56, 1000, 1472, s.mtu() - ipHeader - icmpHeader}
}

var ourIP = netip.MustParseAddr("10.99.200.1")

// testKernel exchanges pings with the TCP/IP stack of the kernel, in both directions.
func (s *suite) testKernel(t *testing.T) {
	t.Run("Answers", s.testKernelAnswers)
	t.Run("Asks", s.testKernelAsks)
}

// kernelIP is the kernel's address.
var kernelIP = netip.MustParseAddr("10.99.200.2")

// kernel connects a kernel to the network.
func (n *network) kernel() *testpeers.KernelTap {
	n.Helper()
	return testpeers.StartKernelTap(n, n.Dir(), testpeers.KernelTapConfig{MTU: n.mtu(), Addrs: []netip.Prefix{netip.PrefixFrom(kernelIP, 16)}})
}

// testKernelAnswers pings the kernel.
func (s *suite) testKernelAnswers(t *testing.T) {
	n := s.network(t, Config{})
	kernel := n.kernel()
	c := n.station(1)
	question := testframe.ARP{SenderMAC: c.mac, SenderIP: ourIP, TargetIP: kernelIP}
	n.write(c.Conn, question.Frame())
	n.expect("asking for "+kernelIP.String()+", we", c.Conn, question.Answer(kernel.MAC()).Frame())
	for i, size := range s.echoSizes() {
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(i + 3*j + j>>8)
		}
		n.ping(c, testframe.Echo{Src: c.mac, Dst: kernel.MAC(), From: ourIP, To: kernelIP, ID: 0x5644, Seq: uint16(i), Data: data})
	}
}

// ping sends a request to the kernel and checks the reply byte for byte.
func (n *network) ping(c *station, request testframe.Echo) {
	n.Helper()
	n.write(c.Conn, request.Frame())
	want := request.Answer()
	for {
		f := n.read(c.Conn)
		// The kernel may ask for our address at any time, and does before its first answer.
		if a, err := testframe.ParseARP(f); err == nil && !a.Reply && a.TargetIP == ourIP {
			n.write(c.Conn, a.Answer(c.mac).Frame())
			continue
		}
		got, err := testframe.ParseEcho(f)
		if err != nil {
			n.Fatalf("%v: % x", err, short(f))
		}
		if len(f) != echoHeader+len(request.Data) || fmt.Sprint(got) != fmt.Sprint(want) {
			n.Fatalf("answered with %d bytes, %+v, want %+v", len(f), got, want)
		}
		// The kernel chooses the identification, the flags beside it, and so the checksum of the IP header.
		wantFrame := want.Frame()
		copy(wantFrame[18:20], f[18:20])
		copy(wantFrame[20:22], f[20:22])
		copy(wantFrame[24:26], f[24:26])
		n.same("the kernel's answer: we", f, wantFrame)
		return
	}
}

// testKernelAsks answers the pings of the kernel.
func (s *suite) testKernelAsks(t *testing.T) {
	n := s.network(t, Config{})
	kernel := n.kernel()
	c := n.station(1)
	var pinger *net.IPConn
	err := kernel.Do(func() (err error) {
		pinger, err = net.DialIP("ip4:icmp", &net.IPAddr{IP: kernelIP.AsSlice()}, &net.IPAddr{IP: ourIP.AsSlice()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer pinger.Close()
	if err := pinger.SetDeadline(time.Now().Add(limit)); err != nil {
		t.Fatal(err)
	}
	responder := make(chan error, 1)
	go func() { responder <- respond(c.Conn, c.mac, ourIP) }()
	buf := make([]byte, 10_000)
	for i, size := range s.echoSizes() {
		// The messages come from the frames that hold them; the kernel supplies the headers.
		e := testframe.Echo{From: kernelIP, To: ourIP, ID: 0x4b45, Seq: uint16(i), Data: bytes.Repeat([]byte{byte(i), 0x5a}, size)[:size]}
		if _, err := pinger.Write(e.Frame()[frame.HeaderLen+ipHeader:]); err != nil {
			t.Fatal(err)
		}
		k, _, err := pinger.ReadFromIP(buf) // unlike Read, without the IP header
		if err != nil {
			t.Fatalf("an echo of %d bytes: %v", size, err)
		}
		n.same("the kernel", buf[:k], e.Answer().Frame()[frame.HeaderLen+ipHeader:])
	}
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if err := <-responder; !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Error(err)
	}
}

// respond answers ARP and pings until an error.
func respond(c *vde.Conn, mac frame.MAC, ip netip.Addr) error {
	buf := make([]byte, frame.DefaultMaxSize)
	for {
		k, err := c.Read(buf)
		if err != nil {
			return err
		}
		if a, err := testframe.ParseARP(buf[:k]); err == nil && !a.Reply && a.TargetIP == ip {
			_, err = c.Write(a.Answer(mac).Frame())
			if err != nil {
				return err
			}
		}
		if e, err := testframe.ParseEcho(buf[:k]); err == nil && !e.Reply && e.To == ip && e.Dst == mac {
			_, err = c.Write(e.Answer().Frame())
			if err != nil {
				return err
			}
		} else if err != nil && !errors.Is(err, testframe.ErrOtherProtocol) {
			return err
		}
	}
}
