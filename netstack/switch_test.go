// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// attach gives the test a port of sw.
func attach(t testing.TB, sw *vswitch.Switch, opts ...vde.Option) *vde.Conn {
	t.Helper()
	c, err := sw.Attach(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestKernelVSwitch is TestKernel through our own switch, with jumbo frames too.
func TestKernelVSwitch(t *testing.T) {
	testpeers.Need(t, "vde_plug", "ip", "CAP_NET_ADMIN", "/dev/net/tun")
	for _, mtu := range []int{1500, 9000} {
		t.Run(fmt.Sprintf("mtu=%d", mtu), func(t *testing.T) {
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
			testKernel(t, "vde://"+dir, mtu)
		})
	}
}

// TestMTU moves data between hosts at every size of frame, over a cable and in
// process.
func TestMTU(t *testing.T) {
	size := scaled(64<<20, 4<<20)
	sum := payloadSum(size)
	for _, mtu := range []int{1280, 1500, 9000, 65520, netstack.MaxMTU} {
		opt := vde.WithMaxFrameSize(max(mtu+14, 1514))
		run := func(t *testing.T, a, b *vde.Conn) {
			server, client := host(t, a, netstack.HostConfig{MTU: mtu}), host(t, b, netstack.HostConfig{MTU: mtu})
			for _, addr := range []netip.Addr{addr4(server), addr6(server)} {
				for _, n := range []int{0, mtu - 48, mtu - 28} {
					if _, err := client.PingData(bound(t), addr, make([]byte, n)); err != nil {
						t.Error(n, err)
					}
				}
				l, err := server.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
				if err != nil {
					t.Fatal(err)
				}
				serveHTTP(t, l, size)
				start := time.Now()
				got, err := httpGet(bound(t), url(addr, l.Addr().(*net.TCPAddr).Port, "/get"), client.DialContext)
				if err != nil || got != sum {
					t.Errorf("got %q (%v), not %q", got, err, sum)
				}
				t.Logf("%v: %.1f Gbit/s", addr, float64(size)*8/1e9/time.Since(start).Seconds())
			}
			st := server.Stats()
			if st.Endpoint.TxDropped() != 0 || st.Endpoint.RxFiltered != 0 || st.Endpoint.Conn.RxTruncated != 0 {
				t.Errorf("%+v", st.Endpoint)
			}
			t.Logf("%.1f frames/call, %d retransmits", float64(st.Endpoint.Conn.TxFrames)/float64(st.Endpoint.Conn.TxCalls), st.TCPRetransmits)
		}
		t.Run(fmt.Sprintf("cable/mtu=%d", mtu), func(t *testing.T) {
			a, b := pair(t, opt)
			run(t, a, b)
		})
		t.Run(fmt.Sprintf("vswitch/mtu=%d", mtu), func(t *testing.T) {
			sw := vswitch.New(vswitch.Config{MaxFrame: max(mtu+14, 1514)})
			t.Cleanup(func() { sw.Close() })
			run(t, attach(t, sw, opt), attach(t, sw, opt))
		})
	}
}

// TestKilled kills the switch in the middle of a transfer: both ends learn of it
// before their deadline.
func TestKilled(t *testing.T) {
	testpeers.Need(t, "vde_switch")
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	a, b := host(t, open(t, sw.VNL()), netstack.HostConfig{}), host(t, open(t, sw.VNL()), netstack.HostConfig{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.Dial("tcp", netip.AddrPortFrom(addr4(a), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	deadline, _ := bound(t).Deadline()
	in.SetDeadline(deadline)
	out.SetDeadline(deadline)
	var wg sync.WaitGroup
	flowing := make(chan struct{})
	wg.Go(func() {
		for {
			if _, err := out.Write(make([]byte, 1<<16)); err != nil {
				wantErr(t, err, "write", vde.ErrHangup)
				return
			}
		}
	})
	wg.Go(func() {
		if _, err := io.CopyN(io.Discard, in, 1<<20); err != nil {
			t.Error(err)
		}
		close(flowing)
		_, err := io.Copy(io.Discard, in)
		wantErr(t, err, "read", vde.ErrHangup)
	})
	<-flowing
	sw.Kill()
	wg.Wait()
	_, err = l.Accept()
	wantErr(t, err, "accept", vde.ErrHangup)
	for _, h := range []*netstack.Host{a, b} {
		if !errors.Is(h.Err(), vde.ErrHangup) {
			t.Error(h.Err())
		}
	}
}

// TestPaused stops the switch for a while, in which deadlines are kept, and
// finds that the transfer goes on after it.
func TestPaused(t *testing.T) {
	testpeers.Need(t, "vde_switch")
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	a, b := host(t, open(t, sw.VNL()), netstack.HostConfig{}), host(t, open(t, sw.VNL()), netstack.HostConfig{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	out, err := b.Dial("tcp", netip.AddrPortFrom(addr4(a), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	sw.Pause()
	// More than every queue holds.
	out.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	n, err := out.Write(make([]byte, 32<<20))
	if !errors.Is(err, errDeadline) {
		t.Errorf("wrote %d bytes: %v", n, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	if _, err := b.DialContext(ctx, "tcp", netip.AddrPortFrom(addr4(a), 80).String()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("dialled: %v", err)
	}
	sw.Resume()
	out.SetWriteDeadline(zero)
	go out.Close()
	got, err := io.Copy(io.Discard, in)
	if err != nil || got != int64(n) {
		t.Errorf("%d of %d bytes: %v", got, n, err)
	}
	in.Close()
}
