// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package netstack_test

import (
	"encoding/json"
	"errors"
	"net"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
)

// TestNewHostRefusesConfig checks that NewHost refuses each of these configurations
// and leaves the connection open.
func TestNewHostRefusesConfig(t *testing.T) {
	t.Parallel()
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
		{Addrs: prefixes("10.0.0.1/24"), CongestionControl: "vegas"},
		{Addrs: prefixes("10.0.0.1/24"), SendBuffer: 1},
		{Addrs: prefixes("10.0.0.1/24"), MaxRTO: time.Millisecond},
		{Addrs: prefixes("10.0.0.1/24"), MaxRTO: time.Hour},
		{Addrs: prefixes("10.0.0.1/24"), MAC: frame.Broadcast()},
		{Addrs: prefixes("10.0.0.1/24"), Policy: 2},
		{Addrs: prefixes("10.0.0.1/24"), Queue: -1},
		{Addrs: prefixes("10.0.0.1/24"), IPv6: -1},
		{IPv6: netstack.IPv6SLAAC, MTU: 1279},
		{IPv6: netstack.IPv6SLAAC, IPv6Secret: []byte("too short")},
		{IPv6: netstack.IPv6Auto, Hostname: "a..b"},
		{IPv6: netstack.IPv6Auto, Hostname: strings.Repeat("a", 64) + ".b"},
	} {
		h, err := netstack.NewHost(c, bad)
		if err == nil {
			h.Close()
			t.Fatalf("%+v was accepted", bad)
		}
		if n := strings.Count(err.Error(), "netstack: "); n != 1 || !strings.HasPrefix(err.Error(), "netstack: ") {
			t.Errorf("%+v: %q does not have the prefix once", bad, err)
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

// TestNewHostErrorPrefix checks that errors which come from below NewHost have the
// prefix of the package once.
func TestNewHostErrorPrefix(t *testing.T) {
	t.Parallel()
	closed, _ := pair(t)
	closed.Close()
	_, err := netstack.NewHost(closed, netstack.HostConfig{Addrs: addrs()})
	if !errors.Is(err, net.ErrClosed) || strings.Count(err.Error(), "netstack: ") != 1 {
		t.Errorf("on a closed connection: %v", err)
	}
	_, err = netstack.NewHost(nil, netstack.HostConfig{Addrs: addrs()})
	if err == nil || strings.Count(err.Error(), "netstack: ") != 1 {
		t.Errorf("without a connection: %v", err)
	}
}

func TestHostConfigJSON(t *testing.T) {
	t.Parallel()
	cfg := netstack.HostConfig{
		Addrs:       []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("fd00::1/64")},
		Gateway:     netip.MustParseAddr("10.0.0.254"),
		DHCP:        true,
		DHCPTimeout: 90 * time.Second,
		IPv6:        netstack.IPv6SLAAC,
		IPv6Timeout: 2 * time.Minute,
		IPv6Secret:  []byte("0123456789abcdef"),
		LookupNetIP: net.DefaultResolver.LookupNetIP,
		DNS:         []netip.Addr{netip.MustParseAddr("9.9.9.9")},
		MTU:         9000,
		MAC:         frame.MAC{2, 0, 0, 0, 0, 1},
		Policy:      netstack.TailDrop,
		MaxRTO:      1500 * time.Millisecond,
		SendBuffer:  1 << 20,
	}
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"DHCPTimeout":"1m30s"`, `"IPv6":"slaac"`, `"IPv6Timeout":"2m0s"`, `"IPv6Secret":"MDEyMzQ1Njc4OWFiY2RlZg=="`, `"MaxRTO":"1.5s"`, `"Policy":"tail-drop"`, `"MAC":"02:00:00:00:00:01"`, `"10.0.0.1/24"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("lacks %s: %s", want, b)
		}
	}
	var got netstack.HostConfig
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	cfg.LookupNetIP = nil // a function has no JSON form
	if !reflect.DeepEqual(got, cfg) {
		t.Errorf("%s became %+v", b, got)
	}
	if err := json.Unmarshal([]byte(`{"MaxRTO":"3s"}`), &got); err != nil || got.MaxRTO != 3*time.Second || got.MTU != 9000 {
		t.Errorf("after a partial configuration: %+v, %v", got, err)
	}
	for _, bad := range []string{`{"MaxRTO":"soon"}`, `{"Policy":"wait"}`, `{"DHCPTimeout":5}`, `{"IPv6":"on"}`, `{"IPv6Timeout":5}`} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}

func TestEndpointConfigJSON(t *testing.T) {
	t.Parallel()
	cfg := netstack.EndpointConfig{MAC: frame.MAC{2, 0, 0, 0, 0, 1}, Policy: netstack.TailDrop, GRO: true, OnEnd: func(error) {}}
	b, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var got netstack.EndpointConfig
	err = json.Unmarshal(b, &got)
	cfg.OnEnd = nil
	if err != nil || !reflect.DeepEqual(got, cfg) {
		t.Errorf("%s became %+v, %v", b, got, err)
	}
}

func TestPolicyText(t *testing.T) {
	t.Parallel()
	for policy, want := range map[netstack.Policy]string{netstack.Backpressure: "backpressure", netstack.TailDrop: "tail-drop"} {
		b, err := policy.MarshalText()
		if err != nil || string(b) != want || policy.String() != want {
			t.Errorf("%d is %q, %v", policy, b, err)
		}
		var got netstack.Policy
		if err := got.UnmarshalText(b); err != nil || got != policy {
			t.Errorf("%q became %v, %v", b, got, err)
		}
	}
	if s := netstack.Policy(7).String(); s != "Policy(7)" {
		t.Errorf("got %q", s)
	}
	if _, err := netstack.Policy(-1).MarshalText(); err == nil {
		t.Error("an unknown policy has a text form")
	}
	p := netstack.TailDrop
	if err := p.UnmarshalText([]byte("head-drop")); err == nil || p != netstack.TailDrop {
		t.Errorf("%v, %v", p, err)
	}
}
