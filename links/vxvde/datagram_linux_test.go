// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vxvde

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/udpio"
	"github.com/go-vde/sdk/vnl"
)

// resolved returns what a locator says.
func resolved(t testing.TB, locator string) (address, error) {
	t.Helper()
	a, err := parse(vnl.Parse(locator))
	if err == nil {
		err = a.resolve(t.Context())
	}
	return a, err
}

// newMember returns a member without sockets, whose own address is known.
func newMember(t testing.TB, locator string, self udpio.Addr) *member {
	t.Helper()
	a, err := resolved(t, locator)
	if err != nil {
		t.Fatal(err)
	}
	return &member{
		address: a, head: a.header(), all: udpio.NewPeer(a.group), table: udpio.NewTable(a.Size, a.Age, time.Now),
		bound: true, self: self,
	}
}

var (
	self    = udpio.AddrOf(netip.MustParseAddrPort("10.0.0.1:40000"), 0)
	other   = udpio.AddrOf(netip.MustParseAddrPort("10.0.0.9:50000"), 0)
	station = frame.MAC{2, 0, 0, 0, 0, 9}
)

const fromUnicast = fromGroup + 1

// TestDatagrams accepts what has all bytes of the header as the member sends them, and
// learns from where its frames come.
func TestDatagrams(t *testing.T) {
	f := frame.AppendHeader(nil, frame.Broadcast(), station, frame.EtherTypeExperimental) // 14 bytes
	for i := range 8 {
		m := newMember(t, "vxvde:///vni=66051", self)
		d := append(m.head[:], f...)
		d[i] ^= 0x40
		if _, ok := m.accept(udpio.Datagram{Data: d, From: other}); ok || m.foreign.Load() != 1 || m.table.Len() != 0 {
			t.Errorf("byte %d of the header is another: accepted %v, %d foreign", i, ok, m.foreign.Load())
		}
	}
	for _, socket := range []int{fromGroup, fromUnicast} {
		m := newMember(t, "vxvde:///vni=66051", self)
		if want := [8]byte{8, 0, 0, 0, 1, 2, 3, 0}; m.head != want {
			t.Errorf("the header is % x, want % x", m.head, want)
		}
		d := udpio.Datagram{Data: append(m.head[:], f...), From: other, Socket: socket}
		if got, ok := m.accept(d); !ok || !bytes.Equal(got, f) {
			t.Errorf("socket %d: %x, %v", socket, got, ok)
		}
		if _, to := m.Route(station[:]); to.Addr() != other {
			t.Errorf("socket %d: frames to the sender go to %v", socket, to.Addr().AddrPort())
		}
		d.Data = m.head[:]
		d.From.Port++ // the goodbye of another process of that host
		if _, ok := m.accept(d); ok {
			t.Error("a goodbye is a frame")
		}
		if _, to := m.Route(station[:]); to.Addr() != other {
			t.Errorf("socket %d: another's goodbye counts", socket)
		}
		d.From = other
		if _, ok := m.accept(d); ok {
			t.Error("a goodbye is a frame")
		}
		if _, to := m.Route(station[:]); to != m.all {
			t.Errorf("socket %d: after the goodbye frames go to %v", socket, to.Addr().AddrPort())
		}
		if n := m.foreign.Load(); n != 0 {
			t.Errorf("socket %d: %d foreign", socket, n)
		}
	}
	m := newMember(t, "vxvde://", self)
	own := udpio.Datagram{Data: append(m.head[:], f...), From: self, Socket: fromGroup}
	if _, ok := m.accept(own); ok || m.table.Len() != 0 || m.foreign.Load() != 0 {
		t.Errorf("own datagram: accepted %v, %d addresses, %d foreign", ok, m.table.Len(), m.foreign.Load())
	}
	own.From = other.WithPort(self.Port)
	if _, ok := m.accept(own); !ok {
		t.Error("a datagram from the same port of another host was dropped")
	}
}

// FuzzDatagram compares with the header as a member sends it, and holds learning to
// the source address of the frame.
func FuzzDatagram(f *testing.F) {
	f.Add([]byte("\x08\x00\x00\x00\x00\x00\x01\x00"+"abcdefABCDEFxx"), true)
	f.Add([]byte("\x08\x00\x00\x00\x00\x00\x01\x00"), false)
	f.Add([]byte("\x08\x00\x00\x00\x00\x00\x01"), false)
	f.Fuzz(func(t *testing.T, b []byte, unicast bool) {
		m := newMember(t, "vxvde://", self)
		d := udpio.Datagram{Data: b, From: other}
		if unicast {
			d.Socket = fromUnicast
		}
		got, ok := m.accept(d)
		payload, same := bytes.CutPrefix(b, []byte{8, 0, 0, 0, 0, 0, 1, 0})
		if ok != (same && len(payload) > 0) || ok && !bytes.Equal(got, payload) || m.foreign.Load() == 1 == same {
			t.Fatalf("accepted %v, foreign %d; the header is right: %v", ok, m.foreign.Load(), same)
		}
		learned := ok && len(payload) >= 14 && payload[6]&1 == 0
		if learned != (m.table.Len() == 1) || learned && m.table.Lookup(frame.MAC(payload[6:])).Addr() != other {
			t.Fatalf("%d addresses learned, want %v", m.table.Len(), learned)
		}
		if _, to := m.Route(b); to == nil {
			t.Fatal("no route")
		}
	})
}

// TestLocator maps the parameters as docs/spec/vnl.md, section 5.2 says.
func TestLocator(t *testing.T) {
	for locator, want := range map[string]struct {
		group string
		vni   int
	}{
		"vxvde://":                            {"239.0.0.1:14789", 1},
		"vxvde:///v6":                         {"[ff05:56de::1]:14789", 1},
		"vxvde:///v4/v6":                      {"239.0.0.1:14789", 1},
		"vxvde:///grp=1000":                   {"239.0.3.232:14789", 1000},
		"vxvde:///v6/grp=1000":                {"[ff05:56de::3e8]:14789", 1000},
		"vxvde:///grp=16777217/p=5":           {"239.0.0.1:5", 1},
		"vxvde:///grp=1000/vni=7":             {"239.0.3.232:14789", 7},
		"vxvde:///grp=root/vni=16777215":      {"239.0.0.0:14789", 1<<24 - 1},
		"vxvde://[ff05::1:2:3]/grp=66051":     {"[ff05::1:1:203]:14789", 66051},
		"vxvde://239.1.2.3/port=5/vni=3":      {"239.1.2.3:5", 3},
		"vxvde:///vni":                        {"239.0.0.1:14789", os.Getegid()},
		"vxvde://'239.1.2.3'/vni=%33/ttl='9'": {"239.1.2.3:14789", 3},
	} {
		a, err := resolved(t, locator)
		if err != nil || a.group.AddrPort().String() != want.group || a.VNI != want.vni {
			t.Errorf("%s: %v, vni %d, %v; want %v", locator, a.group.AddrPort(), a.VNI, err, want)
		}
	}
	for _, locator := range []string{
		"vxvde://10.0.0.1", "vxvde://[fd00::1]", "vxvde://239.0.0.1/v6", "vxvde://ff05::1/v4", "vxvde:///grp=no-such-group",
		"vxvde:///vni=no-such-group", "vxvde:///vni=16777216", "vxvde:///port=99999", "vxvde:///ttl=-1", "vxvde:///x=1",
	} {
		if _, err := resolved(t, locator); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: %v, want EINVAL", locator, err)
		}
	}
}
