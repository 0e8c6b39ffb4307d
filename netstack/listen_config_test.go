// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip"

	"github.com/go-vde/sdk/netstack"
)

// A controlled records calls of Control.
type controlled struct {
	mu   sync.Mutex
	args []string
	do   func(ep tcpip.Endpoint) error
}

func (c *controlled) control(network, address string, ep tcpip.Endpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.args = append(c.args, network+" "+address)
	if c.do != nil {
		return c.do(ep)
	}
	return nil
}

// take returns the calls since the last take.
func (c *controlled) take() (args []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	args, c.args = c.args, nil
	return args
}

// TestListenControl opens sockets with Control, which names what they are bound to as
// that of package net does, and whose error is returned.
func TestListenControl(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	var c controlled
	lc := netstack.ListenConfig{Host: a, Control: c.control}
	own := netip.AddrPortFrom(addr4(a), 80).String()
	for _, test := range []struct{ network, address, want string }{
		{"tcp", ":81", "tcp6 [::]:81"}, {"tcp4", ":82", "tcp4 0.0.0.0:82"}, {"tcp", own, "tcp4 " + own},
		{"udp", ":81", "udp6 [::]:81"}, {"udp4", ":82", "udp4 0.0.0.0:82"}, {"udp", own, "udp4 " + own},
	} {
		var s interface{ Close() error }
		var err error
		if test.network[0] == 't' {
			s, err = lc.Listen(t.Context(), test.network, test.address)
		} else {
			s, err = lc.ListenPacket(t.Context(), test.network, test.address)
		}
		if err != nil {
			t.Fatal(test, err)
		}
		s.Close()
		if got := c.take(); !slices.Equal(got, []string{test.want}) {
			t.Errorf("%v: %q", test, got)
		}
	}
	to := netip.AddrPortFrom(addr4(a), 83).String()
	listen(t, a, "tcp", ":83")
	d := netstack.Dialer{Host: b, Control: c.control}
	for _, network := range []string{"tcp", "udp"} {
		conn, err := d.DialContext(bound(t), network, to)
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if got := c.take(); !slices.Equal(got, []string{network + "4 " + to}) {
			t.Errorf("dialled %q", got)
		}
	}
	refusal := errors.New("refused")
	c.do = func(tcpip.Endpoint) error { return refusal }
	_, err := lc.Listen(t.Context(), "tcp", ":84")
	wantErr(t, err, "listen", refusal)
	_, err = lc.ListenPacket(t.Context(), "udp", ":84")
	wantErr(t, err, "listen", refusal)
	for _, network := range []string{"tcp", "udp"} {
		_, err = d.Dial(network, to)
		wantErr(t, err, "dial", refusal)
	}
}

// TestControlUsesHost opens another socket in Control and closes the host while
// Control waits: no lock is held.
func TestControlUsesHost(t *testing.T) {
	t.Parallel()
	a, _ := hosts(t, netstack.HostConfig{})
	lc := netstack.ListenConfig{Host: a, Control: func(network, _ string, _ tcpip.Endpoint) error {
		l, err := a.Listen("tcp", ":0")
		if err != nil {
			return err
		}
		return errors.Join(l.Close(), a.Close())
	}}
	_, err := lc.Listen(t.Context(), "tcp", ":80")
	wantErr(t, err, "listen", net.ErrClosed)
}

// TestReusePort opens two listeners and two UDP sockets on one port, which they share,
// and one that does not share it.
func TestReusePort(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	c := controlled{do: func(ep tcpip.Endpoint) error {
		ep.SocketOptions().SetReusePort(true)
		return nil
	}}
	lc := netstack.ListenConfig{Host: a, Control: c.control}
	accepted := make(chan net.Conn)
	for range 2 {
		l, err := lc.Listen(t.Context(), "tcp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				in, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- in
			}
		}()
		pc, err := lc.ListenPacket(t.Context(), "udp", ":80")
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
	}
	for range 10 {
		dial(t, b, addr4(a), 80)
		(<-accepted).Close()
	}
	_, err := a.Listen("tcp", ":80")
	wantErrno(t, err, "listen", syscall.EADDRINUSE)
	_, err = a.ListenPacket("udp", ":80")
	wantErrno(t, err, "listen", syscall.EADDRINUSE)
}

// TestAcceptTCP accepts a connection as what it is.
func TestAcceptTCP(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	l := listen(t, a, "tcp", ":80").(*netstack.TCPListener)
	out := dial(t, b, addr4(a), 80)
	in, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if in.RemoteAddr().String() != out.LocalAddr().String() {
		t.Errorf("accepted %v", in.RemoteAddr())
	}
}
