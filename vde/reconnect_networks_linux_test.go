// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/tap"
	"github.com/go-vde/sdk/links/udp"
	"github.com/go-vde/sdk/links/vxlan"
	"github.com/go-vde/sdk/links/vxvde"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
)

// reconnectLimit bounds hangs.
const reconnectLimit = time.Minute

// An inside is a driver that opens in a network namespace, and not while its lock is
// held.
type inside struct {
	*testpeers.Namespace
	driver link.Driver
	lock   chan struct{} // of one element
}

func newInside(ns *testpeers.Namespace, d link.Driver) *inside {
	return &inside{ns, d, make(chan struct{}, 1)}
}

// Lock waits until no attempt is under way, and holds up the next.
func (i *inside) Lock() { i.lock <- struct{}{} }

// Unlock ends Lock.
func (i *inside) Unlock() { <-i.lock }

func (i *inside) Open(ctx context.Context, l vnl.Locator, s link.Settings) (opened link.Link, err error) {
	select {
	case i.lock <- struct{}{}:
		defer i.Unlock()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	err = i.Do(func() (err error) {
		opened, err = i.driver.Open(ctx, l, s)
		return err
	})
	return opened, err
}

// run runs a script in the namespace.
func (i *inside) run(t *testing.T, script string) {
	t.Helper()
	if _, err := i.Exec(t.Context(), "sh", "-ec", script); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

// A watched is a connection whose changes of state come on a channel.
type watched struct {
	*vde.Conn
	states chan vde.LinkState
}

// open opens text with reconnecting from the first attempt on.
func (i *inside) open(t *testing.T, text string) watched {
	t.Helper()
	scheme, _, _ := strings.Cut(text, ":")
	c, err := vde.Open(t.Context(), text, vde.WithDrivers(link.Mux{scheme: i}),
		vde.WithReconnect(vde.ReconnectPolicy{MinDelay: time.Millisecond, MaxDelay: 20 * time.Millisecond, FirstDial: true}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	for _, err := range []error{c.SetReadDeadline(time.Now().Add(reconnectLimit)), c.SetWriteDeadline(time.Now().Add(reconnectLimit))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w := watched{c, make(chan vde.LinkState, 1<<16)} // no attempt waits for the test
	t.Cleanup(c.OnLinkChange(func(s vde.LinkState) { w.states <- s }))
	return w
}

// await waits for a change that is as wanted.
func (w watched) await(t *testing.T, what string, want func(vde.LinkState) bool) {
	t.Helper()
	timer := time.NewTimer(reconnectLimit)
	defer timer.Stop()
	for {
		select {
		case s := <-w.states:
			if want(s) {
				return
			}
		case <-timer.C:
			t.Fatalf("no change to %s; the state is %+v", what, w.LinkState())
		}
	}
}

// awaitUp waits until the connection is up, however it got there.
func (w watched) awaitUp(t *testing.T) {
	t.Helper()
	if w.LinkState().Up {
		return
	}
	w.await(t, "up", func(s vde.LinkState) bool { return s.Up })
}

// numberedFrame returns a frame to everybody.
func numberedFrame(n int) []byte {
	f := bytes.Repeat([]byte{byte(n)}, 60+n)
	frame.PutHeader(f, frame.Broadcast(), frame.MAC{2, 0, 0, 0, 0, 1}, frame.EtherTypeExperimental)
	return f
}

// wantNumbered reads the next frame.
func (w watched) wantNumbered(t *testing.T, n int) {
	t.Helper()
	b := make([]byte, 2000)
	if k, err := w.Read(b); err != nil || !bytes.Equal(b[:k], numberedFrame(n)) {
		t.Fatalf("%d bytes, %v, want frame %d", k, err, n)
	}
}

func (w watched) writeNumbered(t *testing.T, n int) {
	t.Helper()
	if _, err := w.Write(numberedFrame(n)); err != nil {
		t.Fatal(err)
	}
}

// exchangeTap has frames cross between c and the interface lan0.
func (i *inside) exchangeTap(t *testing.T, c watched, n int) {
	t.Helper()
	// A device that was up before a program had it sends once the kernel has
	// noticed, which takes up to a second, or when it is set up again.
	i.run(t, "ip link set dev lan0 down; ip link set dev lan0 up")
	p := testpeers.OpenPacketSocket(t, i.Namespace, "lan0", false)
	c.writeNumbered(t, n)
	if f, err := p.Recv(); err != nil || !bytes.Equal(f, numberedFrame(n)) {
		t.Fatalf("%x, %v", f, err)
	}
	if err := p.Send(numberedFrame(n + 1)); err != nil {
		t.Fatal(err)
	}
	c.wantNumbered(t, n+1)
}

// removed reports whether s says that the device was removed.
func removed(s vde.LinkState) bool {
	return !s.Up && errors.Is(s.Err, vde.ErrHangup) && strings.Contains(s.Err.Error(), "lan0 was removed")
}

// TestReconnectTap removes the device of a connection, and makes it again, or another
// interface of the name in between: the connection says what happened, and goes on with
// the next device.
func TestReconnectTap(t *testing.T) {
	testpeers.Need(t, "linux", "/dev/net/tun", "CAP_NET_RAW")
	i := newInside(testpeers.NewNamespace(t), tap.Driver{})
	i.run(t, "echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6; ip tuntap add dev lan0 mode tap; ip link set dev lan0 up")
	c := i.open(t, "tap://lan0")
	c.awaitUp(t)
	i.exchangeTap(t, c, 1)

	// Removed and made again.
	i.Lock()
	i.run(t, "ip link del dev lan0; ip tuntap add dev lan0 mode tap; ip link set dev lan0 up")
	c.await(t, "removed", removed)
	i.Unlock()
	c.await(t, "up", func(s vde.LinkState) bool { return s.Up && s.Attempt > 0 })
	i.exchangeTap(t, c, 3)

	// Another interface has the name for a while. A write waits for the next device.
	i.Lock()
	i.run(t, "ip link del dev lan0; ip link add dev lan0 type bridge")
	c.await(t, "removed", removed)
	i.Unlock()
	c.await(t, "failing", func(s vde.LinkState) bool {
		return !s.Up && s.Attempt > 0 && errors.Is(s.Err, syscall.EINVAL) && strings.Contains(s.Err.Error(), "lan0")
	})
	if _, err := c.TryWriteBatch([][]byte{numberedFrame(9)}); !errors.Is(err, vde.ErrLinkDown) {
		t.Errorf("a write that must not wait: %v", err)
	}
	wrote := make(chan error, 1)
	i.Lock()
	i.run(t, "ip link del dev lan0; ip tuntap add dev lan0 mode tap; ip link set dev lan0 up")
	p := testpeers.OpenPacketSocket(t, i.Namespace, "lan0", false)
	go func() {
		_, err := c.Write(numberedFrame(5))
		wrote <- err
	}()
	i.Unlock()
	if f, err := p.Recv(); err != nil || !bytes.Equal(f, numberedFrame(5)) {
		t.Errorf("%x, %v", f, err)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
	i.exchangeTap(t, c, 6)

	// Removed for good: the connection makes the device, as when it was opened first.
	i.run(t, "ip link del dev lan0")
	c.await(t, "removed", removed)
	c.await(t, "up", func(s vde.LinkState) bool { return s.Up })
	i.exchangeTap(t, c, 8)
	if c.Context().Err() != nil {
		t.Error(context.Cause(c.Context()))
	}
}

// TestReconnectTunnels opens links over UDP that cannot be opened yet: the connection
// says why, comes up when they can, and passes frames.
func TestReconnectTunnels(t *testing.T) {
	testpeers.Need(t, "linux")
	port := func(number int) func(t *testing.T, i *inside) (free func()) {
		return func(t *testing.T, i *inside) (free func()) {
			var c *net.UDPConn
			if err := i.Do(func() (err error) {
				c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: number})
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return func() { c.Close() }
		}
	}
	route := func(t *testing.T, i *inside) (free func()) {
		i.run(t, "ip route del default; ip addr flush dev "+testpeers.VethName)
		return func() {
			i.run(t, "ip addr add "+testpeers.VethA4+"/24 dev "+testpeers.VethName+"; ip route add default dev "+testpeers.VethName)
		}
	}
	for name, test := range map[string]struct {
		driver link.Driver
		a, b   string
		why    []error
		fail   func(t *testing.T, i *inside) (free func())
	}{
		"udp":   {udp.Driver{}, "udp://20001->" + testpeers.VethB4 + ":20002", "udp://20002->" + testpeers.VethA4 + ":20001", []error{syscall.EADDRINUSE}, port(20001)},
		"vxlan": {vxlan.Driver{}, "vxlan://" + testpeers.VethB4 + "/vni=5", "vxlan://" + testpeers.VethA4 + "/vni=5", []error{syscall.EADDRINUSE}, port(4789)},
		"vxvde": {vxvde.Driver{}, "vxvde://", "vxvde://", []error{syscall.ENETUNREACH, syscall.ENODEV}, route},
	} {
		t.Run(name, func(t *testing.T) {
			nsA, nsB := testpeers.NewVeth(t)
			a, b := newInside(nsA, test.driver), newInside(nsB, test.driver)
			free := test.fail(t, a)
			there := b.open(t, test.b)
			there.awaitUp(t)
			here := a.open(t, test.a)
			here.await(t, "failing", func(s vde.LinkState) bool {
				for _, why := range test.why {
					if !s.Up && s.Attempt > 0 && errors.Is(s.Err, why) {
						return true
					}
				}
				return false
			})
			if _, err := here.TryWriteBatch([][]byte{numberedFrame(9)}); !errors.Is(err, vde.ErrLinkDown) {
				t.Errorf("a write that must not wait: %v", err)
			}
			free()
			here.await(t, "up", func(s vde.LinkState) bool { return s.Up && s.Attempt > 0 && s.Outage > 0 })
			for n := range 20 {
				here.writeNumbered(t, n)
				there.wantNumbered(t, n)
				there.writeNumbered(t, n)
				here.wantNumbered(t, n)
			}
		})
	}
}
