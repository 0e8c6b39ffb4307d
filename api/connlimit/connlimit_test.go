// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package connlimit_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/go-vde/sdk/api/connlimit"
)

// watchdog bounds what hangs when a connection that should be closed is not.
const watchdog = 30 * time.Second

// serve serves requests, of which those for /in are let in, with up to most connections.
// From idle comes a value whenever a connection has become idle.
func serve(t *testing.T, most int) (dial func() net.Conn, idle <-chan struct{}) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/in" {
			http.NotFound(w, r)
			return
		}
		connlimit.Admit(r.Context())
	})}
	connlimit.New(most).Bound(s)
	note, bound := make(chan struct{}, 16), s.ConnState
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if bound(c, state); state == http.StateIdle {
			note <- struct{}{}
		}
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(watchdog))
		return c
	}, note
}

// request makes a request on c and checks the status of the answer.
func request(t *testing.T, c net.Conn, path string, want int) {
	t.Helper()
	fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != want {
		t.Fatalf("%s: %s, %v, want %d", path, r.Status, err, want)
	}
}

// ended checks that the server has closed c.
func ended(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("the connection is not closed: %v", err)
	}
}

// TestBound checks which connection makes room for another one: one that has sent half a
// request, or one whose requests were refused, before one with a request that was let in,
// although that has waited longer.
func TestBound(t *testing.T) {
	dial, _ := serve(t, 2)
	user := dial()
	request(t, user, "/in", http.StatusOK)
	half := dial()
	fmt.Fprint(half, "GET /in")
	refused := dial()
	request(t, refused, "/out", http.StatusNotFound)
	ended(t, half)
	other := dial()
	request(t, other, "/in", http.StatusOK)
	ended(t, refused)
	request(t, user, "/in", http.StatusOK)
}

// TestBoundUsers checks that of users alone the one that has waited longest makes room.
func TestBoundUsers(t *testing.T) {
	dial, idle := serve(t, 2)
	first, second := dial(), dial()
	for _, c := range []net.Conn{second, first} {
		request(t, c, "/in", http.StatusOK)
		<-idle
	}
	third := dial()
	request(t, third, "/in", http.StatusOK)
	ended(t, second)
	request(t, first, "/in", http.StatusOK)
}
