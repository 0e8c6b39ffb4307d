// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/gso"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
)

// The addresses of the hosts on both ends of a tunnel.
const (
	innerA = "10.5.0.1"
	innerB = "10.5.0.2"
)

// kernelDevice makes the kernel's tunnel device in a namespace.
func kernelDevice(t *testing.T, n *testpeers.Namespace, args ...string) {
	t.Helper()
	for _, command := range [][]string{
		append([]string{"link", "add", "vx0", "type", "vxlan", "id", "42", "dstport", "4789", "dev", testpeers.VethName}, args...),
		{"addr", "add", innerB + "/24", "dev", "vx0"},
		{"link", "set", "dev", "vx0", "up"},
	} {
		if _, err := n.Exec(context.Background(), append([]string{"ip"}, command...)...); err != nil {
			t.Fatal(err)
		}
	}
}

// A cable joins a link and a tap device.
type cable struct {
	l       link.Link
	tap     *os.File
	headers bool // take metadata
	partial atomic.Uint64
	running sync.WaitGroup
}

func newCable(t *testing.T, l link.Link, tap *os.File, headers bool) *cable {
	c := &cable{l: l, tap: tap, headers: headers}
	c.running.Go(c.up)
	c.running.Go(c.down)
	t.Cleanup(func() {
		l.Close()
		tap.Close()
		c.running.Wait()
	})
	return c
}

func (c *cable) up() {
	buf := make([]byte, 1<<16)
	for {
		n, err := c.tap.Read(buf)
		if err != nil {
			return
		}
		if _, _, err := c.l.Send(link.Tx{Frames: [][]byte{buf[:n]}}); err != nil {
			return
		}
	}
}

func (c *cable) down() {
	rx := link.Rx{Bufs: make([][]byte, 32), Sizes: make([]int, 32)}
	for i := range rx.Bufs {
		rx.Bufs[i] = make([]byte, 1<<16)
	}
	if c.headers {
		rx.Headers = make([]frame.VNetHeader, 32)
	}
	for {
		n, err := c.l.Recv(rx)
		if err != nil {
			return
		}
		for i, f := range rx.Bufs[:n] {
			f = f[:rx.Sizes[i]]
			if c.headers && rx.Headers[i].Partial() {
				c.partial.Add(1)
				gso.Finish(rx.Headers[i], f)
			}
			_, _ = c.tap.Write(f)
		}
	}
}

// echo has data go from one namespace to another and back by TCP.
func echo(t *testing.T, from, to *testpeers.Namespace, ip string, size int) {
	t.Helper()
	data := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(data)
	var l net.Listener
	if err := to.Do(func() (err error) {
		l, err = net.Listen("tcp", net.JoinHostPort(ip, "0"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.CopyN(struct{ io.Writer }{c}, c, int64(size))
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
		_, err := c.Write(data)
		wrote <- err
	}()
	sum := sha256.New()
	n, err := io.Copy(sum, c)
	if err := errors.Join(err, <-wrote, <-served); err != nil || [32]byte(sum.Sum(nil)) != sha256.Sum256(data) {
		t.Errorf("%d bytes of %d came back, %v", n, size, err)
	}
}

// TestKernel joins the kernel's tunnel device by TCP. It sends frames with partial
// checksums, which are completed here or by the receiver; without that, no connection
// comes about.
func TestKernel(t *testing.T) {
	for _, c := range []struct {
		name, locator string
		kernel        []string
		headers       bool
	}{
		{"Unicast", "vxlan://" + testpeers.VethB4 + "/vni=42", []string{"remote", testpeers.VethA4}, false},
		{"UnicastHeaders", "vxlan://" + testpeers.VethB4 + "/vni=42", []string{"remote", testpeers.VethA4}, true},
		{"UnicastIPv6", "vxlan://[" + testpeers.VethB6 + "]/vni=42", []string{"remote", testpeers.VethA6}, false},
		{"UnicastIPv6NoChecksum", "vxlan://[" + testpeers.VethB6 + "]/vni=42", []string{"remote", testpeers.VethA6, "udp6zerocsumtx"}, false},
		{"Group", "vxlan://239.1.1.1/vni=42", []string{"group", "239.1.1.1"}, false},
		{"GroupIPv6", "vxlan://ff05::42/vni=42/if=" + testpeers.VethName, []string{"group", "ff05::42"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if testing.Short() && c.name != "Unicast" && c.name != "GroupIPv6" {
				t.Skip("in the long run")
			}
			a, b := testpeers.NewVeth(t)
			kernelDevice(t, b, c.kernel...)
			tap := testpeers.NewRawTap(t, a, "tap0", innerA+"/24", "1430")
			cable := newCable(t, open(t, a, c.locator), tap, c.headers)
			echo(t, a, b, innerB, 1<<20)
			echo(t, b, a, innerA, 1<<20)
			if c.headers && cable.partial.Load() == 0 {
				t.Error("no frame came with a partial checksum: the test shows nothing")
			}
		})
	}
}
