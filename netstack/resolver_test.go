// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package netstack_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
)

// serveDNS answers A queries for web.test with addr, queries for fail.test with a
// server failure, and others with no such name, until the test ends.
func serveDNS(t *testing.T, h *netstack.Host, addr netip.Addr) {
	t.Helper()
	pc, err := h.ListenPacket("udp", ":53")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		pc.Close()
		<-done
	})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			m.Response, m.Authoritative, m.Additionals = true, true, nil
			switch {
			case q.Name.String() == "fail.test.":
				m.RCode = dnsmessage.RCodeServerFailure
			case q.Name.String() != "web.test.":
				m.RCode = dnsmessage.RCodeNameError
			case q.Type == dnsmessage.TypeA:
				m.Answers = []dnsmessage.Resource{{
					Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60},
					Body:   &dnsmessage.AResource{A: addr.As4()},
				}}
			}
			if b, err := m.Pack(); err == nil {
				pc.WriteTo(b, from)
			}
		}
	}()
}

// TestNameServers dials a name with one name server that answers and others that do
// not, in both orders.
func TestNameServers(t *testing.T) {
	t.Parallel()
	sw := vswitch.New(vswitch.Config{})
	good := host(t, attach(t, sw), netstack.HostConfig{})
	silent := host(t, attach(t, sw), netstack.HostConfig{})
	if _, err := silent.ListenPacket("udp", ":53"); err != nil {
		t.Fatal(err)
	}
	serveDNS(t, good, addr4(good))
	l := listen(t, good, "tcp", ":80")
	g, s := addr4(good), addr4(silent)
	for _, servers := range [][]netip.Addr{{g}, {g, s}, {s, g}, {s, s, g}} {
		h := host(t, attach(t, sw), netstack.HostConfig{DNS: servers})
		start := time.Now()
		c, err := h.DialContext(bound(t), "tcp", "web.test.:80")
		if err != nil {
			t.Errorf("servers %v: %v", servers, err)
			continue
		}
		// The next server is asked after a second.
		if d := time.Since(start); d > serverTime {
			t.Errorf("servers %v: %v", servers, d)
		}
		c.Close()
		accept(t, l)
		_, err = h.DialContext(bound(t), "tcp", "other.test.:80")
		wantDNSError(t, err, g, true)
	}
}

// serverTime is how long a host asks a server that does not answer.
const serverTime = 10 * time.Second

// TestNameServerErrors checks that errors name the server that was asked.
func TestNameServerErrors(t *testing.T) {
	t.Parallel()
	a, b := pair(t)
	server := host(t, a, netstack.HostConfig{})
	serveDNS(t, server, addr4(server))
	h := host(t, b, netstack.HostConfig{DNS: []netip.Addr{addr4(server)}})
	_, err := h.DialContext(bound(t), "tcp", "fail.test.:80")
	wantDNSError(t, err, addr4(server), false)
	h.Close()
	_, b = pair(t)
	h = host(t, b, netstack.HostConfig{DNS: []netip.Addr{addr4(server)}})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, err = h.DialContext(ctx, "tcp", "web.test.:80")
	wantDNSError(t, err, addr4(server), false)
}

func wantDNSError(t *testing.T, err error, server netip.Addr, notFound bool) {
	t.Helper()
	de, ok := errors.AsType[*net.DNSError](err)
	if !ok || de.Server != netip.AddrPortFrom(server, 53).String() || de.IsNotFound != notFound {
		t.Errorf("%#v is not an error of the server %v", err, server)
	}
}
