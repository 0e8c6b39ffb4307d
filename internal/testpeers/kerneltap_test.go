// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package testpeers_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
)

// talk sends text from one station's kernel to the other's, and back, by TCP.
func talk(t *testing.T, from, to *testpeers.KernelTap, ip netip.Addr) {
	t.Helper()
	text := bytes.Repeat([]byte("any number of bytes, more than fit a segment. "), 1000)
	var l net.Listener
	if err := to.Do(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(ip, 0).String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			// The wrapper keeps the runtime from splicing, for which it would keep a pipe.
			_, err = io.CopyN(struct{ io.Writer }{c}, c, int64(len(text)))
			err = errors.Join(err, c.Close())
		}
		served <- err
	}()
	var c net.Conn
	if err := from.Do(func() (err error) {
		c, err = net.Dial("tcp", l.Addr().String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	wrote := make(chan error, 1)
	go func() {
		_, err := c.Write(text)
		wrote <- err
	}()
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-wrote, <-served); err != nil || !bytes.Equal(got, text) {
		t.Errorf("to %v: %d bytes of %d came back, %v", ip, len(got), len(text), err)
	}
}

func TestKernelTaps(t *testing.T) {
	testutil.NoLeaks(t)
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	a, b := testpeers.StartKernelTap(t, sw.Dir(), testpeers.KernelTapConfig{}), testpeers.StartKernelTap(t, sw.VNL(), testpeers.KernelTapConfig{})
	ports, err := sw.Ports()
	if err != nil || len(ports) != 2 || !ports[0].Active || !ports[1].Active {
		t.Errorf("ports %+v, %v", ports, err)
	}
	talk(t, a, b, b.Addr4())
	talk(t, b, a, a.Addr4())
	talk(t, a, b, b.Addr6())
	talk(t, b, a, a.Addr6())

	out, err := a.Exec(t.Context(), "ip", "-o", "link", "show")
	if err != nil || strings.Count(string(out), "\n") != 2 || !strings.Contains(string(out), net.HardwareAddr(b2s(a.MAC())).String()) {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := a.Exec(t.Context(), "ip", "link", "show", "dev", "nosuch"); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("%v", err)
	}
	a.Plug().Stop()
	if err := sw.WaitActive(t.Context(), 1); err != nil {
		t.Error(err)
	}
}

func b2s(m [6]byte) []byte { return m[:] }

func TestKernelTapConfig(t *testing.T) {
	t.Parallel()
	n := testpeers.StartNode(t, "hub")
	mac := [6]byte{2, 1, 2, 3, 4, 5}
	s := testpeers.StartKernelTap(t, n.Dir(), testpeers.KernelTapConfig{
		MAC: mac, MTU: 9000, Addrs: []netip.Prefix{netip.MustParsePrefix("192.0.2.5/24"), netip.MustParsePrefix("198.51.100.7/32")},
	})
	if s.MAC() != mac || s.Addr4() != netip.MustParseAddr("192.0.2.5") || s.Addr6().IsValid() || len(s.Addrs()) != 2 {
		t.Errorf("%v", s)
	}
	out, err := s.Exec(t.Context(), "ip", "addr", "show", "dev", s.Name())
	for _, want := range []string{"mtu 9000", "LOWER_UP", "02:01:02:03:04:05", "192.0.2.5/24", "198.51.100.7/32"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %s: %v\n%s", want, err, out)
		}
	}
	if strings.Contains(string(out), "inet6") {
		t.Errorf("IPv6 on a station without an address for it:\n%s", out)
	}
	// It sends nothing by itself: the first thing heard is the answer to a question.
	p := testpeers.StartVdePlug(t, n.Dir())
	ping(t, p, s, bytes.Repeat([]byte{1, 2, 3}, 2000))
}

// ping is a station of the test's own pinging the kernel, frame by frame.
func ping(t *testing.T, p *testpeers.VdePlug, s *testpeers.KernelTap, data []byte) {
	t.Helper()
	exchange := func(frame []byte) []byte {
		t.Helper()
		if err := p.Send(frame); err != nil {
			t.Fatal(err)
		}
		got, err := p.Recv(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	me := s.Addr4().Next()
	arp, err := testframe.ParseARP(exchange(testframe.ARPRequest(macA, me, s.Addr4())))
	want := testframe.ARP{Reply: true, SenderMAC: s.MAC(), SenderIP: s.Addr4(), TargetMAC: macA, TargetIP: me}
	if err != nil || arp != want {
		t.Fatalf("%+v, %v; want %+v", arp, err, want)
	}
	request := testframe.Echo{Src: macA, Dst: s.MAC(), From: me, To: s.Addr4(), ID: 77, Seq: 3, Data: data}
	echo, err := testframe.ParseEcho(exchange(request.Frame()))
	if err != nil || fmt.Sprint(echo) != fmt.Sprint(request.Answer()) {
		t.Fatalf("%+v, %v", echo, err)
	}
}

func TestPingKernel(t *testing.T) {
	t.Parallel()
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	s := testpeers.StartKernelTap(t, sw.Dir(), testpeers.KernelTapConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/8")}})
	p := testpeers.StartVdePlug(t, sw.Dir())
	for _, n := range []int{0, 1, 56, 1472} {
		ping(t, p, s, bytes.Repeat([]byte{0xa5}, n))
	}
}

func TestNamespace(t *testing.T) {
	testutil.NoLeaks(t)
	n := testpeers.NewNamespace(t)
	var inside string
	if err := n.Do(func() (err error) {
		inside, err = os.Readlink("/proc/thread-self/ns/net")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if path, err := os.Readlink(n.Path()); err != nil || path != inside {
		t.Errorf("%s is %s, want %s, %v", n.Path(), path, inside, err)
	}
	out, err := n.Exec(t.Context(), "readlink", "/proc/self/ns/net")
	if err != nil || strings.TrimSpace(string(out)) != inside {
		t.Errorf("a command runs in %s, %v", out, err)
	}
	// Neither this thread nor any other is left inside.
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if ns, err := os.Readlink("/proc/self/task/" + task.Name() + "/ns/net"); err == nil && ns == inside {
			t.Errorf("thread %s was left inside", task.Name())
		}
	}
	if err := n.Do(func() error { return os.ErrInvalid }); err != os.ErrInvalid {
		t.Error(err)
	}
}

// TestSwitchTap lets vde_switch serve the tap itself.
func TestSwitchTap(t *testing.T) {
	t.Parallel()
	ns := testpeers.NewNamespace(t)
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{Tap: []string{"swtap"}, Namespace: ns})
	ports, err := sw.Ports()
	if err != nil || len(ports) != 1 || len(ports[0].Endpoints) != 1 || ports[0].Endpoints[0].Module != "tuntap" {
		t.Errorf("%+v, %v", ports, err)
	}
	for _, args := range [][]string{
		{"ip", "addr", "add", "10.99.255.1/16", "dev", "swtap"},
		{"ip", "link", "set", "dev", "swtap", "up"},
	} {
		if _, err := ns.Exec(t.Context(), args...); err != nil {
			t.Fatal(err)
		}
	}
	s := testpeers.StartKernelTap(t, sw.Dir(), testpeers.KernelTapConfig{})
	p := testpeers.StartVdePlug(t, sw.Dir())
	if err := p.Send(testframe.ARPRequest(macA, s.Addr4(), netip.MustParseAddr("10.99.255.1"))); err != nil {
		t.Fatal(err)
	}
	for {
		frame, err := p.Recv(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if a, err := testframe.ParseARP(frame); err == nil && a.Reply {
			if a.SenderIP != netip.MustParseAddr("10.99.255.1") || a.TargetMAC != macA {
				t.Errorf("%+v", a)
			}
			return
		}
	}
}
