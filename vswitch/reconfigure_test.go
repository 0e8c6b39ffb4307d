// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"errors"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// vlanOf returns the VLAN of port n.
func vlanOf(t *testing.T, sw *vswitch.Switch, n int) uint16 {
	t.Helper()
	pc, err := sw.Port(n)
	if err != nil {
		t.Fatal(err)
	}
	return pc.VLAN
}

func TestDefaultPortChanges(t *testing.T) {
	sw := vswitch.New(vswitch.Config{
		DefaultPort: vswitch.PortConfig{VLAN: 1},
		Ports:       map[int]vswitch.PortConfig{2: {VLAN: 2}},
		PortGroups:  map[string]vswitch.PortGroup{"lab": {First: 10, Last: 12, DefaultPort: vswitch.PortConfig{VLAN: 5}}},
	})
	defer sw.Close()
	for _, n := range []int{1, 2, 10} {
		attach(t, sw, n)
	}
	want := func(when string, vlans map[int]uint16) {
		t.Helper()
		for n, v := range vlans {
			if got := vlanOf(t, sw, n); got != v {
				t.Errorf("%s: port %d is in VLAN %d, want %d", when, n, got, v)
			}
		}
	}
	want("at first", map[int]uint16{1: 1, 2: 2, 3: 1, 10: 5, 12: 5})
	if err := errors.Join(sw.SetPort(12, vswitch.PortConfig{VLAN: 9}), sw.SetDefaultPort(vswitch.PortConfig{VLAN: 7})); err != nil {
		t.Fatal(err)
	}
	want("another default", map[int]uint16{1: 7, 2: 2, 3: 7, 4: 7, 10: 5, 12: 9})
	if err := errors.Join(sw.ResetPort(2), sw.ResetPort(12)); err != nil {
		t.Fatal(err)
	}
	want("reset", map[int]uint16{1: 7, 2: 7, 3: 7, 10: 5, 12: 5})
	static := vswitch.PortConfig{Static: []vswitch.StaticEntry{{MAC: macB}}}
	if err := sw.SetDefaultPort(static); err == nil {
		t.Error("a static entry for all ports")
	}
	if err := sw.SetDefaultPort(vswitch.PortConfig{Reserved: true}); err == nil {
		t.Error("all ports are reserved")
	}
}

// TestCompareAndSetPort changes a port only while it has the configuration that was read,
// with a record of the port and without.
func TestCompareAndSetPort(t *testing.T) {
	sw := vswitch.New(vswitch.Config{
		NumPorts: 20, DefaultPort: vswitch.PortConfig{VLAN: 1}, Ports: map[int]vswitch.PortConfig{2: {VLAN: 2, Tagged: []uint16{3, 4}}},
		PortGroups: map[string]vswitch.PortGroup{"lab": {First: 10, Last: 12, DefaultPort: vswitch.PortConfig{VLAN: 5}}},
	})
	defer sw.Close()
	read := sw.Config() // not Port, which makes a record
	attach(t, sw, 4)
	for n, old := range map[int]vswitch.PortConfig{1: read.DefaultPort, 2: read.Ports[2], 4: read.DefaultPort, 11: read.PortGroups["lab"].DefaultPort} {
		was := old.VLAN
		other := old
		other.Tagged = []uint16{3, 5}
		if set, err := sw.CompareAndSetPort(n, other, vswitch.PortConfig{VLAN: 99}); set || err != nil {
			t.Errorf("port %d, another configuration: %v, %v", n, set, err)
		}
		if slices.ContainsFunc(sw.Ports(), func(p vswitch.PortInfo) bool { return p.Number == n }) != (n == 2 || n == 4) {
			t.Errorf("port %d: in use only because it was compared", n)
		}
		if len(old.Tagged) == 0 {
			old.Tagged = []uint16{} // which is the same
		}
		if set, err := sw.CompareAndSetPort(n, old, vswitch.PortConfig{VLAN: was + 50}); !set || err != nil {
			t.Errorf("port %d: %v, %v", n, set, err)
		}
		if vlan := vlanOf(t, sw, n); vlan != was+50 {
			t.Errorf("port %d has VLAN %d, want %d", n, vlan, was+50)
		}
		if set, err := sw.CompareAndSetPort(n, old, vswitch.PortConfig{VLAN: 99}); set || err != nil {
			t.Errorf("port %d, again: %v, %v", n, set, err)
		}
	}
	if _, err := sw.CompareAndSetPort(21, read.DefaultPort, vswitch.PortConfig{}); !errors.Is(err, vswitch.ErrNoPort) {
		t.Errorf("port 21: %v", err)
	}
	if _, err := sw.CompareAndSetPort(1, read.DefaultPort, vswitch.PortConfig{VLAN: 4096}); err == nil {
		t.Error("VLAN 4096 was taken")
	}
}

// TestCompareAndSetPortAtOnce changes a port several times at once: no change is lost.
func TestCompareAndSetPortAtOnce(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	var running sync.WaitGroup
	const each = 50
	for i := range uint16(4) {
		running.Go(func() {
			for n := range uint16(each) {
				for set := false; !set; {
					old, err := sw.Port(7)
					pc := old
					pc.Tagged = append(slices.Clone(old.Tagged), 100+i*each+n)
					if err == nil {
						set, err = sw.CompareAndSetPort(7, old, pc)
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			}
		})
	}
	running.Wait()
	if pc, err := sw.Port(7); err != nil || len(pc.Tagged) != 4*each {
		t.Errorf("%d VLANs, %v, want %d", len(pc.Tagged), err, 4*each)
	}
}

// The configuration of a switch makes a switch that is the same.
func TestConfigIsCurrent(t *testing.T) {
	logger := slog.New(slog.DiscardHandler)
	sw := vswitch.New(vswitch.Config{
		Logger: logger, Ports: map[int]vswitch.PortConfig{2: {VLAN: 2}, 99: {VLAN: 3}},
		PortGroups: map[string]vswitch.PortGroup{"lab": {First: 10, Last: 12}},
	})
	defer sw.Close()
	sw.SetHub(true)
	static := vswitch.PortConfig{Tagged: []uint16{5}, Static: []vswitch.StaticEntry{{MAC: macB}}}
	err := errors.Join(sw.SetAgeingTime(time.Minute), sw.SetNumPorts(50), sw.SetPort(4, static), sw.SetDefaultPort(vswitch.PortConfig{VLAN: 8}))
	if err != nil {
		t.Fatal(err)
	}
	c := sw.Config()
	if !c.Hub || c.AgeingTime != time.Minute || c.NumPorts != 50 || c.DefaultPort.VLAN != 8 || c.Logger != logger ||
		len(c.Ports) != 2 || c.Ports[2].VLAN != 2 || len(c.PortGroups) != 1 {
		t.Errorf("got %+v", c)
	}
	c.Ports[4].Tagged[0] = 6 // of the copy
	if pc, err := sw.Port(4); err != nil || pc.Tagged[0] != 5 {
		t.Errorf("port 4 is %+v, %v", pc, err)
	}
	c.Ports[4].Tagged[0] = 5
	other := vswitch.New(c)
	defer other.Close()
	if again := other.Config(); !reflect.DeepEqual(again, c) {
		t.Errorf("got\n%+v, want\n%+v", again, c)
	}
}

func TestSetNumPorts(t *testing.T) {
	sw := vswitch.New(vswitch.Config{NumPorts: 8, PortGroups: map[string]vswitch.PortGroup{"lab": {First: 3, Last: 4}}})
	defer sw.Close()
	c := attach(t, sw, 6)
	for n, want := range map[int]error{0: nil, -1: nil, 1 << 23: nil, 5: vswitch.ErrPortInUse, 3: vswitch.ErrPortInUse} {
		if err := sw.SetNumPorts(n); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("SetNumPorts(%d): %v", n, err)
		}
	}
	c.Close()
	if err := sw.SetNumPorts(5); err != nil {
		t.Fatal(err)
	}
	if _, err := sw.Attach(vde.WithPort(6)); !errors.Is(err, vswitch.ErrNoPort) {
		t.Errorf("port 6 of 5: %v", err)
	}
	for range 5 {
		attach(t, sw, 0)
	}
	if _, err := sw.Attach(); !errors.Is(err, vswitch.ErrNoFreePort) {
		t.Errorf("a sixth port: %v", err)
	}
	if err := sw.SetNumPorts(6); err != nil {
		t.Fatal(err)
	}
	attach(t, sw, 0)
}

func TestMirrors(t *testing.T) {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	monitor, err := sw.Monitor(3)
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Close()
	if err := errors.Join(sw.Mirror(3, 1), sw.Mirror(2, 9), sw.Mirror(2, 4)); err != nil {
		t.Fatal(err)
	}
	want := []vswitch.MirrorInfo{{Src: 2, Dst: 4}, {Src: 2, Dst: 9}, {Src: 3, Dst: 1}}
	if got := sw.Mirrors(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// FlushFDB forgets what was learned and keeps what was configured, also while frames pass.
func TestFlushFDB(t *testing.T) {
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{1: {Static: []vswitch.StaticEntry{{MAC: macC}}}}})
	defer sw.Close()
	b := attach(t, sw, 2)
	write(t, b, testFrame(frame.Broadcast(), macB, 60, 1))
	sw.FlushFDB()
	if got := sw.FDB(); len(got) != 1 || got[0].MAC != macC || !got[0].Static {
		t.Errorf("the FDB is %+v", got)
	}
}

// A switch whose configuration is impossible, or that is closed, says so.
func TestReconfigureUnusable(t *testing.T) {
	closed := vswitch.New(vswitch.Config{})
	closed.Close()
	bad := vswitch.New(vswitch.Config{NumPorts: -1})
	for name, sw := range map[string]*vswitch.Switch{"closed": closed, "bad": bad} {
		for method, err := range map[string]error{
			"SetNumPorts": sw.SetNumPorts(4), "SetDefaultPort": sw.SetDefaultPort(vswitch.PortConfig{}), "ResetPort": sw.ResetPort(1),
			"SetAgeingTime": sw.SetAgeingTime(time.Second), "SetPort": sw.SetPort(1, vswitch.PortConfig{}),
		} {
			if err == nil || name == "closed" && !errors.Is(err, vswitch.ErrClosed) {
				t.Errorf("%s, %s: %v", name, method, err)
			}
		}
		sw.FlushFDB()
		if m := sw.Mirrors(); len(m) != 0 {
			t.Errorf("%s: mirrors %v", name, m)
		}
		_ = sw.Config()
	}
}
