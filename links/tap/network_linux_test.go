// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package tap_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/tap"
	"github.com/go-vde/sdk/links/vdeplug"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
)

// attach attaches l to a port of sw.
func attach(t testing.TB, sw *vswitch.Switch, l link.Link) int {
	t.Helper()
	a, err := sw.AttachLink(l, vswitch.LinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return a.Port()
}

// newSwitch returns a switch whose frames wait for room.
func newSwitch(t testing.TB) *vswitch.Switch {
	t.Helper()
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518, DefaultPort: vswitch.PortConfig{Wait: vswitch.Forever}})
	t.Cleanup(func() { sw.Close() })
	return sw
}

// A host is the kernel in a namespace of its own, with a tap device.
type host struct {
	*testpeers.Namespace
	addr netip.Addr
	link link.Link
}

// newHost makes a host with an address, whose link is open.
func newHost(t testing.TB, addr string) host {
	t.Helper()
	h := host{Namespace: namespace(t), addr: netip.MustParseAddr(addr)}
	h.link = mustOpen(t, h.Namespace, tap.Driver{}, "lan0")
	ip(t, h.Namespace, "ip addr add "+addr+"/16 dev lan0", "ip link set dev lan0 up")
	return h
}

// transfer sends n bytes by TCP from one namespace to an address in another, and
// compares their sums.
func transfer(t testing.TB, from, to *testpeers.Namespace, addr netip.Addr, n int) {
	t.Helper()
	var ln net.Listener
	if err := to.Do(func() (err error) {
		ln, err = net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	received, sum := make(chan error, 1), sha256.New()
	go func() {
		c, err := ln.Accept()
		if err == nil {
			_, err = io.Copy(sum, struct{ io.Reader }{c})
			err = errors.Join(err, c.Close())
		}
		received <- err
	}()
	var c net.Conn
	if err := from.Do(func() (err error) {
		c, err = net.Dial("tcp", ln.Addr().String())
		return err
	}); err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1, 2, 3})
	sent := sha256.New()
	_, err := io.Copy(struct{ io.Writer }{c}, io.TeeReader(io.LimitReader(random, int64(n)), sent))
	if err := errors.Join(err, c.Close(), <-received); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sent.Sum(nil), sum.Sum(nil)) {
		t.Errorf("other bytes arrived")
	}
}

// TestTCP has two kernels exchange data by TCP through their devices and a switch.
// GSO frames cross whole: the switch need not segment them.
func TestTCP(t *testing.T) {
	sw := newSwitch(t)
	a, b := newHost(t, "10.77.0.1"), newHost(t, "10.77.0.2")
	ports := []int{attach(t, sw, a.link), attach(t, sw, b.link)}
	size := 20_000_000
	if testing.Short() {
		size = 4_000_000
	}
	transfer(t, a.Namespace, b.Namespace, b.addr, size)
	transfer(t, b.Namespace, a.Namespace, a.addr, size)
	stats := sw.Stats()
	for _, p := range stats.Ports {
		in := p.In
		if in.Segments != 0 || in.Dropped != (vswitch.InDropped{}) || p.Out.Dropped != (vswitch.OutDropped{}) {
			t.Errorf("port %d of %v: %+v", p.Port, ports, p)
		}
		// Half of it went by each port, in frames far longer than the MTU, and as
		// many acknowledgements.
		if in.Bytes < uint64(size) || in.Frames > uint64(size/1448) {
			t.Errorf("port %d: %d frames of %d bytes", p.Port, in.Frames, in.Bytes)
		}
	}
}

// TestTCPToPlain has a kernel with offload talk to one behind a port that takes only
// ordinary frames: a vde_plug of Debian on a vde_switch of Debian.
func TestTCPToPlain(t *testing.T) {
	testpeers.Need(t, "vde_switch", "vde_plug")
	peers := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	k := testpeers.StartKernelTap(t, peers.Dir(), testpeers.KernelTapConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.9/16")}})
	sw, a := newSwitch(t), newHost(t, "10.77.0.1")
	attach(t, sw, a.link)
	up, err := vdeplug.Driver{}.Open(t.Context(), vnl.Locator{Scheme: "vde", Arg: peers.Dir()}, link.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	attach(t, sw, up)
	const size = 2_000_000
	transfer(t, a.Namespace, k.Namespace, k.Addr4(), size)
	transfer(t, k.Namespace, a.Namespace, a.addr, size)
}

// TestConn opens a device with vde.Open.
func TestConn(t *testing.T) {
	ns := namespace(t)
	var c *vde.Conn
	if err := ns.Do(func() (err error) {
		c, err = vde.Open(t.Context(), "tap://lan0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ip(t, ns, "ip link set dev lan0 up")
	p := testpeers.OpenPacketSocket(t, ns, "lan0", true)
	h, f := tcp(5000, 1448)
	if n, err := c.WritePackets([]net.Buffers{{f}}, []frame.VNetHeader{h}); n != 1 || err != nil {
		t.Fatal(err)
	}
	if got, err := p.Recv(); err != nil || !bytes.Equal(got, bytesOf(h, f)) && len(got) != 10+len(f) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if err := p.Send(bytesOf(h, f)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1514)
	for _, want := range []int{1502, 1502, 1502, 710} {
		if n, err := c.Read(buf); n != want || err != nil {
			t.Errorf("%d bytes, %v, want %d", n, err, want)
		}
	}
	ip(t, ns, "ip link del dev lan0")
	<-c.Context().Done()
	if _, err := c.Read(buf); !errors.Is(err, link.ErrHangup) {
		t.Errorf("Read after the end: %v", err)
	}
}

// TestDownOnSwitch has a switch count the frames for an interface that is down, and
// go on once it is up.
func TestDownOnSwitch(t *testing.T) {
	sw, ns := newSwitch(t), namespace(t)
	port := attach(t, sw, mustOpen(t, ns, tap.Driver{}, "lan0"))
	c, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 3 {
		if _, err := c.Write(testFrame(60, 1)); err != nil {
			t.Fatal(err)
		}
	}
	if out := portStats(t, sw, port).Out; out.Dropped.Refused != 3 || out.Frames != 0 {
		t.Errorf("%+v", out)
	}
	ip(t, ns, "ip link set dev lan0 up")
	p := testpeers.OpenPacketSocket(t, ns, "lan0", false)
	if _, err := c.Write(testFrame(60, 2)); err != nil {
		t.Fatal(err)
	}
	if got, err := p.Recv(); err != nil || !bytes.Equal(got, testFrame(60, 2)) {
		t.Errorf("%x, %v", got, err)
	}
}

// TestQueues opens several queues of a device. What the kernel sends comes on one of
// them, flow by flow, and it takes frames from each.
func TestQueues(t *testing.T) {
	ns := namespace(t)
	multi := tap.Driver{MultiQueue: true}
	var queues []link.Link
	for range 3 {
		queues = append(queues, mustOpen(t, ns, multi, "lan0"))
	}
	if _, err := open(t, ns, multi, "lo", link.Settings{}); err == nil {
		t.Error("a queue of the loopback interface")
	}
	ip(t, ns, "ip addr add 10.77.0.1/16 dev lan0", "ip link set dev lan0 up",
		"ip neigh add 10.77.0.2 lladdr 02:00:00:00:00:02 dev lan0 nud permanent")
	p := testpeers.OpenPacketSocket(t, ns, "lan0", false)
	for i, q := range queues {
		send(t, q, testFrame(60+i, byte(i)))
		if got, err := p.Recv(); err != nil || !bytes.Equal(got, testFrame(60+i, byte(i))) {
			t.Errorf("queue %d: %x, %v", i, got, err)
		}
	}
	const flows, each = 32, 5
	frames := make(chan [2]int, flows*each) // the queue and the flow
	var readers sync.WaitGroup
	for i, q := range queues {
		readers.Go(func() {
			for {
				f, err := recvOne(q)
				if err != nil {
					return
				}
				if len(f) == 14+20+8+4 {
					frames <- [2]int{i, int(f[42])}
				}
			}
		})
	}
	sendFlows(t, ns, flows, each)
	var of [flows]map[int]bool // the queues of each flow
	used := make(map[int]bool)
	for range flows * each {
		f := <-frames
		if of[f[1]] == nil {
			of[f[1]] = make(map[int]bool)
		}
		of[f[1]][f[0]], used[f[0]] = true, true
	}
	if len(used) < 2 {
		t.Errorf("only %d queues were used", len(used))
	}
	for flow, m := range of {
		if len(m) != 1 {
			t.Errorf("flow %d is spread: %v", flow, m)
		}
	}
	for _, q := range queues {
		q.Close()
	}
	readers.Wait()
	mustOpen(t, ns, tap.Driver{}, "lan0") // the device is gone, and the name free
}

// sendFlows has the kernel send so many datagrams of so many flows, each of which
// begins with the number of the flow.
func sendFlows(t *testing.T, ns *testpeers.Namespace, flows, each int) {
	t.Helper()
	for flow := range flows {
		if err := ns.Do(func() error {
			c, err := net.Dial("udp", "10.77.0.2:9")
			if err != nil {
				return err
			}
			defer c.Close()
			for range each {
				if _, err := c.Write([]byte{byte(flow), 0, 0, 0}); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
