// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/go-vde/sdk/internal/transport"
	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/testutil"
)

// A lingerer makes TCP sockets whose last close takes an hour, until end is called.
type lingerer struct {
	t        *testing.T
	listener *net.TCPListener
	peers    []net.Conn
}

func newLingerer(t *testing.T) *lingerer {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := l.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4096) }); err != nil {
		t.Fatal(err)
	}
	return &lingerer{t: t, listener: l}
}

// end has all sockets that linger closed.
func (l *lingerer) end() {
	for _, c := range l.peers {
		c.Close()
	}
	l.listener.Close()
}

// socket returns a socket. Nobody reads what has been sent on it.
func (l *lingerer) socket() int {
	l.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4096)
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: l.listener.Addr().(*net.TCPAddr).Port, Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		l.t.Fatal(err)
	}
	peer, err := l.listener.Accept()
	if err != nil {
		l.t.Fatal(err)
	}
	l.peers = append(l.peers, peer)
	for b := make([]byte, 1<<16); err == nil; {
		err = unix.Send(fd, b, unix.MSG_DONTWAIT)
	}
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3600}); err != nil {
		l.t.Fatal(err)
	}
	return fd
}

// send sends b on the socket fd, with the only descriptor of a socket that lingers.
func (l *lingerer) send(fd int, b []byte, flags int) error {
	l.t.Helper()
	s := l.socket()
	defer transport.CloseSocket(s) // the receiver may have closed its own already
	return unix.Sendmsg(fd, b, unix.UnixRights(s), nil, flags)
}

// returns fails the test if f does not return, and then ends what f waits for.
func (l *lingerer) returns(what string, f func()) {
	l.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		l.t.Errorf("%s waits for a client's descriptors", what)
		l.end()
		<-done
	}
}

// TestEvictWithDescriptors evicts connections on which descriptors lie that take an
// hour to close: nobody waits for that, neither with the lock held nor in threads,
// of which Go allows 10,000.
func TestEvictWithDescriptors(t *testing.T) {
	for name, flags := range map[string]int{"request": 0, "urgent byte": unix.MSG_OOB} {
		t.Run(name, func(t *testing.T) {
			l := newLingerer(t)
			defer l.end()
			pt := newPendingTest(t, 1)
			pt.came(pt.connect(1, true).fd) // takes the only turn
			before := runtime.NumGoroutine()
			const n = 40
			for range n {
				client := dialPair(t, func(fd int) {
					p := &pendingConn{fd: fd, peer: unix.Ucred{Uid: 2}, deadline: time.Now().Add(time.Minute)}
					l.returns("eviction", func() { _ = pt.add(p) })
				}, func(client int) error { return l.send(client, []byte("x"), flags) })
				defer unix.Close(client)
				if t.Failed() {
					return
				}
			}
			if len(pt.evicted) != n {
				t.Errorf("%d evicted, want %d", len(pt.evicted), n)
			}
			for end := time.Now().Add(20 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d goroutines, each with a thread, there were %d", runtime.NumGoroutine(), before)
				}
			}
		})
	}
}

// TestCloseWithDescriptors closes a switch while descriptors that take an hour to
// close lie in sockets of its.
func TestCloseWithDescriptors(t *testing.T) {
	for _, served := range []bool{false, true} {
		l := newLingerer(t)
		sw := New(Config{})
		listener, err := sw.Listen(testutil.ShortDir(t) + "/sw")
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		if served {
			go func() { ended <- listener.Serve(context.Background()) }()
		} else {
			close(ended)
		}
		ctl := dialUnixStream(t, listener.Dir()+"/ctl")
		request := []byte("x")
		data, name := -1, listener.Dir()+"/.client"
		if served {
			data = datagramSocket(t, name)
			if request, err = wire.AppendRequest(nil, wire.Request{Path: name}); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.send(ctl, request, 0); err != nil {
			t.Fatal(err)
		}
		if served {
			reply := make([]byte, wire.ReplyLen)
			if n, err := unix.Read(ctl, reply); err != nil || n != len(reply) {
				t.Fatalf("reply of %d bytes, %v", n, err)
			}
			peer, err := wire.ParseReply(reply)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Connect(data, &unix.SockaddrUnix{Name: peer}); err != nil {
				t.Fatal(err)
			}
			// Refused since Linux 6.16.
			for range 3 {
				_ = l.send(data, make([]byte, 60), unix.MSG_DONTWAIT)
			}
			_ = l.send(ctl, []byte("x"), unix.MSG_DONTWAIT)
		}
		l.returns("Close", func() { sw.Close() })
		<-ended
		l.end()
	}
}

// dialPair connects a client, which sends, and then gives the other end to accepted.
func dialPair(t *testing.T, accepted func(fd int), send func(client int) error) (client int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err == nil {
		err = send(fds[0])
	}
	if err != nil {
		t.Fatal(err)
	}
	accepted(fds[1])
	return fds[0]
}

func dialUnixStream(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return fd
}

func datagramSocket(t *testing.T, path string) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	return fd
}
