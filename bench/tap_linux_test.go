// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/tap"
	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
)

// The ways between two stacks of the kernel, each in a namespace with one interface at
// the MTU of 1500.
var tapPaths = []struct {
	name string
	make func(testing.TB) *tcpNetwork
}{
	{"tap-switch", tapSwitch},
	{"tap-direct", tapDirect},
	{"tap-loop", loopTaps},
	{"plain", plainTaps},
	{"vde_plug", plugTaps},
	{"veth", vethPair},
}

// BenchmarkTap streams through each by TCP. Bytes are counted where they arrive.
func BenchmarkTap(b *testing.B) {
	for _, streams := range []int{1, 8} {
		b.Run(fmt.Sprintf("streams=%d", streams), func(b *testing.B) {
			for _, p := range inOrder(tapPaths) {
				leaf(b, "path="+p.name, func(t testing.TB) *flows {
					f := p.make(t).connect(t, streams)
					if _, _, err := f.run(slice / 2); err != nil { // the windows open
						t.Fatal(err)
					}
					return f
				}, (*flows).bench)
			}
		})
	}
}

// kernels is the network of two namespaces whose interfaces have these addresses.
func kernels(a, b *testpeers.Namespace, addrA netip.Addr, pids ...int) *tcpNetwork {
	return &tcpNetwork{
		listen: func() (l net.Listener, err error) {
			err = a.Do(func() error {
				l, err = net.Listen("tcp", netip.AddrPortFrom(addrA, 0).String())
				return err
			})
			return l, err
		},
		dial: func(_ context.Context, addr string) (c net.Conn, err error) {
			err = b.Do(func() error {
				c, err = net.Dial("tcp", addr)
				return err
			})
			return c, err
		},
		pids:   pids,
		counts: func() tcpCounts { return tcpCounts{retransmits: retransmits(a) + retransmits(b)} },
	}
}

// retransmits returns how many segments the stack of a namespace has sent again.
func retransmits(n *testpeers.Namespace) uint64 {
	var text []byte
	if err := n.Do(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	}); err != nil {
		return 0
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if fields[0] != "Tcp:" {
			continue
		}
		if names == nil {
			names = fields
			continue
		}
		for i, name := range names {
			if name == "RetransSegs" {
				v, _ := strconv.ParseUint(fields[i], 10, 64)
				return v
			}
		}
	}
	return 0
}

var tapAddrs = [2]netip.Addr{netip.MustParseAddr("10.78.0.1"), netip.MustParseAddr("10.78.0.2")}

// tapNamespaces returns two namespaces and makes an interface t0 with an address in
// each by what attach returns.
func tapNamespaces[T any](t testing.TB, attach func(n *testpeers.Namespace) (T, error)) (ns [2]*testpeers.Namespace, made [2]T) {
	t.Helper()
	testpeers.Need(t, "/dev/net/tun")
	for i := range ns {
		ns[i] = testpeers.NewNamespace(t)
		var err error
		if made[i], err = attach(ns[i]); err != nil {
			t.Fatal(err)
		}
		setAddr(t, ns[i], i)
	}
	return ns, made
}

// setAddr sets up the interface t0 of the i-th namespace.
func setAddr(t testing.TB, n *testpeers.Namespace, i int) {
	t.Helper()
	if _, err := n.Exec(t.Context(), "sh", "-ec", "ip addr add "+tapAddrs[i].String()+"/16 dev t0; ip link set dev t0 up"); err != nil {
		t.Fatal(err)
	}
}

// tapLinks opens a device in each of two namespaces.
func tapLinks(t testing.TB) (ns [2]*testpeers.Namespace, links [2]link.Link) {
	t.Helper()
	return tapNamespaces(t, func(n *testpeers.Namespace) (l link.Link, err error) {
		err = n.Do(func() error {
			l, err = tap.Driver{}.Open(t.Context(), vnl.Locator{Scheme: "tap", Arg: "t0"}, link.Settings{})
			return err
		})
		return l, err
	})
}

// tapSwitch is two devices on ports of a switch.
func tapSwitch(t testing.TB) *tcpNetwork {
	ns, links := tapLinks(t)
	sw := vswitch.New(vswitch.Config{MaxFrameSize: 1518})
	t.Cleanup(func() { sw.Close() })
	for _, l := range links {
		if _, err := sw.AttachLink(l, vswitch.LinkConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	return kernels(ns[0], ns[1], tapAddrs[0])
}

// tapDirect copies between two devices.
func tapDirect(t testing.TB) *tcpNetwork {
	ns, links := tapLinks(t)
	for i, from := range links {
		to, done := links[1-i], make(chan struct{})
		go func() {
			defer close(done)
			copyFrames(to, from)
		}()
		t.Cleanup(func() {
			from.Close()
			<-done
		})
	}
	return kernels(ns[0], ns[1], tapAddrs[0])
}

// copyFrames copies frames with their metadata until a link is closed.
func copyFrames(to, from link.Link) {
	const most = 16
	bufs, frames, sizes, headers := make([][]byte, most), make([][]byte, most), make([]int, most), make([]frame.VNetHeader, most)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<16)
	}
	for {
		n, err := from.Recv(link.Rx{Bufs: bufs, Sizes: sizes, Headers: headers, USO: true})
		if err != nil {
			return
		}
		for i, size := range sizes[:n] {
			frames[i] = bufs[i][:size]
		}
		if _, _, err := to.Send(link.Tx{Frames: frames[:n], Headers: headers[:n]}); err != nil {
			return
		}
	}
}

// loopTaps copies between two devices with headers, in two threads of which each waits
// in its reads: the least that a program can do.
func loopTaps(t testing.TB) *tcpNetwork {
	ns, fds := tapNamespaces(t, func(n *testpeers.Namespace) (int, error) {
		return attachTap(n, 0, unix.IFF_VNET_HDR, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
	})
	var loops sync.WaitGroup
	for i, from := range fds {
		to := fds[1-i]
		loops.Go(func() {
			buf := make([]byte, 1<<17)
			for {
				n, err := unix.Read(from, buf)
				if err == unix.EINTR {
					continue
				}
				if err != nil {
					return
				}
				_, _ = unix.Write(to, buf[:n]) // fails once the interface is gone
			}
		})
	}
	t.Cleanup(func() {
		for _, n := range ns {
			// This ends the read, which closing the descriptor would not.
			if _, err := n.Exec(context.Background(), "ip", "link", "del", "dev", "t0"); err != nil {
				t.Error(err)
				return
			}
		}
		loops.Wait()
		for _, fd := range fds {
			unix.Close(fd)
		}
	})
	return kernels(ns[0], ns[1], tapAddrs[0])
}

// plainTaps copies between two devices without headers, a frame for each read and
// each write.
func plainTaps(t testing.TB) *tcpNetwork {
	ns, files := tapNamespaces(t, openPlainTap)
	for i, from := range files {
		to, done := files[1-i], make(chan struct{})
		go func() {
			defer close(done)
			buf := make([]byte, 1<<16)
			for {
				n, err := from.Read(buf)
				if err != nil {
					return
				}
				_, _ = to.Write(buf[:n]) // fails once it is closed, as the next read does
			}
		}()
		t.Cleanup(func() {
			from.Close()
			<-done
		})
	}
	return kernels(ns[0], ns[1], tapAddrs[0])
}

// openPlainTap opens a device without headers.
func openPlainTap(n *testpeers.Namespace) (*os.File, error) {
	fd, err := attachTap(n, unix.O_NONBLOCK, 0, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "t0"), nil
}

// attachTap opens a device with flags of the descriptor and of the interface, and with
// offloads.
func attachTap(n *testpeers.Namespace, mode int, flags uint16, offloads int) (fd int, err error) {
	err = n.Do(func() error {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|mode, 0); err != nil {
			return err
		}
		ifr, err := unix.NewIfreq("t0")
		if err == nil {
			ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | flags)
			err = unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr)
		}
		if err == nil && offloads != 0 {
			err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads)
		}
		if err != nil {
			unix.Close(fd)
		}
		return err
	})
	return fd, err
}

// plugTaps is two vde_plug of Debian with a device each, on a vde_switch of Debian.
func plugTaps(t testing.TB) *tcpNetwork {
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	var taps [2]*testpeers.KernelTap
	for i := range taps {
		taps[i] = testpeers.StartKernelTap(t, sw.Dir(), testpeers.KernelTapConfig{Addrs: []netip.Prefix{netip.PrefixFrom(tapAddrs[i], 16)}})
	}
	return kernels(taps[0].Namespace, taps[1].Namespace, tapAddrs[0], sw.PID(), taps[0].Plug().PID(), taps[1].Plug().PID())
}

// vethPair is a pair of virtual interfaces of the kernel.
func vethPair(t testing.TB) *tcpNetwork {
	a, b := testpeers.NewNamespace(t), testpeers.NewNamespace(t)
	if _, err := a.Exec(t.Context(), "ip", "link", "add", "t0", "type", "veth", "peer", "name", "t0", "netns", b.Path()); err != nil {
		t.Fatal(err)
	}
	setAddr(t, a, 0)
	setAddr(t, b, 1)
	return kernels(a, b, tapAddrs[0])
}
