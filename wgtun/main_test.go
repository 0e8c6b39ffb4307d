// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wgtun_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"go.uber.org/goleak"
	"gvisor.dev/gvisor/pkg/refs"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/wgtun"
)

// TestMain fails if a goroutine is left at the end of the tests, or a packet, route or
// endpoint of gVisor that still has a reference.
func TestMain(m *testing.M) {
	flag.Parse()
	refs.SetLeakMode(refs.LeaksPanic)
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left:", err)
			code = 1
		}
		runtime.GC() // the finalizers find buffers that were not released
		refs.DoLeakCheck()
	}
	os.Exit(code)
}

// watchdog is how long a test may take. It takes as long only if it hangs, even on a
// busy machine.
const watchdog = 5 * time.Minute

// bound returns a context that ends when the test hangs.
func bound(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), watchdog)
	t.Cleanup(cancel)
	return ctx
}

// newSwitch returns a switch that is closed when the test ends.
func newSwitch(t testing.TB) *vswitch.Switch {
	t.Helper()
	sw := vswitch.New(vswitch.Config{})
	t.Cleanup(func() { sw.Close() })
	return sw
}

// attach returns a connection to sw.
func attach(t testing.TB, sw *vswitch.Switch) *vde.Conn {
	t.Helper()
	c, err := sw.Attach()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// newHost returns a host on sw.
func newHost(t testing.TB, sw *vswitch.Switch, cfg netstack.HostConfig) *netstack.Host {
	t.Helper()
	h, err := netstack.NewHost(attach(t, sw), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// addr4 returns 10.0.site.host, and addr6 fd00:site::host.
func addr4(site, host byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, site, host}) }

func addr6(site, host byte) netip.Addr {
	return netip.AddrFrom16([16]byte{0: 0xfd, 3: site, 15: host})
}

// addrs returns both with the lengths of their networks.
func addrs(site, host byte) []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(addr4(site, host), 24), netip.PrefixFrom(addr6(site, host), 64)}
}

// networks returns the networks of a site.
func networks(site byte) []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(addr4(site, 0), 24), netip.PrefixFrom(addr6(site, 0), 64)}
}

// A site is an Ethernet with a device, its host 1, and a Host, its host 2, whose gateway
// is the device.
type site struct {
	sw     *vswitch.Switch
	device *wgtun.Device
	host   *netstack.Host
}

// newSite returns a site whose device has the networks of another behind the tunnel.
func newSite(t testing.TB, number, other byte) *site {
	t.Helper()
	s := &site{sw: newSwitch(t)}
	s.device = newDevice(t, s.sw, wgtun.Config{Addrs: addrs(number, 1), Routes: networks(other)})
	s.host = newHost(t, s.sw, netstack.HostConfig{Addrs: addrs(number, 2), Gateway: addr4(number, 1), Gateway6: addr6(number, 1)})
	return s
}

// newDevice returns a device on sw.
func newDevice(t testing.TB, sw *vswitch.Switch, cfg wgtun.Config) *wgtun.Device {
	t.Helper()
	d, err := wgtun.New(attach(t, sw), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// headroom is where the packets of the tests begin in their buffers, as those of
// WireGuard do.
const headroom = 16

// buffers returns buffers for Read.
func buffers(n int) (bufs [][]byte, sizes []int) {
	for range n {
		bufs = append(bufs, make([]byte, headroom+2000))
	}
	return bufs, make([]int, n)
}

// joined returns two sites whose devices write what the other one reads.
func joined(t testing.TB) (a, b *site) {
	t.Helper()
	a, b = newSite(t, 1, 2), newSite(t, 2, 1)
	done := make(chan error, 2)
	go func() { done <- pump(a.device, b.device) }()
	go func() { done <- pump(b.device, a.device) }()
	t.Cleanup(func() {
		a.device.Close()
		b.device.Close()
		for range 2 {
			if err := <-done; !errors.Is(err, os.ErrClosed) {
				t.Error(err)
			}
		}
	})
	return a, b
}

// pump writes to a device what it reads from another, until one has been closed.
func pump(from, to *wgtun.Device) error {
	bufs, sizes := buffers(from.BatchSize())
	packets := make([][]byte, len(bufs))
	for {
		n, err := from.Read(bufs, sizes, headroom)
		if err != nil {
			return err
		}
		for i := range n {
			packets[i] = bufs[i][:headroom+sizes[i]]
		}
		if _, err := to.Write(packets[:n], headroom); err != nil {
			return err
		}
	}
}

// payload returns a reader of size pseudo-random bytes.
func payload(size int64) io.Reader { return io.LimitReader(rand.NewChaCha8([32]byte{1}), size) }

// transfer sends bytes from one host to an address of another and back, over TCP, and
// compares their sums.
func transfer(t testing.TB, from, to *netstack.Host, address netip.Addr, size int64) {
	t.Helper()
	l, err := to.Listen("tcp", netip.AddrPortFrom(address, 80).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			if _, err = io.Copy(c, c); err == nil {
				err = c.(*netstack.TCPConn).CloseWrite()
			}
		}
		served <- err
	}()
	c, err := from.DialContext(bound(t), "tcp", netip.AddrPortFrom(address, 80).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	deadline, _ := bound(t).Deadline()
	c.SetDeadline(deadline)
	wrote, sent := make(chan error, 1), sha256.New()
	go func() {
		_, err := io.Copy(c, io.TeeReader(payload(size), sent))
		if err == nil {
			err = c.(*netstack.TCPConn).CloseWrite()
		}
		wrote <- err
	}()
	got := sha256.New()
	n, err := io.Copy(got, c)
	if err != nil {
		t.Fatalf("after %d bytes: %v", n, err)
	}
	for _, done := range []chan error{wrote, served} {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n != size || string(got.Sum(nil)) != string(sent.Sum(nil)) {
		t.Errorf("%d of %d bytes came back, or with another sum", n, size)
	}
}
