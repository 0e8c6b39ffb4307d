// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package frame_test

import (
	"encoding/json"
	"errors"
	"net"
	"slices"
	"testing"

	"github.com/go-vde/sdk/frame"
)

var goodMACs = []struct {
	in   string
	want frame.MAC
}{
	{"00:00:5e:00:53:01", frame.MAC{0x00, 0x00, 0x5e, 0x00, 0x53, 0x01}},
	{"00-00-5E-00-53-01", frame.MAC{0x00, 0x00, 0x5e, 0x00, 0x53, 0x01}},
	{"0000.5e00.5301", frame.MAC{0x00, 0x00, 0x5e, 0x00, 0x53, 0x01}},
	{"aB:Cd:eF:09:10:ff", frame.MAC{0xab, 0xcd, 0xef, 0x09, 0x10, 0xff}},
	{"fedc.BA98.7654", frame.MAC{0xfe, 0xdc, 0xba, 0x98, 0x76, 0x54}},
	{"00:00:00:00:00:00", frame.MAC{}},
	{"ff:ff:ff:ff:ff:ff", frame.Broadcast()},
}

var badMACs = []string{
	"",
	"0",
	"00:00:5e:00:53",
	"00:00:5e:00:53:0",
	"00:00:5e:00:53:01:",
	"00:00:5e:00:53:01:02:03", // EUI-64
	"02:00:5e:10:00:00:00:01",
	"0200.5e10.0000.0001",
	"00:00:5e-00:53:01",
	"00-00:5e-00-53-01",
	"00.00.5e.00.53.01",
	"0000:5e00:5301",
	"0000.5e00-5301",
	"00005e005301",
	"00:00:5g:00:53:01",
	"00:00:5e:00:53:0x",
	"+0:00:5e:00:53:01",
	" 0:00:5e:00:53:01",
	"0000.5e00.530\xff",
	"0:0:5e:0:53:1",
}

func TestParseMAC(t *testing.T) {
	for _, c := range goodMACs {
		if got, err := frame.ParseMAC(c.in); err != nil || got != c.want {
			t.Errorf("ParseMAC(%q) = %v, %v; want %v", c.in, got, err, c.want)
		}
		var m frame.MAC
		if err := m.UnmarshalText([]byte(c.in)); err != nil || m != c.want {
			t.Errorf("UnmarshalText(%q) = %v, %v; want %v", c.in, m, err, c.want)
		}
	}
	for _, in := range badMACs {
		got, err := frame.ParseMAC(in)
		var addrErr *net.AddrError
		if got != (frame.MAC{}) || !errors.As(err, &addrErr) || addrErr.Addr != in {
			t.Errorf("ParseMAC(%q) = %v, %v; want a net.AddrError", in, got, err)
		}
		m := frame.Broadcast()
		if err := m.UnmarshalText([]byte(in)); !errors.As(err, &addrErr) || m != frame.Broadcast() {
			t.Errorf("UnmarshalText(%q) = %v, now %v; want an error and no change", in, err, m)
		}
	}
}

func TestMACFrom(t *testing.T) {
	hw := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	m, ok := frame.MACFrom(hw)
	if !ok || m != (frame.MAC{2, 0, 0, 0, 0, 1}) {
		t.Errorf("MACFrom = %v, %t", m, ok)
	}
	hw[5] = 9
	if m[5] != 1 {
		t.Error("MACFrom did not copy")
	}
	for _, n := range []int{0, 5, 7, 8, 20} {
		if m, ok := frame.MACFrom(make([]byte, n)); ok || m != (frame.MAC{}) {
			t.Errorf("MACFrom of %d bytes = %v, %t", n, m, ok)
		}
	}

	c := m.HardwareAddr()
	c[0] = 0xff
	if m[0] != 2 || c.String() != "ff:00:00:00:00:01" {
		t.Errorf("HardwareAddr is not a copy: %v, %v", m, c)
	}
}

func TestMACBits(t *testing.T) {
	for _, c := range []struct {
		in           string
		group, local bool
	}{
		{"00:00:5e:00:53:01", false, false},
		{"52:54:00:12:34:56", false, true},
		{"01:80:c2:00:00:00", true, false},
		{"33:33:00:00:00:01", true, true},
		{"ff:ff:ff:ff:ff:ff", true, true},
		{"fc:ff:ff:ff:ff:ff", false, false},
	} {
		m, err := frame.ParseMAC(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if m.IsGroup() != c.group || m.IsLocal() != c.local {
			t.Errorf("%s: group %t, local %t; want %t, %t", c.in, m.IsGroup(), m.IsLocal(), c.group, c.local)
		}
	}
}

func TestMACCompare(t *testing.T) {
	want := []frame.MAC{{}, {0, 0, 0, 0, 0, 1}, {0, 1}, {1}, {1, 0, 0, 0, 0, 1}, frame.Broadcast()}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, frame.MAC.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("sorted: %v", got)
	}
	if c := want[1].Compare(want[1]); c != 0 {
		t.Errorf("Compare with itself = %d", c)
	}
}

// TestMACMapKey also covers the form that json gives map keys and values.
func TestMACMapKey(t *testing.T) {
	in := map[frame.MAC]frame.MAC{{2, 0, 0, 0, 0, 0xab}: frame.Broadcast()}
	b, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(b), `{"02:00:00:00:00:ab":"ff:ff:ff:ff:ff:ff"}`; got != want {
		t.Errorf("json %s, want %s", got, want)
	}
	var out map[frame.MAC]frame.MAC
	if err := json.Unmarshal(b, &out); err != nil || out[frame.MAC{2, 0, 0, 0, 0, 0xab}] != frame.Broadcast() {
		t.Errorf("back from json: %v, %v", out, err)
	}
}

func TestMACAllocs(t *testing.T) {
	var (
		m   frame.MAC
		ok  bool
		buf = make([]byte, 0, 17)
		raw = []byte("0000.5e00.5301")
	)
	for name, f := range map[string]func(){
		"ParseMAC colon":  func() { m, _ = frame.ParseMAC("00:00:5e:00:53:01") },
		"ParseMAC hyphen": func() { m, _ = frame.ParseMAC("00-00-5e-00-53-01") },
		"ParseMAC dot":    func() { m, _ = frame.ParseMAC("0000.5e00.5301") },
		"UnmarshalText":   func() { ok = m.UnmarshalText(raw) == nil },
		"MACFrom":         func() { m, ok = frame.MACFrom(raw[:6]) },
		"AppendTo":        func() { buf = m.AppendTo(buf[:0]) },
		"Compare":         func() { ok = m.Compare(frame.Broadcast()) < 0 },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", name, n)
		}
	}
	if !ok {
		t.Error("not parsed")
	}
}
