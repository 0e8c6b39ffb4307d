// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"crypto/sha256"
	"flag"
	"hash"
	"io"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

var restarts = flag.Int("restarts", 3, "how often TestTCPSurvivesTheSwitch restarts it")

// A mortal is a switch that can be killed and started again at the same place.
type mortal interface {
	VNL() string
	Kill()
	Restart()
}

// embedded is our switch as a mortal.
type embedded struct {
	t   *testing.T
	dir string
	sw  *vswitch.Switch
}

func (e *embedded) VNL() string { return e.dir }

func (e *embedded) Kill() { e.sw.Close() }

func (e *embedded) Restart() {
	e.sw = vswitch.New(vswitch.Config{})
	e.t.Cleanup(func() { e.sw.Close() })
	listener, err := e.sw.Listen(e.dir)
	if err != nil {
		e.t.Error(err)
		return
	}
	go listener.Serve(e.t.Context())
}

// TestTCPSurvivesTheSwitch streams over one TCP connection while the switch is
// killed and started again, and compares what arrived with what was sent.
func TestTCPSurvivesTheSwitch(t *testing.T) {
	for _, name := range []string{"vde_switch", "vswitch"} {
		t.Run(name, func(t *testing.T) {
			var sw mortal
			if name == "vde_switch" {
				sw = testutil.Switch(t, testutil.SwitchConfig{NoMgmt: true})
			} else {
				e := &embedded{t: t, dir: filepath.Join(testutil.ShortDir(t), "sw")}
				e.Restart()
				sw = e
			}
			outages := survive(t, sw, *restarts)
			slices.Sort(outages)
			t.Logf("%d outages of the link: median %v, longest %v", len(outages), outages[len(outages)/2], outages[len(outages)-1])
		})
	}
}

// survive returns how long the link was down each time.
func survive(t *testing.T, sw mortal, rounds int) (outages []time.Duration) {
	policy := vde.ReconnectPolicy{MinDelay: 5 * time.Millisecond, MaxDelay: 50 * time.Millisecond}
	ups := make(chan time.Duration, 2*rounds)
	var hosts [2]*netstack.Host
	for i, addr := range []string{"10.0.0.1/24", "10.0.0.2/24"} {
		c, err := vde.Open(t.Context(), sw.VNL(), vde.WithReconnect(policy))
		if err != nil {
			t.Fatal(err)
		}
		defer c.OnLinkChange(func(s vde.LinkState) {
			if s.Up {
				ups <- s.Outage
			}
		})()
		hosts[i], err = netstack.NewHost(c, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
		if err != nil {
			t.Fatal(err)
		}
		defer hosts[i].Close()
	}
	listener, err := hosts[0].Listen("tcp", ":7")
	if err != nil {
		t.Fatal(err)
	}
	var received atomic.Int64
	arrived := make(chan struct{}, 1) // has a value after received has changed
	got := make(chan hash.Hash, 1)
	go func() {
		sum := sha256.New()
		defer func() { got <- sum }()
		c, err := listener.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := c.Read(buf)
			sum.Write(buf[:n])
			received.Add(int64(n))
			select {
			case arrived <- struct{}{}:
			default:
			}
			if err == io.EOF {
				return
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	conn, err := hosts[1].DialContext(t.Context(), "tcp", "10.0.0.1:7")
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	sent := make(chan hash.Hash, 1)
	go func() {
		sum := sha256.New()
		defer func() { sent <- sum }()
		block := make([]byte, 32<<10)
		rand.NewChaCha8([32]byte{}).Read(block)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			block[0] = byte(i)
			if _, err := conn.Write(block); err != nil {
				t.Error(err)
				return
			}
			sum.Write(block)
		}
	}()
	progress := func() {
		t.Helper()
		mark := received.Load()
		patience := time.After(30 * time.Second)
		for received.Load() < mark+1<<20 {
			select {
			case <-arrived:
			case <-patience:
				t.Fatal("the transfer does not go on")
			}
		}
	}
	progress()
	for range rounds {
		sw.Kill()
		sw.Restart()
		for range 2 {
			select {
			case outage := <-ups:
				outages = append(outages, outage)
			case <-time.After(30 * time.Second):
				t.Fatal("the link does not come up")
			}
		}
		progress()
	}
	close(stop)
	wrote := <-sent
	if err := conn.(*netstack.TCPConn).CloseWrite(); err != nil {
		t.Error(err)
	}
	if read := <-got; !slices.Equal(read.Sum(nil), wrote.Sum(nil)) {
		t.Error("what arrived is not what was sent")
	}
	conn.Close()
	return outages
}

// TestAnnouncement checks, byte by byte, what a host says when its link is up
// again.
func TestAnnouncement(t *testing.T) {
	dir := filepath.Join(testutil.ShortDir(t), "sw")
	e := &embedded{t: t, dir: dir}
	e.Restart()
	c, err := vde.Open(t.Context(), dir, vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 2 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	mac := frame.MAC{2, 0, 0, 0, 0, 7}
	host, err := netstack.NewHost(c, netstack.HostConfig{MAC: mac, Addrs: []netip.Prefix{
		netip.MustParsePrefix("10.0.0.7/24"), netip.MustParsePrefix("fd00::7/64"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	e.Kill()
	e.sw = vswitch.New(vswitch.Config{})
	defer e.sw.Close()
	witness, err := e.sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	defer witness.Close()
	listener, err := e.sw.Listen(dir)
	if err != nil {
		t.Fatal(err)
	}
	go listener.Serve(t.Context())

	wantARP := []byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 7, 0x08, 0x06,
		0, 1, 8, 0, 6, 4, 0, 1, // Ethernet, IPv4, request
		2, 0, 0, 0, 0, 7, 10, 0, 0, 7,
		0, 0, 0, 0, 0, 0, 10, 0, 0, 7,
	}
	wantNA := []byte{
		0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 7, 0x86, 0xdd,
		0x60, 0, 0, 0, 0, 32, 58, 255,
		0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
		0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
		136, 0, 0, 0, // type, code, checksum
		0x20, 0, 0, 0, // override
		0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
		2, 1, 2, 0, 0, 0, 0, 7, // target link-layer address
	}
	witness.SetReadDeadline(time.Now().Add(30 * time.Second))
	buf := make([]byte, 2000)
	for arp, na := false, false; !arp || !na; {
		n, err := witness.Read(buf)
		if err != nil {
			t.Fatalf("ARP %v, advertisement %v: %v", arp, na, err)
		}
		f := buf[:n]
		switch {
		case len(f) >= len(wantARP) && slices.Equal(f[:len(wantARP)], wantARP):
			arp = n == frame.MinLen
		case len(f) == len(wantNA) && f[54] == 136:
			if !checksumFits(f) {
				t.Errorf("checksum of %x", f)
			}
			f[56], f[57] = 0, 0
			if slices.Equal(f, wantNA) {
				na = true
			}
		}
	}
	if err := host.Err(); err != nil {
		t.Error(err)
	}
}

// checksumFits verifies the ICMPv6 checksum of a frame without options.
func checksumFits(f []byte) bool {
	ip := header.IPv6(f[frame.HeaderLen:])
	icmp := header.ICMPv6(ip.Payload())
	sum := icmp.Checksum()
	icmp.SetChecksum(0)
	want := header.ICMPv6Checksum(header.ICMPv6ChecksumParams{Header: icmp, Src: ip.SourceAddress(), Dst: ip.DestinationAddress()})
	icmp.SetChecksum(sum)
	return sum == want
}
