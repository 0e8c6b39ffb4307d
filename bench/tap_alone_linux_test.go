// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/testpeers"
)

// aloneSize is what a segment of TCP carries that the kernel hands over: 45 times what
// fits a frame.
const aloneSize = 45 * 1448

// BenchmarkTapAlone moves one segment after the other from socket to socket, all in one
// goroutine: what the kernel and the system calls take without waking anybody, and with
// the data in the caches of one processor. Its share between the devices is what a
// program that forwards cannot do without.
func BenchmarkTapAlone(b *testing.B) {
	for _, p := range []struct {
		name     string
		flags    uint16
		offloads int
	}{
		{"tap", unix.IFF_VNET_HDR, unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6},
		{"plain", 0, 0},
		{"veth", 0, 0},
	} {
		leaf(b, "path="+p.name, func(t testing.TB) *alone {
			if p.name == "veth" {
				return newAlone(t, vethPair(t))
			}
			ns, fds := tapNamespaces(t, func(n *testpeers.Namespace) (int, error) {
				return attachTap(n, unix.O_NONBLOCK, p.flags, p.offloads)
			})
			t.Cleanup(func() {
				for _, fd := range fds {
					unix.Close(fd)
				}
			})
			return newAlone(t, kernels(ns[0], ns[1], tapAddrs[0]), fds[:]...)
		}, (*alone).bench)
	}
}

// An alone is a connection of the kernel, and the devices that its frames are copied
// between, if there are any.
type alone struct {
	taps      []int
	from, to  int // sockets
	buf, sink []byte
}

func newAlone(t testing.TB, n *tcpNetwork, taps ...int) *alone {
	a := &alone{taps: taps, buf: make([]byte, 1<<17), sink: make([]byte, aloneSize)}
	stop := a.forwardUntil(t) // the frames of the handshake
	defer stop()
	f := n.connect(t, 1)
	for _, s := range []struct {
		conn net.Conn
		fd   *int
	}{{f.out[0], &a.from}, {f.in[0], &a.to}} {
		raw, err := s.conn.(*net.TCPConn).SyscallConn()
		if err == nil {
			err = raw.Control(func(fd uintptr) { *s.fd = int(fd) })
		}
		if err == nil {
			// Another algorithm may wait between segments.
			err = unix.SetsockoptString(*s.fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, "reno")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// forwardUntil copies between the devices what comes, until stop is called.
func (a *alone) forwardUntil(t testing.TB) (stop func()) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fds := []unix.PollFd{{Fd: int32(reader.Fd()), Events: unix.POLLIN}}
	for _, fd := range a.taps {
		fds = append(fds, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	var running sync.WaitGroup
	running.Go(func() {
		defer reader.Close()
		for fds[0].Revents == 0 {
			if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
				t.Error(err)
				return
			}
			a.forward()
		}
	})
	return func() {
		writer.Close()
		running.Wait()
	}
}

// forward copies between the devices what there is.
func (a *alone) forward() {
	for i, from := range a.taps {
		for {
			n, err := unix.Read(from, a.buf)
			if err != nil {
				break
			}
			_, _ = unix.Write(a.taps[1-i], a.buf[:n]) // what is lost comes again
		}
	}
}

// bench reports medians: other programs take processors away from some of the turns.
func (a *alone) bench(b *testing.B) {
	whole, between := make([]time.Duration, 0, b.N), make([]time.Duration, 0, b.N)
	for range b.N {
		start := time.Now()
		var forward time.Duration
		for sent, received := 0, 0; received < aloneSize; {
			if n, err := unix.Write(a.from, a.sink[sent:]); err == nil {
				sent += n
			}
			begin := time.Now()
			a.forward()
			forward += time.Since(begin)
			if n, err := unix.Read(a.to, a.sink[received:]); err == nil {
				received += n
			}
		}
		whole, between = append(whole, time.Since(start)), append(between, forward)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(histogram(whole).ValueAtQuantile(50)), "p50-ns")
	b.ReportMetric(float64(histogram(between).ValueAtQuantile(50)), "p50-between-ns")
}
