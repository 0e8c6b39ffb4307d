// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxlan_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/vxlan"
)

func testFrame(dst, src frame.MAC, number, size int) []byte {
	f := bytes.Repeat([]byte{byte(number)}, size)
	frame.PutHeader(f, dst, src, frame.EtherTypeExperimental)
	return f
}

func send(t *testing.T, l link.Link, frames ...[]byte) {
	t.Helper()
	if n, _, err := l.Send(link.Tx{Frames: frames}); n != len(frames) || err != nil {
		t.Fatalf("Send: %d of %d, %v", n, len(frames), err)
	}
}

func recv(t *testing.T, l link.Link) []byte {
	t.Helper()
	buf, sizes := make([]byte, 1<<16), make([]int, 1)
	if n, err := l.Recv(link.Rx{Bufs: [][]byte{buf}, Sizes: sizes}); n != 1 || err != nil {
		t.Fatalf("Recv: %d, %v", n, err)
	}
	return buf[:sizes[0]]
}

func wantFrame(t *testing.T, l link.Link, want []byte) {
	t.Helper()
	if got := recv(t, l); !bytes.Equal(got, want) {
		t.Fatalf("got %d bytes % x, want %d bytes % x", len(got), got[:min(len(got), 20)], len(want), want[:min(len(want), 20)])
	}
}

var (
	macA = frame.MAC{2, 0, 0, 0, 0, 0xa}
	macB = frame.MAC{2, 0, 0, 0, 0, 0xb}
)

// TestSeveral has links of one process share the port: each gets the frames of its
// network, whichever link has received them, and those of none are counted.
func TestSeveral(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	var as, bs []link.Link
	for vni := 1; vni <= 3; vni++ {
		as = append(as, open(t, a, fmt.Sprintf("vxlan://%s/vni=%d", testpeers.VethB4, vni)))
		bs = append(bs, open(t, b, fmt.Sprintf("vxlan://%s/vni=%d", testpeers.VethA4, vni)))
	}
	if _, err := tryOpen(a, "vxlan://"+testpeers.VethB4+"/vni=2"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second link of a network: %v, want EADDRINUSE", err)
	}
	for round := range 3 {
		for i := range bs {
			for k := range 10 {
				send(t, bs[i], testFrame(frame.Broadcast(), macB, 100*i+10*round+k, 60+i))
			}
		}
		for j := range as {
			i := (round + j) % 3
			for k := range 10 {
				wantFrame(t, as[i], testFrame(frame.Broadcast(), macB, 100*i+10*round+k, 60+i))
			}
		}
	}
	// A receive that waits is woken by another link that has received its frame.
	for range 50 {
		waiting := make(chan []byte, 1)
		go func() { waiting <- recv(t, as[0]) }()
		send(t, bs[1], testFrame(frame.Broadcast(), macB, 1, 60))
		send(t, bs[0], testFrame(frame.Broadcast(), macB, 2, 60))
		wantFrame(t, as[1], testFrame(frame.Broadcast(), macB, 1, 60))
		if got := <-waiting; got[20] != 2 {
			t.Fatalf("frame %d", got[20])
		}
	}
	// Addresses learned by another link count.
	send(t, as[2], testFrame(macB, macA, 5, 60))
	wantFrame(t, bs[2], testFrame(macB, macA, 5, 60))

	as[1].Close()
	send(t, bs[1], testFrame(frame.Broadcast(), macB, 1, 60))
	send(t, bs[0], testFrame(frame.Broadcast(), macB, 2, 60))
	wantFrame(t, as[0], testFrame(frame.Broadcast(), macB, 2, 60))
	if n := as[0].Caps().Counters().Foreign; n != 1 {
		t.Errorf("%d foreign, want 1", n)
	}
	open(t, a, "vxlan://"+testpeers.VethB4+"/vni=2") // the number is free again
}

// TestIdle has a link that does not receive lose its own frames beyond a bound, and
// none of another link.
func TestIdle(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	idle, busy := open(t, a, "vxlan://"+testpeers.VethB4+"/vni=1"), open(t, a, "vxlan://"+testpeers.VethB4+"/vni=2")
	flood, other := open(t, b, "vxlan://"+testpeers.VethA4+"/vni=1"), open(t, b, "vxlan://"+testpeers.VethA4+"/vni=2")
	batch := make([][]byte, 50)
	for i := range batch {
		batch[i] = testFrame(frame.Broadcast(), macB, i, 1400)
	}
	const rounds = 60 // 4 MB, twice what may wait
	for i := range rounds {
		send(t, flood, batch...)
		want := testFrame(frame.Broadcast(), macB, i, 100)
		send(t, other, want)
		wantFrame(t, busy, want)
	}
	lost := int(idle.Caps().Counters().Discarded)
	unread, err := idle.Close()
	if err != nil || lost == 0 || lost+unread != rounds*len(batch) {
		t.Errorf("%d discarded, %d unread, %v; together %d", lost, unread, err, rounds*len(batch))
	}
	if c := busy.Caps().Counters(); c != (link.Counters{}) {
		t.Errorf("the other link has lost %+v", c)
	}
}

// TestPortInUse says what to do when the port is taken.
func TestPortInUse(t *testing.T) {
	n := testpeers.NewNamespace(t)
	if err := n.Do(func() error {
		c, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 4789})
		if err == nil {
			t.Cleanup(func() { c.Close() })
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	_, err := tryOpen(n, "vxlan://127.0.0.1/vni=1")
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "port=") {
		t.Errorf("%v, want EADDRINUSE and a remedy", err)
	}
	if _, err = tryOpen(n, "vxlan://239.1.2.3/port=4790"); err == nil || !strings.Contains(err.Error(), "if=") {
		t.Errorf("a group without a route: %v, want a remedy", err)
	}
	open(t, n, "vxlan://127.0.0.1/port=4790") // nothing is left of the failure
}

// TestLearning sends to the endpoint that a frame has come from, not to the remote one.
func TestLearning(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	la := open(t, a, "vxlan://10.99.0.77/vni=1") // where there is nobody
	lb := open(t, b, "vxlan://"+testpeers.VethA4+"/vni=1")
	f := testFrame(frame.Broadcast(), macB, 1, 14)
	send(t, lb, f)
	wantFrame(t, la, f)
	f = testFrame(macB, macA, 2, 60)
	send(t, la, f)
	wantFrame(t, lb, f)
}

// TestSourcePorts sends each flow from one port, and flows from several, all in the
// range that RFC 7348 recommends.
func TestSourcePorts(t *testing.T) {
	a, b := testpeers.NewVeth(t)
	l := open(t, a, "vxlan://"+testpeers.VethB4+"/vni=7")
	var c *net.UDPConn
	if err := b.Do(func() (err error) {
		c, err = net.ListenUDP("udp4", &net.UDPAddr{Port: 4789})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ports := make(map[int]bool)
	of := make(map[byte]int)
	buf := make([]byte, 100)
	for i := range 60 {
		src := macA
		src[5] = byte(i % 20)
		send(t, l, testFrame(frame.Broadcast(), src, i, 60))
		n, from, err := c.ReadFromUDP(buf)
		if err != nil || n != 68 || !bytes.Equal(buf[:8], []byte{8, 0, 0, 0, 0, 0, 7, 0}) {
			t.Fatalf("%d bytes % x, %v", n, buf[:8], err)
		}
		if port := of[src[5]]; port != 0 && port != from.Port {
			t.Errorf("a flow goes from port %d and %d", port, from.Port)
		}
		of[src[5]], ports[from.Port] = from.Port, true
		if from.Port < 49152 {
			t.Errorf("port %d", from.Port)
		}
	}
	if len(ports) < 2 {
		t.Errorf("20 flows go from %d port", len(ports))
	}
}

// TestOverhead sends frames that are as long as the path allows in one datagram, and
// the next longer ones in fragments.
func TestOverhead(t *testing.T) {
	for _, c := range []struct {
		name, a, b string
		overhead   int
		counter    string
	}{
		{"IPv4", testpeers.VethA4, testpeers.VethB4, vxlan.OverheadIPv4, "Ip FragCreates"},
		{"IPv6", testpeers.VethA6, testpeers.VethB6, vxlan.OverheadIPv6, "Ip6FragCreates"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := testpeers.NewVeth(t)
			la, lb := open(t, a, "vxlan://"+c.b+"/vni=1"), open(t, b, "vxlan://"+c.a+"/vni=1")
			for i, size := range []int{1500 - c.overhead, 1500 - c.overhead + 1, 9000} {
				frames := [][]byte{testFrame(macB, macA, 1, size), testFrame(macB, macA, 2, size), testFrame(macB, macA, 3, size)}
				send(t, la, frames...)
				for _, f := range frames {
					wantFrame(t, lb, f)
				}
				if n := counter(t, a, c.counter); (n > 0) != (i > 0) {
					t.Errorf("%d fragments were made of frames of up to %d bytes", n, size)
				}
			}
		})
	}
}

// counter returns a counter of a namespace: "Ip FragCreates" or "Ip6FragCreates".
func counter(t *testing.T, n *testpeers.Namespace, name string) int {
	t.Helper()
	var text []byte
	file := "/proc/thread-self/net/snmp6"
	group, field, v4 := strings.Cut(name, " ")
	if v4 {
		file = "/proc/thread-self/net/snmp"
	}
	if err := n.Do(func() (err error) {
		text, err = os.ReadFile(file)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		switch {
		case !v4 && fields[0] == name:
			return atoi(t, fields[1])
		case v4 && fields[0] == group+":" && names == nil:
			names = fields
		case v4 && fields[0] == group+":":
			for i := range names {
				if names[i] == field {
					return atoi(t, fields[i])
				}
			}
		}
	}
	t.Fatalf("no counter %q in\n%s", name, text)
	return 0
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOpenErrors refuses what the locator cannot mean.
func TestOpenErrors(t *testing.T) {
	n := testpeers.NewNamespace(t)
	for _, locator := range []string{
		"vxlan://10.0.0.1/vni=16777216", "vxlan://10.0.0.1/vni=-1", "vxlan://10.0.0.1/vni=x", "vxlan://10.0.0.1/vni",
		"vxlan://10.0.0.1/port=65536", "vxlan://10.0.0.1/port=0", "vxlan://10.0.0.1/ttl=256", "vxlan://10.0.0.1/grp=1",
		"vxlan://10.0.0.1/v6", "vxlan://[::1]/v4", "vxlan://10.0.0.1/nonsense=1", "vxlan://10.0.0.1/rcvbuf=0", "vxlan://10.0.0.1/hashsize=-1",
	} {
		if _, err := tryOpen(n, locator); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: %v, want EINVAL", locator, err)
		}
	}
	if _, err := tryOpen(n, "vxlan://10.0.0.1/if=nosuch"); err == nil || !strings.Contains(err.Error(), "nosuch") {
		t.Errorf("no interface: %v", err)
	}
}
