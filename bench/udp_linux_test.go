// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package bench_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"

	"github.com/go-vde/sdk/bench/internal/peer"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
)

// BenchmarkUDP is networks over UDP, between two network namespaces joined by a veth
// cable: a datagram for each system call, the drivers of this SDK, and libvdeplug in
// Debian's vde_plug. 1458 bytes are what fits a datagram with the header of VXLAN.
func BenchmarkUDP(b *testing.B) {
	for _, size := range []string{"64", "1458", "1514"} {
		b.Run("size="+size, func(b *testing.B) {
			l := newLoad(b, size)
			for _, c := range inOrder(overUDP) {
				leaf(b, "path="+c.name, func(t testing.TB) subject { return c.subject(t, l) }, func(s subject, b *testing.B) { s.bench(b, l) })
			}
		})
	}
}

// overUDP has no vxlan:// of libvdeplug: that of Debian cannot send to an address that it
// has learned (docs/spec/vnl.md, section 5.3).
var overUDP = []contender{
	{name: "udp-one", limit: anySize, batch: 1, endpoints: datagrams},
	overVeth("udp", "udp://20001->"+testpeers.VethB4+":20001", "udp://20001->"+testpeers.VethA4+":20001"),
	overVeth("vxlan", "vxlan://"+testpeers.VethB4, "vxlan://"+testpeers.VethA4),
	overVeth("vxvde", "vxvde://", "vxvde://"),
	plugs("c-vxvde", "vxvde://"),
}

// datagrams is two connected sockets.
func datagrams(t testing.TB, l load) (a, b peer.Endpoint) {
	na, nb := testpeers.NewVeth(t)
	dial := func(n *testpeers.Namespace, from, to string) (e peer.Endpoint) {
		if err := n.Do(func() error {
			c, err := net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from), Port: 20001}, &net.UDPAddr{IP: net.ParseIP(to), Port: 20001})
			if err == nil {
				_ = c.SetReadBuffer(4 << 20)
				e = newPackets(c, l.max())
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return e
	}
	return dial(na, testpeers.VethA4, testpeers.VethB4), dial(nb, testpeers.VethB4, testpeers.VethA4)
}

// overVeth is two connections that locators name.
func overVeth(name, locatorA, locatorB string) contender {
	return contender{name: name, limit: anySize, batch: batch, endpoints: func(t testing.TB, l load) (a, b peer.Endpoint) {
		na, nb := testpeers.NewVeth(t)
		return openIn(t, na, locatorA, l), openIn(t, nb, locatorB, l)
	}}
}

func openIn(t testing.TB, n *testpeers.Namespace, locator string, l load) peer.Endpoint {
	var c *vde.Conn
	if err := n.Do(func() (err error) {
		c, err = vde.Open(context.Background(), locator, roomFor(l.max())...)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return newConn(c, "batch", l.max())
}

// plugs is two vde_plug on a network, spoken to as streams.
func plugs(name, locator string) contender {
	return contender{name: name, limit: anySize, batch: batch, endpoints: func(t testing.TB, l load) (a, b peer.Endpoint) {
		testpeers.Need(t, "vde_plug")
		na, nb := testpeers.NewVeth(t)
		return startPlug(t, na, locator), startPlug(t, nb, locator)
	}}
}

// A plug is a running vde_plug as an endpoint. Frames on its standard input and output
// follow their length in 2 bytes.
type plug struct {
	cmd      *exec.Cmd
	in, out  *os.File
	writer   *bufio.Writer
	reader   *bufio.Reader
	received [1][]byte
	buf      [1 << 16]byte
}

func startPlug(t testing.TB, n *testpeers.Namespace, locator string) *plug {
	in, childOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer childOut.Close()
	childIn, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer childIn.Close()
	p := &plug{cmd: exec.Command("vde_plug", locator), in: in, out: out, writer: bufio.NewWriterSize(out, 1<<16), reader: bufio.NewReaderSize(in, 1<<16)}
	p.cmd.Stdin, p.cmd.Stdout = childIn, childOut
	if err := n.Do(p.cmd.Start); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *plug) Send(frames [][]byte) (int, error) {
	for _, f := range frames {
		var head [2]byte
		binary.BigEndian.PutUint16(head[:], uint16(len(f)))
		_, _ = p.writer.Write(head[:]) // Flush tells
		_, _ = p.writer.Write(f)
	}
	if err := p.writer.Flush(); err != nil {
		return 0, err
	}
	return len(frames), nil
}

func (p *plug) Recv() ([][]byte, error) {
	head, err := p.reader.Peek(2)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head))
	if _, err = p.reader.Discard(2); err == nil {
		_, err = io.ReadFull(p.reader, p.buf[:n])
	}
	p.received[0] = p.buf[:n]
	return p.received[:], err
}

func (p *plug) Calls() uint64 { return 0 }

func (p *plug) Close() error {
	p.out.Close()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
	return p.in.Close()
}
