// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// TestHTTP fetches a page from another host and from the host itself, with each kind
// of address.
func TestHTTP(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	serveHTTPText(t, listen(t, a, "tcp", ":80"), "hello")
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

// serveHTTPText answers every HTTP request with text, until the test ends.
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

// A waitingCall is a call that waits until the host ends.
type waitingCall struct {
	op   string // of the error
	call func() error
}

// TestHostHangup ends the network while calls of all kinds wait.
func TestHostHangup(t *testing.T) {
	t.Parallel()
	sw, ca, cb := pointToPoint(t)
	a, b := host(t, ca, netstack.HostConfig{}), host(t, cb, netstack.HostConfig{})
	l, out, in := connected(t, b, a)
	pc, err := b.ListenPacket("udp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	calls := []waitingCall{
		{"accept", func() error { _, err := l.Accept(); return err }},
		{"read", func() error { _, _, err := pc.ReadFrom(make([]byte, 1)); return err }},
		{"read", func() error { _, err := out.Read(make([]byte, 1)); return err }},
		{"write", func() error { // in is read at the end only
			for {
				if _, err := out.Write(make([]byte, 1<<20)); err != nil {
					return err
				}
			}
		}},
		{"dial", func() error {
			_, err := b.Dial("tcp", netip.AddrPortFrom(unused(b), 80).String())
			return err
		}},
		{"ping", func() error { _, err := b.Ping(context.Background(), unused(b)); return err }},
	}
	type result struct {
		op  string
		err error
	}
	results := make(chan result)
	for _, c := range calls {
		go func() { results <- result{c.op, c.call()} }()
	}
	// out is written until its window is full.
	for a.Stats().Endpoint.RxDelivered < 100 {
		a.Ping(bound(t), addr4(a))
	}
	sw.HangupAll()
	for range calls {
		r := <-results
		wantErr(t, r.err, r.op, vde.ErrHangup)
	}
	_, err = io.Copy(io.Discard, in)
	wantErr(t, err, "read", vde.ErrHangup)
	for _, h := range []*netstack.Host{a, b} {
		wantEnded(t, h)
	}
}

// wantEnded checks that all calls on h fail with ErrHangup.
func wantEnded(t *testing.T, h *netstack.Host) {
	t.Helper()
	if !errors.Is(h.Err(), vde.ErrHangup) {
		t.Errorf("the error of the host is %v", h.Err())
	}
	_, err := h.Dial("tcp", "10.0.0.1:1")
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

// TestHostClose closes a host while calls wait on it, and checks that its peers are
// told.
func TestHostClose(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{})
	l := listen(t, a, "tcp", ":80")
	var conns []net.Conn
	for range 20 {
		conns = append(conns, dial(t, b, addr4(a), 80))
	}
	in := accept(t, l) // the others wait in the backlog
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
	// The host resets all connections but perhaps the last, whose handshake may be
	// incomplete.
	for i, c := range conns[:len(conns)-1] {
		deadline, _ := bound(t).Deadline()
		c.SetReadDeadline(deadline)
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("connection %d of %d: %v", i, len(conns), err)
		}
	}
}

// TestNoChecksums transfers data between two hosts that do not use checksums.
func TestNoChecksums(t *testing.T) {
	t.Parallel()
	a, b := hosts(t, netstack.HostConfig{NoChecksums: true, Processors: 2})
	l := listen(t, a, "tcp", ":80")
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
