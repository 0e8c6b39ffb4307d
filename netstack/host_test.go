// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// TestConn holds connections to what package net promises of its own.
func TestConn(t *testing.T) {
	a, b := hosts(t, netstack.HostConfig{})
	l, err := a.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		addr := netip.AddrPortFrom(addr4(a), uint16(l.Addr().(*net.TCPAddr).Port))
		c2, err = b.Dial("tcp", addr.String())
		if err != nil {
			return nil, nil, nil, err
		}
		c1, err = l.Accept()
		return c1, c2, func() { c1.Close(); c2.Close() }, err
	})
}

func TestHTTP(t *testing.T) {
	a, b := hosts(t, netstack.HostConfig{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	serveHTTPText(t, l, "hello")
	for _, from := range []*netstack.Host{a, b} {
		hosts := []string{addr4(a).String(), addr6(a).String()}
		if from == a {
			hosts = append(hosts, "")
		}
		for _, name := range hosts {
			tr := &http.Transport{DialContext: from.DialContext}
			resp, err := (&http.Client{Transport: tr}).Get("http://" + net.JoinHostPort(name, "80") + "/")
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(body) != "hello" {
				t.Errorf("got %q", body)
			}
			tr.CloseIdleConnections()
		}
	}
}

func serveHTTPText(t *testing.T, l net.Listener, text string) {
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, text) })}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func TestAddrs(t *testing.T) {
	a, b := hosts(t, netstack.HostConfig{})
	l, err := a.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := uint16(l.Addr().(*net.TCPAddr).Port)
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
		c, err := b.Dial("tcp", netip.AddrPortFrom(to, port).String())
		if err != nil {
			t.Fatal(err)
		}
		in, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if c.RemoteAddr().String() != netip.AddrPortFrom(to, port).String() {
			t.Errorf("remote address is %v, not %v", c.RemoteAddr(), to)
		}
		if c.LocalAddr().String() != in.RemoteAddr().String() || c.RemoteAddr().String() != in.LocalAddr().String() {
			t.Errorf("%v to %v is %v to %v at the other side", c.LocalAddr(), c.RemoteAddr(), in.RemoteAddr(), in.LocalAddr())
		}
		c.Close()
		in.Close()
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
	only4, err := a.Listen("tcp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer only4.Close()
	port = uint16(only4.Addr().(*net.TCPAddr).Port)
	_, err = b.Dial("tcp", netip.AddrPortFrom(addr6(a), port).String())
	wantErrno(t, err, "dial", errRefused)
	only6, err := a.Listen("tcp6", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer only6.Close()
	port = uint16(only6.Addr().(*net.TCPAddr).Port)
	_, err = b.Dial("tcp", netip.AddrPortFrom(addr4(a), port).String())
	wantErrno(t, err, "dial", errRefused)
}

func TestErrors(t *testing.T) {
	a, b := hosts(t, netstack.HostConfig{})
	closed := netip.AddrPortFrom(addr4(a), 9).String()
	closed6 := netip.AddrPortFrom(addr6(a), 9).String()
	nobody := addr4(b).As4()
	nobody[2] = 1
	for _, c := range []struct {
		network, addr string
		errno         syscall.Errno
	}{
		{"tcp", closed, errRefused},
		{"tcp6", closed6, errRefused},
		{"tcp", netip.AddrPortFrom(netip.AddrFrom4(nobody), 80).String(), errUnreachable}, // nobody answers ARP
		{"tcp", "192.0.2.1:80", errNoNetwork},                                             // no gateway
		{"udp", "192.0.2.1:80", errNoNetwork},
		{"tcp", "[2001:db8::1]:80", errNoNetwork},
	} {
		_, err := b.DialContext(bound(t), c.network, c.addr)
		wantErrno(t, err, "dial", c.errno)
	}
	if _, err := b.Ping(bound(t), netip.MustParseAddr("192.0.2.1")); !errors.Is(err, errNoNetwork) {
		t.Error(err)
	}
	if _, err := b.Ping(bound(t), netip.AddrFrom4(nobody)); !errors.Is(err, errUnreachable) {
		t.Error(err)
	}
	if _, err := b.Ping(bound(t), netip.Addr{}); !errors.Is(err, syscall.EINVAL) {
		t.Error(err)
	}

	for _, bad := range []string{"ip", "unix", "tcp5", "tcp44", ""} {
		_, err := b.Dial(bad, closed)
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
	_, err = b.Dial("tcp4", closed6)
	var ae *net.AddrError
	if !errors.As(err, &ae) {
		t.Errorf("IPv6 on tcp4: %v", err)
	}

	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Listen("tcp", ":80")
	wantErrno(t, err, "listen", errInUse)
	_, err = a.Listen("tcp", "192.0.2.1:80")
	wantErrno(t, err, "listen", syscall.EADDRNOTAVAIL)
	l.Close()
	l.Close()
	_, err = l.Accept()
	wantErr(t, err, "accept", net.ErrClosed)
	if l, err = a.Listen("tcp", ":80"); err != nil {
		t.Errorf("the port is still in use: %v", err)
	} else {
		l.Close()
	}
}

func TestDialContext(t *testing.T) {
	_, b := hosts(t, netstack.HostConfig{})
	nobody := addr4(b).As4()
	nobody[2] = 1
	to := netip.AddrPortFrom(netip.AddrFrom4(nobody), 80).String()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := b.DialContext(ctx, "tcp", to)
	wantErr(t, err, "dial", context.Canceled)

	ctx, cancel = context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := b.DialContext(ctx, "tcp", to)
		done <- err
	}()
	// It must have begun: ask for the address once on the way.
	for b.Stats().Endpoint.Conn.TxFrames == 0 {
		b.Ping(ctx, addr4(b))
	}
	cancel()
	wantErr(t, <-done, "dial", context.Canceled)

	ctx, cancel = context.WithTimeout(context.Background(), time.Millisecond)
	defer cancel()
	_, err = b.DialContext(ctx, "tcp", to)
	wantErr(t, err, "dial", context.DeadlineExceeded)
	if ne, ok := errors.AsType[net.Error](err); !ok || !ne.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
	_, err = b.Ping(ctx, addr4(b))
	wantErr(t, err, "ping", context.DeadlineExceeded)
}

func TestDeadlines(t *testing.T) {
	a, b := hosts(t, netstack.HostConfig{SendBuffer: 64 << 10, ReceiveBuffer: 64 << 10})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.(*netstack.TCPListener).SetDeadline(time.Now().Add(time.Millisecond))
	_, err = l.Accept()
	wantErr(t, err, "accept", os.ErrDeadlineExceeded)
	l.(*netstack.TCPListener).SetDeadline(zero)

	c, err := b.Dial("tcp", netip.AddrPortFrom(addr4(a), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	wantErr(t, err, "read", os.ErrDeadlineExceeded)
	c.SetWriteDeadline(past)
	n, err := c.Write(make([]byte, 1))
	wantErr(t, err, "write", os.ErrDeadlineExceeded)
	if n != 0 {
		t.Error("wrote after the deadline")
	}
	c.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
	// Nobody reads at the other side.
	if n, err = c.Write(make([]byte, 8<<20)); n == 0 || n == 8<<20 {
		t.Errorf("wrote %d bytes", n)
	}
	wantErr(t, err, "write", os.ErrDeadlineExceeded)

	// A deadline set while somebody waits.
	c.SetReadDeadline(time.Now().Add(time.Hour))
	done := make(chan error)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	c.SetReadDeadline(past)
	wantErr(t, <-done, "read", os.ErrDeadlineExceeded)
	c.SetReadDeadline(zero)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	c.Close()
	wantErr(t, <-done, "read", net.ErrClosed)
	wantErr(t, c.SetDeadline(zero), "set", net.ErrClosed)
	wantErr(t, c.Close(), "close", net.ErrClosed)
	_, err = c.Write([]byte{1})
	wantErr(t, err, "write", net.ErrClosed)
}

func TestHalfClose(t *testing.T) {
	a, b := hosts(t, netstack.HostConfig{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := b.Dial("tcp", netip.AddrPortFrom(addr4(a), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	msg := bytes.Repeat([]byte("all of it "), 100000)
	var wg sync.WaitGroup
	wg.Go(func() {
		c.Write(msg)
		if err := c.(*netstack.TCPConn).CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, msg) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	in.Write([]byte("thanks"))
	in.Close()
	if got, err := io.ReadAll(c); err != nil || string(got) != "thanks" {
		t.Errorf("%q, %v", got, err)
	}
	wg.Wait()
	_, err = c.Write([]byte{1})
	wantErrno(t, err, "write", syscall.EPIPE)
	c.Close()

	// A reset.
	c, err = b.Dial("tcp", netip.AddrPortFrom(addr4(a), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	in, _ = l.Accept()
	in.(*netstack.TCPConn).SetLinger(0)
	in.Close()
	_, err = c.Read(make([]byte, 1))
	wantErrno(t, err, "read", syscall.ECONNRESET)
	c.Close()
}

// TestShutdown writes, closes, and loses nothing.
func TestShutdown(t *testing.T) {
	a, b := hosts(t, netstack.HostConfig{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Dial("tcp", netip.AddrPortFrom(addr4(a), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	msg := bytes.Repeat([]byte{1}, 3<<20)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Write(msg)
		c.Close()
		if err := b.Shutdown(bound(t)); err != nil {
			t.Error(err)
		}
		b.Close()
	}()
	got, err := io.ReadAll(in)
	if err != nil || !bytes.Equal(got, msg) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	in.Close()
	<-done
}

func TestUDP(t *testing.T) {
	a, b := hosts(t, netstack.HostConfig{})
	pc, err := a.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 65536)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				wantErr(t, err, "read", net.ErrClosed)
				return
			}
			if _, err := pc.WriteTo(buf[:n], from); err != nil {
				t.Error(err)
			}
		}
	}()
	for _, to := range []netip.Addr{addr4(a), addr6(a)} {
		c, err := b.Dial("udp", netip.AddrPortFrom(to, 53).String())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 1400, 30000, 65000} {
			msg := bytes.Repeat([]byte{byte(n)}, n)
			if k, err := c.Write(msg); k != n || err != nil {
				t.Fatal(n, k, err)
			}
			buf := make([]byte, 65536)
			k, err := c.Read(buf)
			if err != nil || !bytes.Equal(buf[:k], msg) {
				t.Errorf("%d bytes came back as %d, %v", n, k, err)
			}
		}
		c.Write([]byte("truncated"))
		if n, err := c.Read(make([]byte, 5)); n != 5 || err != nil {
			t.Error(n, err)
		}
		_, err = c.(net.PacketConn).WriteTo([]byte{1}, pc.LocalAddr())
		wantErr(t, err, "write", net.ErrWriteToConnected)
		if _, err := c.Write(make([]byte, 70000)); !errors.Is(err, syscall.EMSGSIZE) {
			t.Errorf("70000 bytes: %v", err)
		}
		c.SetReadDeadline(time.Now())
		_, err = c.Read(make([]byte, 1))
		wantErr(t, err, "read", os.ErrDeadlineExceeded)
		c.Close()
	}
	// Nobody there.
	c, err := b.Dial("udp", netip.AddrPortFrom(addr4(a), 54).String())
	if err != nil {
		t.Fatal(err)
	}
	c.Write([]byte{1})
	_, err = c.Read(make([]byte, 1))
	wantErrno(t, err, "read", errRefused)
	c.Close()

	// Everybody.
	pc2, err := b.ListenPacket("udp4", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer pc2.Close()
	if _, err := pc2.WriteTo([]byte("all"), &net.UDPAddr{IP: net.IPv4bcast, Port: 53}); err != nil {
		t.Error(err)
	}
	buf := make([]byte, 10)
	if n, from, err := pc2.ReadFrom(buf); err != nil || string(buf[:n]) != "all" || from.(*net.UDPAddr).AddrPort().Addr().Unmap() != addr4(a) {
		t.Errorf("%q from %v, %v", buf[:n], from, err)
	}
	_, err = pc2.WriteTo(nil, &net.TCPAddr{})
	wantErrno(t, err, "write", syscall.EINVAL)
	_, err = pc2.(net.Conn).Write(nil)
	wantErrno(t, err, "write", syscall.EDESTADDRREQ)
	pc.Close()
	<-done
	pc.Close()
}

func TestResolver(t *testing.T) {
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
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
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
	_, err = b.Dial("tcp", "nowhere:80")
	if de, ok := errors.AsType[*net.DNSError](err); !ok || !de.IsNotFound {
		t.Errorf("%v", err)
	}
	_, err = a.Dial("tcp", "server:80")
	if de, ok := errors.AsType[*net.DNSError](err); !ok || !de.IsNotFound || !strings.Contains(err.Error(), "resolver") {
		t.Errorf("without a resolver: %v", err)
	}
}

func TestHostConfig(t *testing.T) {
	prefixes := func(s ...string) (ps []netip.Prefix) {
		for _, p := range s {
			ps = append(ps, netip.MustParsePrefix(p))
		}
		return ps
	}
	addr := netip.MustParseAddr
	c, _ := pair(t)
	for _, bad := range []netstack.HostConfig{
		{},
		{Addrs: prefixes("0.0.0.0/8")},
		{Addrs: prefixes("127.0.0.1/8")},
		{Addrs: prefixes("224.0.0.1/4")},
		{Addrs: []netip.Prefix{{}}},
		{Addrs: prefixes("10.0.0.1/24", "10.0.0.1/8")},
		{Addrs: prefixes("10.0.0.1/24"), Gateway: addr("10.0.1.1")},
		{Addrs: prefixes("10.0.0.1/24"), Gateway: addr("10.0.0.1")},
		{Addrs: prefixes("10.0.0.1/24"), Gateway: addr("fe80::1")},
		{Addrs: prefixes("fd00::1/64"), Gateway: addr("fe80::1"), Gateway6: addr("fe80::2")},
		{Addrs: prefixes("fd00::1/64"), MTU: 1279},
		{Addrs: prefixes("10.0.0.1/24"), MTU: 67},
		{Addrs: prefixes("10.0.0.1/24"), MTU: 70000},
		{Addrs: prefixes("10.0.0.1/24"), Congestion: "vegas"},
		{Addrs: prefixes("10.0.0.1/24"), SendBuffer: 1},
		{Addrs: prefixes("10.0.0.1/24"), MaxRTO: time.Millisecond},
		{Addrs: prefixes("10.0.0.1/24"), MaxRTO: time.Hour},
		{Addrs: prefixes("10.0.0.1/24"), MAC: frame.Broadcast()},
	} {
		if h, err := netstack.NewHost(c, bad); err == nil {
			h.Close()
			t.Fatalf("%+v is fine", bad)
		}
	}
	if c.Err() != nil {
		t.Error("a refused configuration closed the connection")
	}
	h := host(t, c, netstack.HostConfig{Addrs: prefixes("10.0.0.1/24", "fd00::1/64", "10.0.1.1/24"), Gateway: addr("10.0.0.254"), Gateway6: addr("fe80::1")})
	if got := h.Addrs(); len(got) != 4 {
		t.Errorf("addresses %v", got)
	}
	if n := len(h.Stack().GetRouteTable()); n == 0 {
		t.Error("no routes")
	}
}

// TestGateway sends to another network through a gateway, here a host made to
// forward.
func TestGateway(t *testing.T) {
	p := netip.MustParsePrefix
	a1, a2 := pair(t)
	router := host(t, a1, netstack.HostConfig{Addrs: []netip.Prefix{p("10.1.0.1/16"), p("10.2.0.1/16")}, NoCoalesce: true})
	client := host(t, a2, netstack.HostConfig{Addrs: []netip.Prefix{p("10.1.0.2/16")}, Gateway: netip.MustParseAddr("10.1.0.1")})
	if _, err := client.Ping(bound(t), netip.MustParseAddr("10.2.0.1")); err != nil {
		t.Error(err)
	}
	_ = router
}

// TestHostHangup ends the network under everything that can wait.
func TestHostHangup(t *testing.T) {
	sw, ca, cb := cable(t)
	a, b := host(t, ca, netstack.HostConfig{}), host(t, cb, netstack.HostConfig{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	c, err := b.Dial("tcp", netip.AddrPortFrom(addr4(a), 80).String())
	if err != nil {
		t.Fatal(err)
	}
	in, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	pc, err := b.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := addr4(b).As4()
	nobody[2] = 1
	waits := map[string]func() error{
		"accept": func() error { _, err := l.Accept(); return err },
		"read":   func() error { _, err := in.Read(make([]byte, 1)); return err },
		"write": func() error {
			for {
				if _, err := c.Write(make([]byte, 1<<20)); err != nil { // nobody reads
					return err
				}
			}
		},
		"dial": func() error {
			_, err := b.Dial("tcp", netip.AddrPortFrom(netip.AddrFrom4(nobody), 80).String())
			return err
		},
		"ping": func() error { _, err := b.Ping(context.Background(), netip.AddrFrom4(nobody)); return err },
	}
	type result struct {
		op  string
		err error
	}
	results := make(chan result)
	go func() {
		_, _, err := pc.ReadFrom(make([]byte, 1))
		results <- result{"read", err}
	}()
	for op, f := range waits {
		go func() { results <- result{op, f()} }()
	}
	// Reading takes what "write" sends until its window is shut.
	for a.Stats().Endpoint.RxDelivered < 100 {
		a.Ping(bound(t), addr4(a))
	}
	sw.HangupAll()
	for range len(waits) + 1 {
		r := <-results
		if r.op == "read" && r.err == nil { // got what "write" sent
			_, r.err = io.Copy(io.Discard, in)
		}
		wantErr(t, r.err, r.op, vde.ErrHangup)
	}
	for _, h := range []*netstack.Host{a, b} {
		if !errors.Is(h.Err(), vde.ErrHangup) {
			t.Errorf("host's error: %v", h.Err())
		}
		_, err = h.Dial("tcp", "10.0.0.1:1")
		wantErr(t, err, "dial", vde.ErrHangup)
		_, err = h.Listen("tcp", ":0")
		wantErr(t, err, "listen", vde.ErrHangup)
		_, err = h.ListenPacket("udp", ":0")
		wantErr(t, err, "listen", vde.ErrHangup)
		_, err = h.Ping(context.Background(), addr4(h))
		wantErr(t, err, "ping", vde.ErrHangup)
		h.Close()
		h.Close()
	}
}

// TestHostClose closes a host under everything that waits on it, and finds
// everything released.
func TestHostClose(t *testing.T) {
	a, b := hosts(t, netstack.HostConfig{})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for range 20 {
		c, err := b.Dial("tcp", netip.AddrPortFrom(addr4(a), 80).String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	in, err := l.Accept() // the others wait in the backlog
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := l.Accept()
		for err == nil {
			_, err = l.Accept()
		}
		done <- err
	}()
	go func() {
		_, err := in.Read(make([]byte, 1))
		done <- err
	}()
	a.Close()
	for range 2 {
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
	if !errors.Is(a.Err(), net.ErrClosed) {
		t.Error(a.Err())
	}
	// The peer is told, except perhaps where the host had not seen the end of
	// the handshake.
	for i, c := range conns[:len(conns)-1] {
		deadline, _ := bound(t).Deadline()
		c.SetReadDeadline(deadline)
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d of %d: %v", i, len(conns), err)
		}
	}
}

// TestTrust lets two hosts do without checksums.
func TestTrust(t *testing.T) {
	a, b := hosts(t, netstack.HostConfig{NoChecksums: true, Processors: 2})
	l, err := a.Listen("tcp", ":80")
	if err != nil {
		t.Fatal(err)
	}
	msg := strings.Repeat("trust me ", 200000)
	serveHTTPText(t, l, msg)
	for _, addr := range []netip.Addr{addr4(a), addr6(a)} {
		tr := &http.Transport{DialContext: b.DialContext}
		resp, err := (&http.Client{Transport: tr}).Get("http://" + net.JoinHostPort(addr.String(), "80") + "/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || string(body) != msg {
			t.Errorf("%d bytes, %v", len(body), err)
		}
		tr.CloseIdleConnections()
	}
}
