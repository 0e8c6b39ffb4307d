// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"testing"

	"github.com/go-vde/sdk/testutil"
)

// TestMetricsPageHeldConnections checks that clients who keep connections, after a request,
// without one or with one that does not come to its end, keep nobody else from the page: the one that has
// been without a request for the longest time is closed.
func TestMetricsPageHeldConnections(t *testing.T) {
	testutil.NoLeaks(t)
	p, addr := servePage(t)
	defer p.close()
	for i := range 6 * pageConns {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch i % 4 {
		case 0:
			continue
		case 1:
			fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
			continue
		case 2:
			fmt.Fprint(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
			continue
		}
		fmt.Fprint(c, "HEAD / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	if code, text := fetch(t, "GET", addr, "/metrics", ""); code != http.StatusOK {
		t.Errorf("%d\n%s", code, text)
	}
}
