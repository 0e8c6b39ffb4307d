// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testpeers"
)

// A pair is two vde_plugs, one on each switch.
type pair [2]*testpeers.VdePlug

// plug joins both switches; port may be empty or such as "[3]".
func (b *both) plug(port, description string) pair {
	b.Helper()
	return pair{
		testpeers.StartVdePlug(b, b.stock.Dir()+port, "-D", description),
		testpeers.StartVdePlug(b, b.dir+port, "-D", description),
	}
}

// send sends a frame from p and has both get it at to.
func (b *both) send(p, to pair, src, dst frame.MAC) {
	b.Helper()
	f := testFrame(dst, src)
	for i := range p {
		if err := p[i].Send(f); err != nil {
			b.Fatal(err)
		}
		if _, err := to[i].Recv(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// leave ends the plugs, and waits until their ports have no endpoint, which number says.
func (b *both) leave(p pair, number string) {
	b.Helper()
	for i := range p {
		p[i].CloseInput()
		for strings.Contains(b.raws[i].run("port/print "+number), "endpoint ID") {
			time.Sleep(time.Millisecond) // there is no event in this session
		}
	}
}

// testFrame returns a frame of 60 bytes.
func testFrame(dst, src frame.MAC) []byte {
	f := append(append(make([]byte, 0, 60), dst[:]...), src[:]...)
	return append(f, make([]byte, 60-len(f))...)
}

var endpointID = regexp.MustCompile(`endpoint ID (\d+)`)

// endpoint returns the number of the newest endpoint of a port on switch i.
func (b *both) endpoint(i int, port string) string {
	b.Helper()
	m := endpointID.FindStringSubmatch(b.raws[i].run("port/print " + port))
	if m == nil {
		b.Fatalf("port %s has no endpoint", port)
	}
	n, _ := strconv.Atoi(m[1])
	return strconv.Itoa(n)
}

var (
	macA = frame.MAC{2, 0, 0, 0, 0, 0xa}
	macB = frame.MAC{2, 0, 0, 0, 0, 0xb}
)

// TestStockPorts compares what the consoles say while plugs come, send and go.
func TestStockPorts(t *testing.T) {
	b := startBoth(t)
	b.run("port/create 3", "port/create 1")
	p2 := b.plug("", "any") // 1 is not for those who ask for any
	p3 := b.plug("[3]", "three")
	p0 := b.plug("[0]", "management")
	look := []string{"port/print", "port/allprint", "port/print 3", "port/print 1", "vlan/print", "vlan/allprint", "fstp/print", "hash/print"}
	b.run(look...)
	b.send(p2, p3, macA, frame.Broadcast())
	b.send(p3, p2, macB, macA)
	b.run(look...)
	p3b := b.plug("[3]", "three again")
	b.run("port/print", "port/print 3")
	b.run("hash/find 02:00:00:00:00:0c", "hash/find 02:00:00:00:00:0a 7")
	b.run("port/remove 3", "port/setnumports 3", "port/setnumports 4", "port/create 3", "vlan/remove 0", "port/showinfo", "port/setnumports 32")
	b.run("vlan/create 7", "vlan/addport 7 2", "port/setvlan 3 7", "vlan/remove 7")
	b.run(look[:len(look)-1]...) // vde_switch forgets the addresses of a VLAN when a port comes to it or leaves
	b.run("fstp/setedge 7 3 1", "fstp/setedge 7 2 1", "fstp/bonus 0 2 8", "fstp/setedge 0 0 1", "fstp/print", "fstp/print 7", "fstp/setedge 0 0 0", "fstp/print 0")
	b.run("port/allocatable 2 0", "port/print 2", "port/resetcounter 2", "port/print 2", "port/resetcounter", "port/print")
	b.run("port/epclose 3 9999", "port/epclose 2 9999")
	id := [2]string{b.endpoint(0, "3"), b.endpoint(1, "3")}
	b.same("port/epclose", b.raws[0].run("port/epclose 3 "+id[0]), b.raws[1].run("port/epclose 3 "+id[1]))
	b.same("port/epclose again", b.raws[0].run("port/epclose 3 "+id[0]), b.raws[1].run("port/epclose 3 "+id[1]))
	b.run("port/print")
	b.leave(p3, "3")
	b.leave(p3b, "3")
	b.leave(p2, "2")
	b.leave(p0, "0")
	b.run("port/print", "port/allprint", "vlan/allprint", "port/remove 3", "port/allprint", "vlan/allprint", "vlan/remove 7")
}

// events opens sessions that get the events whose path begins with prefix.
func (b *both) events(prefix string) [2]*raw {
	var list [2]*raw
	for i, path := range b.mgmts() {
		list[i] = dialRaw(b, path)
		list[i].answer()
		list[i].run("debug/add " + prefix)
	}
	return list
}

// TestStockEvents compares the events that consoles tell.
func TestStockEvents(t *testing.T) {
	b := startBoth(t)
	listeners := b.events("port")
	hash := b.events("hash/+")
	fstp := b.events("fstp")
	same := func(what string, sessions [2]*raw, end string) {
		t.Helper()
		b.same("events of "+what, sessions[0].until([]byte(end)), sessions[1].until([]byte(end)))
	}
	b.run("port/create 3")
	same("port/create", listeners, "port/+ 03\n")
	b.run("port/createauto", "port/remove 1", "port/create 1")
	same("port/createauto", listeners, "port/+ 01\n3021 port/+ 01\n")
	b.run("vlan/create 261")
	for i := range fstp {
		if got, want := fstp[i].until([]byte("\n")), "3045 fstp/root Port 0000 VLAN 01:05 -> 80:00:"; !strings.HasPrefix(got, want) {
			t.Errorf("vlan/create: %q, want %q", got, want)
		}
	}
	p2 := b.plug("", "hello")
	same("a new port", listeners, "\"\n")
	p3 := b.plug("[3]", "three")
	same("a port that was there", listeners, "\"\n")
	p3b := b.plug("[3]", "again")
	same("another endpoint", listeners, "\"\n")
	b.send(p2, p3, macA, frame.Broadcast())
	same("an address", hash, "Port 2\n")
	b.run("port/setvlan 3 261")
	b.run("port/setvlan 2 261")
	b.send(p2, p3, macA, frame.Broadcast())
	same("an address in a VLAN", hash, "Port 2\n")
	b.leave(p2, "2")
	same("the last endpoint", listeners, "port/- 02\n")
	p3b[0].CloseInput()
	p3b[1].CloseInput()
	same("an endpoint", listeners, "\n")
	b.leave(p3, "3")
	same("the last endpoint", listeners, "port/- 03\n")
	b.plug("[2]", "back")
	same("a port that comes back", listeners, "\"\n")
}
