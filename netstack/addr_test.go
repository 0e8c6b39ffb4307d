// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/netstack"
)

// TestConnAddrs checks the addresses of connections to each kind of address.
func TestConnAddrs(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	l := listen(t, a, "tcp", ":0")
	port := listenPort(l)
	if want := netip.AddrPortFrom(netip.IPv6Unspecified(), port).String(); l.Addr().String() != want || l.Addr().Network() != "tcp" {
		t.Errorf("listens on %v, not %v", l.Addr(), want)
	}
	var linkLocal netip.Addr
	for _, p := range a.Addrs() {
		if p.Addr().IsLinkLocalUnicast() {
			linkLocal = p.Addr().WithZone("vde0")
		}
	}
	for _, to := range []netip.Addr{addr4(a), addr6(a), linkLocal} {
		c := dial(t, b, to, port)
		in := accept(t, l)
		if c.RemoteAddr().String() != netip.AddrPortFrom(to, port).String() {
			t.Errorf("remote address is %v, not %v", c.RemoteAddr(), to)
		}
		if c.LocalAddr().String() != in.RemoteAddr().String() || c.RemoteAddr().String() != in.LocalAddr().String() {
			t.Errorf("%v to %v is %v to %v at the other side", c.LocalAddr(), c.RemoteAddr(), in.RemoteAddr(), in.LocalAddr())
		}
		if _, err := b.Ping(bound(t), to); err != nil {
			t.Error(err)
		}
	}
	for _, self := range []netip.Addr{addr4(b), addr6(b)} {
		if _, err := b.Ping(bound(t), self); err != nil {
			t.Error(err)
		}
	}
	if m := b.MAC(); m != b.Endpoint().MAC() || m.IsGroup() {
		t.Errorf("MAC %v", m)
	}
}

// TestListenOneFamily checks that a listener of one family refuses the other.
func TestListenOneFamily(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	for network, other := range map[string]netip.Addr{"tcp4": addr6(a), "tcp6": addr4(a)} {
		l := listen(t, a, network, ":0")
		_, err := b.Dial("tcp", netip.AddrPortFrom(other, listenPort(l)).String())
		wantErrno(t, err, "dial", errRefused)
	}
}

// TestConnectErrors checks the error numbers of dials and pings that fail.
func TestConnectErrors(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	for _, c := range []struct {
		network, addr string
		errno         syscall.Errno
	}{
		{"tcp", netip.AddrPortFrom(addr4(a), 9).String(), errRefused},
		{"tcp6", netip.AddrPortFrom(addr6(a), 9).String(), errRefused},
		{"tcp", netip.AddrPortFrom(unused(b), 80).String(), errUnreachable}, // no host answers ARP
		{"tcp", "192.0.2.1:80", errNoNetwork},                               // no gateway
		{"udp", "192.0.2.1:80", errNoNetwork},
		{"tcp", "[2001:db8::1]:80", errNoNetwork},
	} {
		_, err := b.DialContext(bound(t), c.network, c.addr)
		wantErrno(t, err, "dial", c.errno)
	}
	for addr, want := range map[netip.Addr]syscall.Errno{
		netip.MustParseAddr("192.0.2.1"): errNoNetwork,
		unused(b):                        errUnreachable,
		{}:                               syscall.EINVAL,
	} {
		if _, err := b.Ping(bound(t), addr); !errors.Is(err, want) {
			t.Errorf("ping of %v: %v, want %v", addr, err, want)
		}
	}
}

// TestArgumentErrors checks the errors for networks and addresses that do not exist.
func TestArgumentErrors(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	for _, bad := range []string{"ip", "unix", "tcp5", "tcp44", ""} {
		_, err := b.Dial(bad, netip.AddrPortFrom(addr4(a), 9).String())
		wantErr(t, err, "dial", net.UnknownNetworkError(bad))
		_, err = b.Listen(bad, ":0")
		wantErr(t, err, "listen", net.UnknownNetworkError(bad))
	}
	_, err := b.Listen("udp", ":0")
	wantErr(t, err, "listen", net.UnknownNetworkError("udp"))
	_, err = b.ListenPacket("tcp", ":0")
	wantErr(t, err, "listen", net.UnknownNetworkError("tcp"))
	for _, bad := range []string{"10.0.0.1", "10.0.0.1:nothing", ":70000", "::1:80:"} {
		if _, err := b.Dial("tcp", bad); err == nil {
			t.Errorf("dialled %q", bad)
		}
	}
	_, err = b.Dial("tcp4", netip.AddrPortFrom(addr6(a), 9).String())
	if _, ok := errors.AsType[*net.AddrError](err); !ok {
		t.Errorf("IPv6 on tcp4: %v", err)
	}
}

// TestListenErrors checks the errors of Listen for addresses that are in use or not
// of this host, and of a listener after Close.
func TestListenErrors(t *testing.T) {
	t.Parallel()
	a, _ := hosts(t, netstack.HostConfig{})
	l := listen(t, a, "tcp", ":80")
	_, err := a.Listen("tcp", ":80")
	wantErrno(t, err, "listen", errInUse)
	_, err = a.Listen("tcp", "192.0.2.1:80")
	wantErrno(t, err, "listen", syscall.EADDRNOTAVAIL)
	l.Close()
	l.Close()
	_, err = l.Accept()
	wantErr(t, err, "accept", net.ErrClosed)
	listen(t, a, "tcp", ":80") // is free again
}

// TestResolver dials names that LookupNetIP knows, and names that it does not know.
func TestResolver(t *testing.T) {
	t.Parallel()
	ca, cb := pair(t)
	a := host(t, ca, netstack.HostConfig{})
	names := map[string][]netip.Addr{}
	b := host(t, cb, netstack.HostConfig{LookupNetIP: func(_ context.Context, network, host string) ([]netip.Addr, error) {
		if addrs := names[network+" "+host]; addrs != nil {
			return addrs, nil
		}
		return nil, &net.DNSError{Err: "unknown", Name: host, IsNotFound: true}
	}})
	// The first address refuses.
	names["ip server"] = []netip.Addr{addr4(b), addr4(a), addr6(a)}
	names["ip6 server"] = []netip.Addr{addr4(a), addr6(a)}
	listen(t, a, "tcp", ":80")
	for network, want := range map[string]netip.Addr{"tcp": addr4(a), "tcp6": addr6(a)} {
		c, err := b.DialContext(bound(t), network, "server:http")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != want {
			t.Errorf("%s went to %v", network, got)
		}
		c.Close()
	}
	_, err := b.Dial("tcp", "nowhere:80")
	if de, ok := errors.AsType[*net.DNSError](err); !ok || !de.IsNotFound {
		t.Errorf("%v", err)
	}
	_, err = a.Dial("tcp", "server:80")
	if de, ok := errors.AsType[*net.DNSError](err); !ok || !de.IsNotFound || !strings.Contains(err.Error(), "resolver") {
		t.Errorf("without a resolver: %v", err)
	}
}

// TestGateway pings an address on another network through a gateway.
func TestGateway(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	a1, a2 := pair(t)
	host(t, a1, netstack.HostConfig{Addrs: []netip.Prefix{p("10.1.0.1/16"), p("10.2.0.1/16")}, NoGRO: true})
	client := host(t, a2, netstack.HostConfig{Addrs: []netip.Prefix{p("10.1.0.2/16")}, Gateway: netip.MustParseAddr("10.1.0.1")})
	if _, err := client.Ping(bound(t), netip.MustParseAddr("10.2.0.1")); err != nil {
		t.Error(err)
	}
}
