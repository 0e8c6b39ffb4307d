// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// kernelListen returns a listener of the kernel's stack.
func kernelListen(t *testing.T, s *testpeers.KernelTap, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	err := s.Do(func() (err error) {
		l, err = net.Listen("tcp", addr)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// kernelPing sends an echo request with data from the kernel's stack and waits
// for the reply.
func kernelPing(t *testing.T, s *testpeers.KernelTap, to netip.Addr, data []byte) error {
	network := "ip4:icmp"
	request := make([]byte, header.ICMPv4MinimumSize, header.ICMPv4MinimumSize+len(data))
	reply := byte(header.ICMPv4EchoReply)
	if to.Is4() {
		h := header.ICMPv4(request)
		h.SetType(header.ICMPv4Echo)
		h.SetIdent(77)
		request = append(request, data...)
		header.ICMPv4(request).SetChecksum(^checksum.Checksum(request, 0))
	} else {
		network = "ip6:ipv6-icmp" // the kernel computes the checksum
		reply = byte(header.ICMPv6EchoReply)
		h := header.ICMPv6(request)
		h.SetType(header.ICMPv6EchoRequest)
		h.SetIdent(77)
		request = append(request, data...)
	}
	var c net.PacketConn
	err := s.Do(func() (err error) {
		c, err = net.ListenPacket(network, "")
		return err
	})
	if err != nil {
		return err
	}
	defer c.Close()
	deadline, _ := bound(t).Deadline()
	c.SetDeadline(deadline)
	if _, err := c.WriteTo(request, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	for buf := make([]byte, 65536); ; {
		n, _, err := c.ReadFrom(buf)
		if err != nil {
			return err
		}
		if n >= header.ICMPv4MinimumSize && buf[0] == reply && bytes.Equal(buf[header.ICMPv4MinimumSize:n], data) {
			return nil
		}
	}
}

// TestKernel connects a Host to the kernel's own TCP/IP stack through vde_switch.
func TestKernel(t *testing.T) {
	testpeers.Need(t, "vde_switch", "vde_plug", "ip", "CAP_NET_ADMIN", "/dev/net/tun")
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	testKernel(t, sw.VNL(), 1500)
}

// listeningSwitch starts a switch of this process that others can join, and returns its
// locator.
func listeningSwitch(t *testing.T) (vnl string) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{})
	t.Cleanup(func() { sw.Close() })
	dir := filepath.Join(testutil.ShortDir(t), "s")
	l, err := sw.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return "vde://" + dir
}

// TestKernelVSwitch is TestKernel through a vswitch, and with jumbo frames too.
func TestKernelVSwitch(t *testing.T) {
	testpeers.Need(t, "vde_plug", "ip", "CAP_NET_ADMIN", "/dev/net/tun")
	for _, mtu := range []int{9000, 1500} {
		if mtu == 1500 && testing.Short() {
			break
		}
		t.Run(fmt.Sprintf("mtu=%d", mtu), func(t *testing.T) {
			t.Parallel()
			testKernel(t, listeningSwitch(t), mtu)
		})
	}
}

// A kernelPair is a Host and a network namespace, with an address each.
type kernelPair struct {
	host      *netstack.Host
	tap       *testpeers.KernelTap
	ours      netip.Addr
	kernel    netip.Addr
	headerLen int // of IP and ICMP
	mtu       int
}

func testKernel(t *testing.T, vnl string, mtu int) {
	s := testpeers.StartKernelTap(t, vnl, testpeers.KernelTapConfig{MTU: mtu})
	h := host(t, open(t, vnl, vde.WithMaxFrameSize(max(mtu+14, 9234))), netstack.HostConfig{MTU: mtu})
	v4 := &kernelPair{h, s, addr4(h), s.Addr4(), 28, mtu}
	v6 := &kernelPair{h, s, addr6(h), s.Addr6(), 48, mtu}
	size := scaled(100<<20, 2<<20)
	sum := payloadSum(size)
	for name, p := range map[string]*kernelPair{"IPv4": v4, "IPv6": v6} {
		t.Run("ping/"+name, p.testPing)
		t.Run("server/"+name, func(t *testing.T) { p.testServer(t, size, sum) })
		t.Run("client/"+name, func(t *testing.T) { p.testClient(t, size, sum) })
		t.Run("UDP/"+name, p.testUDP)
		t.Run("refused/"+name, p.testRefused)
	}
	t.Run("iperf3", v4.testIperf)
	st := h.Stats()
	t.Logf("%+v", st)
	if d := dropped(st.Endpoint); d != 0 {
		t.Errorf("the endpoint dropped %d frames", d)
	}
}

// testPing sends echo requests of many sizes, fragmented ones too, both ways.
func (p *kernelPair) testPing(t *testing.T) {
	most := p.mtu - p.headerLen
	for _, n := range []int{0, 1, 56, 512, 1000, most - 1, most, 3 * most} {
		if n+p.headerLen > 65535 {
			continue
		}
		data := make([]byte, n)
		rand.NewChaCha8([32]byte{}).Read(data)
		if rtt, err := p.host.PingData(bound(t), p.kernel, data); err != nil {
			t.Errorf("%d bytes to the kernel: %v", n, err)
		} else if n == 56 {
			t.Logf("%v from the kernel", rtt)
		}
		if err := kernelPing(t, p.tap, p.ours, data); err != nil {
			t.Errorf("%d bytes from the kernel: %v", n, err)
		}
	}
}

// testServer downloads from the host, and uploads to it, with curl.
func (p *kernelPair) testServer(t *testing.T, size int64, sum string) {
	testpeers.Need(t, "curl", "sha256sum", "sh")
	l, err := p.host.Listen("tcp", netip.AddrPortFrom(p.ours, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	serveHTTP(t, l, size)
	port := l.Addr().(*net.TCPAddr).Port
	out, err := p.tap.Exec(bound(t), "sh", "-c", "curl -g -sS --fail '"+url(p.ours, port, "/get")+"' | sha256sum")
	if got, _, _ := strings.Cut(string(out), " "); err != nil || got != sum {
		t.Errorf("curl got %q (%v), not %q", got, err, sum)
	}
	out, err = p.tap.Exec(bound(t), "sh", "-c", "head -c 3000000 /dev/zero | curl -g -sS --fail -T - '"+url(p.ours, port, "/put")+"'")
	if want := fmt.Sprintf("%x", sha256.Sum256(make([]byte, 3000000))); err != nil || string(out) != want {
		t.Errorf("curl put %q (%v), not %q", out, err, want)
	}
}

// testClient downloads from the kernel's stack.
func (p *kernelPair) testClient(t *testing.T, size int64, sum string) {
	l := kernelListen(t, p.tap, netip.AddrPortFrom(p.kernel, 0).String())
	serveHTTP(t, l, size)
	got, err := httpGet(bound(t), url(p.kernel, l.Addr().(*net.TCPAddr).Port, "/get"), p.host.DialContext)
	if err != nil || got != sum {
		t.Errorf("got %q (%v), not %q", got, err, sum)
	}
}

// testRefused connects to closed ports, both ways.
func (p *kernelPair) testRefused(t *testing.T) {
	_, err := p.host.DialContext(bound(t), "tcp", netip.AddrPortFrom(p.kernel, 9).String())
	wantErrno(t, err, "dial", errRefused)
	out, err := p.tap.Exec(bound(t), "sh", "-c", "curl -g -sS '"+url(p.ours, 9, "/")+"' 2>&1; echo $?")
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "7") {
		t.Errorf("curl to a closed port of ours: %v %s", err, out)
	}
}

// testUDP echoes datagrams of many sizes, fragmented ones too, both ways.
func (p *kernelPair) testUDP(t *testing.T) {
	var kc net.PacketConn
	err := p.tap.Do(func() (err error) {
		kc, err = net.ListenPacket("udp", netip.AddrPortFrom(p.kernel, 0).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	hc, err := p.host.ListenPacket("udp", netip.AddrPortFrom(p.ours, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	for _, direction := range []struct {
		name     string
		from, to net.PacketConn
	}{{"to the kernel", hc, kc}, {"from the kernel", kc, hc}} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			buf := make([]byte, 65536)
			for {
				n, from, err := direction.to.ReadFrom(buf)
				if err != nil {
					return
				}
				direction.to.WriteTo(buf[:n], from)
			}
		}()
		buf := make([]byte, 65536)
		for _, n := range []int{0, 1, 100, 1400, p.mtu - 48, 9000, 60000} {
			data := make([]byte, n)
			rand.NewChaCha8([32]byte{2}).Read(data)
			deadline, _ := bound(t).Deadline()
			direction.from.SetDeadline(deadline)
			if _, err := direction.from.WriteTo(data, direction.to.LocalAddr()); err != nil {
				t.Fatal(direction.name, n, err)
			}
			got, _, err := direction.from.ReadFrom(buf)
			if err != nil || string(buf[:got]) != string(data) {
				t.Fatalf("%s: %d bytes came back as %d (%v)", direction.name, n, got, err)
			}
		}
		direction.to.SetReadDeadline(past)
		<-done
		direction.to.SetReadDeadline(zero)
	}
	kc.Close()
	hc.Close()
}

// testIperf sends to, and receives from, an iperf3 server on the kernel's stack.
func (p *kernelPair) testIperf(t *testing.T) {
	testpeers.Need(t, "iperf3")
	for i, mode := range []iperfMode{
		{Bytes: scaled(64<<20, 2<<20)},
		{Bytes: scaled(64<<20, 2<<20), Reverse: true},
		{Bytes: scaled(64<<20, 2<<20), Streams: 8},
		{Bytes: scaled(16<<20, 1<<20), UDP: true, Rate: 200e6},
	} {
		// One server for each: between two tests it closes its port for a moment.
		port := uint16(5201 + i)
		srv := testpeers.StartProcess(t, testpeers.ProcessConfig{Args: []string{"iperf3", "-s", "-1", "-p", strconv.Itoa(int(port))}, Namespace: p.tap.Namespace})
		res, err := iperf(bound(t), p.host, netip.AddrPortFrom(p.kernel, port), mode)
		if err != nil {
			t.Fatalf("%+v: %v\n%s", mode, err, srv.Log())
		}
		b, _ := json.Marshal(res)
		t.Logf("%+v: %s", mode, b)
		// The server does not count bytes that are still in its receive buffers
		// when the client reports the end. A stream is longer than the initial
		// buffers, and they grow only while the server reads.
		if res.Received == 0 || mode.Reverse && res.Received < mode.Bytes {
			t.Errorf("%+v: %d bytes arrived", mode, res.Received)
		}
	}
}
