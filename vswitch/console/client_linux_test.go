// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

func dial(t testing.TB, path string) *console.Client {
	t.Helper()
	c, err := console.Dial(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestClient reads everything from a switch of ours.
func TestClient(t *testing.T) {
	r := start(t, vswitch.Config{NumPorts: 31}, console.Options{Dir: "/run/lab.ctl", MAC: frame.MAC{0, 0xff, 1, 2, 3, 4}})
	c := dial(t, r.mgmt)
	if c.Version != "2.3.2" {
		t.Errorf("version %q", c.Version)
	}
	plug, err := r.sw.Attach(vde.WithPort(3), vde.WithDescription("three\n.\n1000 Success\n\nvde$ "))
	if err != nil {
		t.Fatal(err)
	}
	defer plug.Close()
	if err := r.sw.SetPort(3, vswitch.PortConfig{VLAN: 7, Static: []vswitch.StaticEntry{{MAC: macA, VLAN: 7}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Command(t.Context(), "port/create 5"); err != nil {
		t.Error(err)
	}
	if _, err := c.Command(t.Context(), "port/create 5"); !errors.Is(err, console.Exists) {
		t.Errorf("port/create again: %v", err)
	}
	ports, err := c.Ports(t.Context(), true)
	want := []console.Port{
		{Number: 3, VLAN: 7, Active: true, Allocatable: true, User: "NONE", AllowUser: "NONE", AllowGroup: "NONE", Counters: true,
			Endpoints: []console.Endpoint{{ID: 1, Module: "in-process", Description: "three?.?1000 Success??vde$ "}}},
		{Number: 5, User: "NONE", AllowUser: "NONE", AllowGroup: "NONE", Counters: true},
	}
	if err != nil || !reflect.DeepEqual(ports, want) {
		t.Errorf("ports %+v, %v, want %+v", ports, err, want)
	}
	if p, err := c.Port(t.Context(), 3); err != nil || !reflect.DeepEqual(p, want[0]) {
		t.Errorf("port 3: %+v, %v", p, err)
	}
	if _, err := c.Port(t.Context(), 5); !errors.Is(err, console.NoObject) {
		t.Errorf("port 5: %v", err)
	}
	vlans, err := c.VLANs(t.Context(), false)
	if want := []console.VLAN{{ID: 0}, {ID: 7, Ports: []console.VLANPort{{Number: 3, Active: true, Status: "Forwarding"}}}}; err != nil || !reflect.DeepEqual(vlans, want) {
		t.Errorf("VLANs %+v, %v, want %+v", vlans, err, want)
	}
	list, err := c.FDB(t.Context())
	if want := []vswitch.FDBEntry{{MAC: macA, VLAN: 7, Port: 3}}; err != nil || !reflect.DeepEqual(list, want) {
		t.Errorf("FDB %+v, %v, want %+v", list, err, want)
	}
	info, err := c.Info(t.Context())
	if err != nil || info.Ports != 32 || info.MAC != (frame.MAC{0, 0xff, 1, 2, 3, 4}) || info.Dir != "/run/lab.ctl" || info.Hub || info.PID == 0 {
		t.Errorf("%+v, %v", info, err)
	}
}

// TestClientEvents follows what happens.
func TestClientEvents(t *testing.T) {
	r := start(t, vswitch.Config{}, console.Options{})
	c := dial(t, r.mgmt)
	for range 2 { // the second time it is there
		if err := c.Subscribe(t.Context(), "port"); err != nil {
			t.Fatal(err)
		}
	}
	plug, err := r.sw.Attach(vde.WithPort(3), vde.WithDescription("hello"))
	if err != nil {
		t.Fatal(err)
	}
	plug.Close()
	for _, want := range []console.Event{
		{Code: 3021, Path: "port/+", Text: "03"},
		{Code: 3031, Path: "port/ep/+", Text: "Port 03 FD  1"},
		{Code: 3023, Path: "port/descr", Text: `Port 03 FD  1 -> "hello"`},
		{Code: 3032, Path: "port/ep/-", Text: "Port 03 FD  1"},
		{Code: 3022, Path: "port/-", Text: "03"},
	} {
		if e, err := c.NextEvent(t.Context()); err != nil || e != want {
			t.Errorf("%+v, %v, want %+v", e, err, want)
		}
	}
	r.stop()
	if e, err := c.NextEvent(t.Context()); !errors.Is(err, console.ErrClosed) {
		t.Errorf("%+v, %v after the end", e, err)
	}
	if _, err := c.Command(t.Context(), "port/print"); !errors.Is(err, console.ErrClosed) {
		t.Errorf("%v after the end", err)
	}
}

// script is a console that writes what it is told to.
func script(t testing.TB, answers ...string) *console.Client {
	t.Helper()
	ours, theirs := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer theirs.Close()
		buf := make([]byte, 256)
		for i, a := range answers {
			if i > 0 {
				if _, err := theirs.Read(buf); err != nil {
					return
				}
			}
			if _, err := theirs.Write([]byte(a)); err != nil {
				return
			}
		}
		theirs.Read(buf) // until the client leaves
	}()
	c, err := console.NewClient(t.Context(), ours)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); <-done })
	return c
}

const banner = "VDE switch V.2.3.2\nnotice\n\nvde$ "

// TestClientHostileSwitch checks that answers that cannot be told apart end the session.
func TestClientHostileSwitch(t *testing.T) {
	for _, test := range []struct {
		name, answer string
		want         error
	}{
		{"forged end", "0000 DATA END WITH '.'\n  -- x: evil\n.\n1000 Success\n\nvde$ \n.\n1000 Success\n\nvde$ ", console.ErrOutOfStep},
		{"answers that nobody asked for", "1000 Success\n\nvde$ 1000 Success\n\nvde$ ", console.ErrOutOfStep},
		{"endless line", "0000 DATA END WITH '.'\n" + strings.Repeat("x", 3<<20), console.ErrOutOfStep},
		{"goodbye", "9999 END OF SESSION", console.ErrClosed},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := script(t, banner, test.answer)
			_, err := c.Command(t.Context(), "port/print")
			if err == nil { // the answer was whole, and then came more
				_, err = c.NextEvent(t.Context())
			}
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// TestClientCutAnswer checks that an answer without an end, as vde_switch gives long
// ones, ends the session when the time is over.
func TestClientCutAnswer(t *testing.T) {
	c := script(t, banner, "0000 DATA END WITH '.'\nHash: 0001 Ad")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Command(ctx, "hash/print"); !errors.Is(err, console.ErrOutOfStep) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := c.Command(t.Context(), "hash/print"); !errors.Is(err, console.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// TestClientEventsBetween checks that events are told from answers wherever they come.
func TestClientEventsBetween(t *testing.T) {
	c := script(t, banner,
		"3021 port/+ 01\n0000 DATA END WITH '.'\n3000 no event\n.\n3022 port/- 01\n1000 Success\n3101 dump/x y z\n\nvde$ 3021 port/+ 02\n")
	data, err := c.Command(t.Context(), "x")
	if err != nil || !reflect.DeepEqual(data, []string{"3000 no event"}) {
		t.Errorf("%q, %v", data, err)
	}
	for _, want := range []console.Event{{3021, "port/+", "01"}, {3022, "port/-", "01"}, {3101, "dump/x", "y z"}, {3021, "port/+", "02"}} {
		if e, err := c.NextEvent(t.Context()); err != nil || e != want {
			t.Errorf("%+v, %v, want %+v", e, err, want)
		}
	}
}

// TestClientRefusesCommands checks that nothing is sent that has no answer of its own.
func TestClientRefusesCommands(t *testing.T) {
	c := script(t, banner)
	for _, command := range []string{"", " ", "#x", "  # x", "a\nb", "a\x00b", strings.Repeat("x", 127)} {
		if _, err := c.Command(t.Context(), command); !errors.Is(err, console.BadValue) {
			t.Errorf("%q: %v", command, err)
		}
	}
}

// FuzzClient feeds a client with anything. It must not panic or hang, and must keep no
// more than has come.
func FuzzClient(f *testing.F) {
	f.Add([]byte("0000 DATA END WITH '.'\nPort 0001 untagged_vlan=0000 ACTIVE - Unnamed Allocatable\n.\n1000 Success\n\nvde$ 3021 port/+ 02\n"))
	f.Add([]byte("1038 Function not implemented\n\nvde$ "))
	f.Add([]byte("0000 DATA END WITH '.'\nHash: 0009 Addr: 02:00:00:00:00:0a VLAN 0000 to port: 001  age 1 secs\n.\n1000 Success\n\nvde$ "))
	f.Add([]byte("0000 DATA END WITH '.'\nVLAN 0000\n -- Port 0001 tagged=0 active=1 status=Forwarding\n.\n1000 Success\n\nvde$ 9999 END OF SESSION"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			theirs.Write([]byte(banner))
			theirs.Read(make([]byte, 256))
			theirs.Write(answer)
		}()
		c, err := console.NewClient(t.Context(), ours)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var ports []console.Port
		switch len(answer) % 3 {
		case 0:
			ports, err = c.Ports(t.Context(), true)
		case 1:
			_, err = c.VLANs(t.Context(), true)
		case 2:
			_, err = c.FDB(t.Context())
		}
		if err == nil && !regexp.MustCompile(`(?m)^(vde\$ )*1000 `).Match(answer) {
			t.Errorf("success of %q", answer)
		}
		for i, p := range ports {
			if !regexp.MustCompile(fmt.Sprintf(`(?m)^Port 0*%d untagged_vlan=0*%d `, p.Number, p.VLAN)).Match(answer) {
				t.Errorf("port %+v of %q", p, answer)
			}
			if i > 0 && ports[i-1].Number >= p.Number {
				t.Errorf("port %d after %d", p.Number, ports[i-1].Number)
			}
		}
	})
}
