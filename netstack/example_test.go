// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/netip"
	"time"

	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vswitch"
)

// A web server and a web client on two ports of a switch in this process. With
// vde.Open in place of Attach, they are on any VDE network.
func Example() {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()

	port1, _ := sw.Attach()
	server, _ := netstack.NewHost(port1, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}})
	defer server.Close()
	l, _ := server.Listen("tcp", ":80")
	go http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello over Ethernet") }))

	port2, _ := sw.Attach()
	host, _ := netstack.NewHost(port2, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24")}})
	defer host.Close()
	client := http.Client{Transport: &http.Transport{DialContext: host.DialContext, DisableKeepAlives: true}}
	resp, err := client.Get("http://10.0.0.1/")

	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, string(body))
	// Output: 200 OK hello over Ethernet
}

func ExampleHost_Ping() {
	sw := vswitch.New(vswitch.Config{})
	defer sw.Close()
	var hosts [2]*netstack.Host
	for i, addr := range []string{"10.0.0.1/24", "10.0.0.2/24"} {
		port, err := sw.Attach()
		if err != nil {
			log.Fatal(err)
		}
		hosts[i], err = netstack.NewHost(port, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}})
		if err != nil {
			log.Fatal(err)
		}
		defer hosts[i].Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	rtt, err := hosts[0].Ping(ctx, netip.MustParseAddr("10.0.0.2"))
	fmt.Println(rtt > 0, err)

	_, err = hosts[0].DialContext(ctx, "tcp", "10.0.0.2:80")
	fmt.Println(err)
	// Output:
	// true <nil>
	// dial tcp 10.0.0.2:80: connect: connection refused
}
