// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package switchtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/internal/testframe"
	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/vde"
)

// A forwarding test has three stations, each of which has received everything that it is to receive.
type forwarding struct {
	*network
	all [3]*station
	seq uint64
}

// send sends a frame from one station and checks that it reaches those in to. A broadcast that follows must be
// the next frame that everybody receives, so nobody else has received the first.
func (f *forwarding) send(from *station, dst frame.MAC, to ...*station) {
	f.Helper()
	f.seq++
	sent := testFrame(dst, from.mac, 60+int(f.seq), f.seq)
	f.seq++
	marker := testFrame(frame.Broadcast(), from.mac, 60+int(f.seq), f.seq)
	f.write(from.Conn, sent, marker)
	for _, st := range to {
		f.expect(fmt.Sprintf("%v of a frame from %v to %v", st.mac, from.mac, dst), st.Conn, sent)
	}
	for _, st := range f.others(from) {
		f.expect(fmt.Sprintf("%v after a frame from %v to %v", st.mac, from.mac, dst), st.Conn, marker)
	}
}

// others returns the stations other than st.
func (f *forwarding) others(st *station) (list []*station) {
	for _, other := range f.all {
		if other != st {
			list = append(list, other)
		}
	}
	return list
}

// unicast sends a frame to a station that the switch knows.
func (f *forwarding) unicast(from, to *station) {
	f.Helper()
	if f.Hub {
		f.send(from, to.mac, f.others(from)...)
		return
	}
	f.send(from, to.mac, to)
}

// testForwarding checks to which ports a frame is forwarded.
func (s *suite) testForwarding(t *testing.T) {
	n := s.network(t, Config{})
	a, b, c := n.station(1), n.station(2), n.station(3)
	f := &forwarding{network: n, all: [3]*station{a, b, c}}
	f.send(a, mac(9), b, c)                            // unknown
	f.send(a, frame.Broadcast(), b, c)                 // broadcast
	f.send(b, frame.MAC{0x01, 0, 0x5e, 0, 0, 1}, a, c) // multicast
	f.send(c, frame.MAC{0x33, 0x33, 0, 0, 0, 1}, a, b) // multicast
	for range 3 {
		f.unicast(a, b)
		f.unicast(b, c)
		f.unicast(c, a)
	}
	f.groupSource()

	// C libvdeplug and vde_plug receive broadcasts, too.
	sink := n.peer(testpeers.CPeerConfig{Role: testpeers.CSink, MAC: mac(4)})
	plug := testpeers.StartVdePlug(t, n.Dir())
	f.send(a, frame.Broadcast(), b, c)
	n.await(sink, 2)
	if res := n.finish(sink); res.Frames != 2 || res.Corrupt+res.Other != 0 {
		t.Errorf("a C sink: %+v", res)
	}
	got, err := plug.Recv(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testframe.Check(got); err != nil {
		t.Error(err)
	}
}

// groupSource sends from a group address, which must not be learned.
func (f *forwarding) groupSource() {
	f.Helper()
	a, b, c := f.all[0], f.all[1], f.all[2]
	group := frame.MAC{0x03, 0, 0, 0, 0, 7}
	sent := testFrame(frame.Broadcast(), group, 60, 500)
	f.write(a.Conn, sent)
	if f.GroupSources {
		f.expect("b", b.Conn, sent)
		f.expect("c", c.Conn, sent)
	}
	f.send(b, group, a, c)
}

// portWith returns a condition on a port list: the port has an endpoint whose description contains text.
func portWith(number int, text string) func([]testpeers.SwitchPort) bool {
	return func(ports []testpeers.SwitchPort) bool {
		for _, p := range ports {
			for _, e := range p.Endpoints {
				if p.Number == number && strings.Contains(e.Description, text) {
					return true
				}
			}
		}
		return false
	}
}

func (s *suite) testPorts(t *testing.T) {
	s.testPortNumbers(t)
	t.Run("Shared", s.testSharedPort)
	t.Run("Management", s.testPortZero)
}

// testPortNumbers asks for ports in every form of a locator and by option.
func (s *suite) testPortNumbers(t *testing.T) {
	n := s.network(t, Config{})
	list, listed := n.ports()
	other := n.station(9)
	w := n.watch()
	before := n.names()
	for i, tt := range []struct {
		suffix string
		opts   []vde.Option
		port   int // 0: whichever
	}{
		{"", nil, 0},
		{"[7]", nil, 7},
		{"[port=8]", nil, 8},
		{"[port=9/mode=0700]", nil, 9},
		{"", []vde.Option{vde.WithPort(10)}, 10},
		{"[11]", []vde.Option{vde.WithPort(12)}, 11},
		{"", []vde.Option{vde.WithPort(0)}, 0},
	} {
		for _, prefix := range []string{"", "vde://"} {
			what := fmt.Sprintf("endpoint-%d%s.", i, prefix)
			c := n.openAt(prefix+n.Dir()+tt.suffix, append(tt.opts, vde.WithDescription(what))...)
			if want := prefix + n.Dir() + tt.suffix; c.LocalAddr().String() != want {
				t.Errorf("LocalAddr is %v, want %s", c.LocalAddr(), want)
			}
			if listed && tt.port != 0 {
				if ports, err := list.WaitPorts(t.Context(), portWith(tt.port, what)); err != nil {
					t.Errorf("%s%s %v: %v", prefix, tt.suffix, ports, err)
				}
			}
			n.exchange(&station{c, mac(1)}, other)
			n.closeAndWait(w, before, c)
		}
	}
}

// testSharedPort has two endpoints on one port.
func (s *suite) testSharedPort(t *testing.T) {
	if s.NoPorts {
		return
	}
	n := s.network(t, Config{})
	// Two endpoints of one port do not receive from each other.
	a, b, c := n.openAt(n.Dir()+"[3]"), n.openAt(n.Dir()+"[3]"), n.station(3)
	f := testFrame(frame.Broadcast(), mac(1), 100, 1)
	n.write(a, f)
	n.expect("another port", c.Conn, f)
	f = testFrame(mac(1), c.mac, 100, 2)
	n.write(c.Conn, f)
	n.expect("the first endpoint", a, f) // and not the second's frame before it
	n.expect("the second endpoint", b, f)
}

// testPortZero joins the port that only privileged users may have.
func (s *suite) testPortZero(t *testing.T) {
	if s.NoPorts {
		return
	}
	n := s.network(t, Config{})
	list, listed := n.ports()
	a, b := n.station(1), n.station(2)
	for i, open := range []func() *vde.Conn{
		func() *vde.Conn { return n.openAt(n.Dir()+"[0]", vde.WithDescription("zero.")) },
		func() *vde.Conn { return n.open(vde.WithPort(-1), vde.WithDescription("negative.")) },
	} {
		c := open()
		if listed {
			if ports, err := list.WaitPorts(t.Context(), portWith(0, []string{"zero.", "negative."}[i])); err != nil {
				t.Errorf("ports %v: %v", ports, err)
			}
		}
		f := testFrame(frame.Broadcast(), mac(3), 100, uint64(i))
		n.write(c, f)
		n.expect("a port", a.Conn, f)
		n.expect("another port", b.Conn, f)
		n.exchange(a, b)
	}
}

// testDescription checks the descriptions that a switch receives.
func (s *suite) testDescription(t *testing.T) {
	n := s.network(t, Config{})
	list, listed := n.ports()
	a, b := n.station(1, vde.WithPort(31)), n.station(2, vde.WithPort(30))
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	suffix := fmt.Sprintf(" user=%s pid=%d", me.Username, os.Getpid())
	if ssh, _, _ := strings.Cut(os.Getenv("SSH_CLIENT"), " "); ssh != "" {
		suffix += " SSH=" + ssh
	}
	program := os.Args[0][strings.LastIndexByte(os.Args[0], '/')+1:]
	for i, tt := range []struct{ text, want string }{
		{"plain", "plain" + suffix},
		{"", suffix},
		{"two words", "two words" + suffix},
		{"Käse ☕", "Käse ☕" + suffix},
		{"line\nPort 0099 untagged_vlan=0000 ACTIVE", "line?Port 0099 untagged_vlan=0000 ACTIVE" + suffix},
		{"bell\a esc\x1b[2J nul\x00 del\x7f", "bell? esc?[2J nul? del?" + suffix},
		{strings.Repeat("long ", 100), strings.Repeat("long ", 100)[:127-len(suffix)] + suffix},
		{"default", program + suffix},
	} {
		port := i + 1
		opts := []vde.Option{vde.WithPort(port), vde.WithDescription(tt.text)}
		if tt.text == "default" {
			opts = opts[:1]
		}
		n.open(opts...)
		n.exchange(a, b)
		if !listed {
			continue
		}
		ports, err := list.WaitPorts(t.Context(), func(ports []testpeers.SwitchPort) bool {
			return len(endpoints(ports, port)) > 0
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := endpoints(ports, port); len(got) != 1 || strings.TrimSpace(got[0]) != strings.TrimSpace(tt.want) {
			t.Errorf("%q is shown as %q, want %q", tt.text, got, tt.want)
		}
		if len(ports) != port+2 {
			t.Errorf("%q made a list of %d ports out of %d: %+v", tt.text, len(ports), port+2, ports)
		}
		n.exchange(a, b)
	}
}

// endpoints returns the descriptions of a port's endpoints.
func endpoints(ports []testpeers.SwitchPort, number int) (found []string) {
	for _, p := range ports {
		for _, e := range p.Endpoints {
			if p.Number == number {
				found = append(found, e.Description)
			}
		}
	}
	return found
}

// testPortRefused asks for ports that the switch does not have.
func (s *suite) testPortRefused(t *testing.T) {
	n := s.network(t, Config{Ports: 4})
	if s.NoPorts {
		n.exchange(&station{n.openAt(n.Dir() + "[4711]"), mac(1)}, n.station(2))
		return
	}
	// Should the refusal not be understood, these would be errors of the context.
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	a, b := n.station(1, vde.WithPort(2)), n.station(2)
	before := strings.Join(n.names(), " ")
	for i, port := range []int{6, 99, 9999, 0xffff} {
		vnl := n.Dir()
		if i%2 == 1 {
			vnl += fmt.Sprintf("[%d]", port)
		}
		c, err := vde.Open(ctx, vnl, vde.WithPort(port))
		if err == nil {
			c.Close()
		}
		n.failed(fmt.Sprintf("port %d of 4", port), err, vde.ErrPortRefused)
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("port %d: the refusal was not noticed: %v", port, err)
		}
		if after := strings.Join(n.names(), " "); after != before {
			t.Errorf("a refused port leaves %s", after)
		}
	}
	n.exchange(a, b)
	n.exchange(a, n.station(3))
}

// testSwitchFull joins until there is no free port, and again after one has become free.
func (s *suite) testSwitchFull(t *testing.T) {
	const ports = 6
	if s.NoPorts {
		return
	}
	n := s.network(t, Config{Ports: ports})
	w := n.watch()
	var stations []*station
	full := func() error {
		for {
			c, err := n.tryOpen(n.Dir())
			if err != nil {
				return err
			}
			stations = append(stations, &station{c, mac(byte(len(stations)))})
			if len(stations) > ports {
				return nil
			}
		}
	}
	err := full()
	n.failed("one port too many", err, vde.ErrSwitchFull)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the refusal was not noticed: %v", err)
	}
	// Of so many ports, vde_switch 2.3.2 gives away one less.
	if k := len(stations); k != ports && k != ports-1 {
		t.Fatalf("%d of %d ports were free", k, ports)
	}
	taken := len(stations)
	n.exchange(stations[0], stations[1])
	// The first frame of the exchange is flooded. Until it has arrived everywhere, the port that becomes free
	// may still deliver it, to the newcomer.
	flooded := testFrame(stations[1].mac, stations[0].mac, 100, 1)
	for _, st := range stations[2:] {
		n.expect("a port that a frame is flooded to", st.Conn, flooded)
	}

	// A port becomes free.
	before := len(n.names())
	n.close(stations[taken-1].Conn)
	n.until(w, "a port to become free", func(names []string) bool { return len(names) == before-1 })
	stations = stations[:taken-1]
	n.failed("one port too many", full(), vde.ErrSwitchFull)
	if len(stations) != taken {
		t.Errorf("%d ports, then %d", taken, len(stations))
	}
	f := testFrame(frame.Broadcast(), stations[0].mac, 100, 77)
	n.write(stations[0].Conn, f)
	n.expect("the newcomer", stations[taken-1].Conn, f)
}

// quickly is the deadline of a call that is expected to time out.
const quickly = 200 * time.Millisecond
