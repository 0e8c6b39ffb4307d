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
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
)

// bubbleHosts returns two hosts on a switch, for use in a bubble, and the line of the
// first.
func bubbleHosts(t *testing.T, delay time.Duration, cfg netstack.HostConfig) (a, b *netstack.Host, line *impair.Line) {
	t.Helper()
	sw := vswitch.New(vswitch.Config{})
	t.Cleanup(func() { sw.Close() })
	line, err := impair.New(attach(t, sw), impair.Config{Out: impair.Impairment{Delay: delay}, In: impair.Impairment{Delay: delay}})
	if err != nil {
		t.Fatal(err)
	}
	return host(t, line.Conn(), cfg), host(t, attach(t, sw), cfg), line
}

// bubbleConns returns both ends of a TCP connection from a to b.
func bubbleConns(t *testing.T, a, b *netstack.Host, to netip.Addr) (out, in net.Conn) {
	t.Helper()
	l := listen(t, b, "tcp", ":0")
	out, err := a.Dial("tcp", netip.AddrPortFrom(to, listenPort(l)).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	return out, accept(t, l)
}

// passedIn returns how long f takes by the clock of the bubble.
func passedIn(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

// TestBubbleTransfer transfers data in both directions, over a line and within a
// host, and checks how much time that takes by the clock of the bubble.
func TestBubbleTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const delay = 10 * time.Millisecond
		a, b, _ := bubbleHosts(t, delay, netstack.HostConfig{})
		time.Sleep(time.Hour) // no host keeps the clock from advancing
		for _, test := range []struct {
			name string
			to   *netstack.Host
			addr netip.Addr
			want time.Duration // for resolving the address, and the handshake up to its end at the listener
		}{
			{"IPv4", b, addr4(b), 5 * delay},
			{"IPv6", b, addr6(b), 5 * delay},
			{"within a host", a, addr4(a), 0},
		} {
			var out, in net.Conn
			took := passedIn(func() { out, in = bubbleConns(t, a, test.to, test.addr) })
			if took < test.want || took > test.want+time.Microsecond {
				t.Errorf("%s: a handshake took %v, want %v", test.name, took, test.want)
			}
			for _, c := range [][2]net.Conn{{out, in}, {in, out}} {
				bubbleSend(t, c[0], c[1], 2<<20)
			}
			out.Close()
			in.Close()
			time.Sleep(time.Hour) // ends TIME-WAIT
		}
		if s := a.Stats(); s.TCPRetransmits != 0 || s.TCPTimeouts != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// bubbleSend sends n bytes and checks that they arrive within seconds.
func bubbleSend(t *testing.T, from, to net.Conn, n int) {
	t.Helper()
	sent := bytes.Repeat([]byte("0123456789abcdef"), n/16)
	go from.Write(sent)
	got := make([]byte, n)
	took := passedIn(func() {
		if _, err := io.ReadFull(to, got); err != nil || !bytes.Equal(got, sent) {
			t.Errorf("received other bytes, %v", err)
		}
	})
	if took > 2*time.Second {
		t.Errorf("%d bytes took %v", n, took)
	}
}

// TestBubbleRetransmission cuts the line for minutes, in which retransmission
// time-outs pass.
func TestBubbleRetransmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, line := bubbleHosts(t, time.Millisecond, netstack.HostConfig{})
		out, in := bubbleConns(t, a, b, addr4(b))
		const outage = 2 * time.Minute // keep-alive probes end the connection after 150 seconds
		line.Partition(true)
		time.AfterFunc(outage, func() { line.Partition(false) })
		if _, err := out.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		took := passedIn(func() {
			if n, err := in.Read(buf); err != nil || string(buf[:n]) != "late" {
				t.Errorf("read %q, %v", buf[:n], err)
			}
		})
		if took < outage || took > outage+3*time.Second { // MaxRTO is 2 seconds
			t.Errorf("the data arrived after %v", took)
		}
		if s := a.Stats(); s.TCPTimeouts < 50 || s.TCPTimeouts > 100 {
			t.Errorf("%d retransmission time-outs", s.TCPTimeouts)
		}
	})
}

// TestBubbleKeepAlive cuts the line of an idle connection, which keep-alive probes
// end after 15 seconds and nine intervals.
func TestBubbleKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, line := bubbleHosts(t, time.Millisecond, netstack.HostConfig{})
		out, _ := bubbleConns(t, a, b, addr4(b))
		line.Partition(true)
		took := passedIn(func() {
			// As in the kernel, the error says why no probe was answered.
			if _, err := out.Read(make([]byte, 1)); !errors.Is(err, syscall.ETIMEDOUT) && !errors.Is(err, syscall.EHOSTUNREACH) {
				t.Errorf("read: %v", err)
			}
		})
		if want := 150 * time.Second; took < want-time.Second || took > want+time.Second {
			t.Errorf("the connection ended after %v, want %v", took, want)
		}
	})
}

// TestBubbleDeadlines waits for deadlines and contexts, and for an address that no
// host has.
func TestBubbleDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, line := bubbleHosts(t, 0, netstack.HostConfig{})
		out, _ := bubbleConns(t, a, b, addr4(b))
		out.SetReadDeadline(time.Now().Add(time.Hour))
		if took := passedIn(func() {
			if _, err := out.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
		}); took != time.Hour {
			t.Errorf("the deadline passed after %v", took)
		}
		if took := passedIn(func() {
			if _, err := a.Dial("tcp", netip.AddrPortFrom(unused(a), 80).String()); !errors.Is(err, syscall.EHOSTUNREACH) {
				t.Error(err)
			}
		}); took > 10*time.Second {
			t.Errorf("no route to the host after %v", took)
		}
		line.Partition(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if took := passedIn(func() {
			if _, err := a.DialContext(ctx, "tcp", netip.AddrPortFrom(addr4(b), 80).String()); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		}); took != time.Second {
			t.Errorf("the context ended after %v", took)
		}
	})
}

// TestBubbleHTTP runs an HTTP server and its clients, some of which time out.
func TestBubbleHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b, _ := bubbleHosts(t, 0, netstack.HostConfig{})
		l := listen(t, b, "tcp", ":80")
		srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			d, _ := time.ParseDuration(r.URL.Query().Get("after"))
			select {
			case <-time.After(d):
				io.WriteString(w, "hello")
			case <-r.Context().Done():
			}
		})}
		go srv.Serve(l)
		defer srv.Close()
		tr := &http.Transport{DialContext: a.DialContext}
		defer tr.CloseIdleConnections()
		client := http.Client{Transport: tr, Timeout: 90 * time.Second}
		for _, after := range []time.Duration{0, time.Minute, time.Hour} {
			took := passedIn(func() {
				resp, err := client.Get("http://" + addr4(b).String() + "/?after=" + after.String())
				if err == nil {
					_, err = io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				if (err != nil) != (after > client.Timeout) {
					t.Error(after, err)
				}
			})
			if took > client.Timeout {
				t.Errorf("%v: took %v", after, took)
			}
		}
	})
}

// TestBubbleDescriptor makes a host in a bubble on a connection to another process,
// which cannot work.
func TestBubbleDescriptor(t *testing.T) {
	t.Parallel()
	c, _ := pair(t)
	synctest.Test(t, func(t *testing.T) {
		_, err := netstack.NewHost(c, netstack.HostConfig{Addrs: addrs()})
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("a host that waits for a descriptor in a bubble: %v", err)
		} else {
			t.Log(err)
		}
	})
	if c.Err() != nil {
		t.Error(c.Err())
	}
}
