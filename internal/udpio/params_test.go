// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package udpio

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/vnl"
)

// TestParams reads the parameters of docs/spec/vnl.md, section 3.
func TestParams(t *testing.T) {
	base := Params{Family: AnyFamily, Port: 4789, VNI: -1, Group: -1, TTL: -1, Size: 1024, Age: 128 * time.Second}
	with := func(f func(*Params)) Params {
		p := base
		f(&p)
		return p
	}
	for arg, want := range map[string]Params{
		"":              base,
		"h/port=5/v":    with(func(p *Params) { p.Host, p.Port, p.VNI = "h", 5, 42 }), // v is vni, of the effective group
		"/vni=7/v=9":    with(func(p *Params) { p.VNI = 9 }),
		"/p=5/i=lo":     with(func(p *Params) { p.Port, p.Interface = 5, "lo" }),
		"/v6":           with(func(p *Params) { p.Family = IPv6 }),
		"/v4":           with(func(p *Params) { p.Family = IPv4 }),
		"/v4/v6":        base,
		"/rcvbuf=64k":   with(func(p *Params) { p.Buffer = 65536 }),
		"/rcvbuf=1kK":   with(func(p *Params) { p.Buffer = 1 << 20 }),
		"/r=0x10":       with(func(p *Params) { p.Buffer = 16 }),
		"/r=1g":         with(func(p *Params) { p.Buffer = 1 << 30 }),
		"/expiretime=0": base,
		"/e=-3":         base,
		"/e=2/h=0":      with(func(p *Params) { p.Age, p.Size = 2*time.Second, 0 }),
		"/b=::1/ttl=9":  with(func(p *Params) { p.Bind, p.TTL = "::1", 9 }),
		"/grp/=x/":      with(func(p *Params) { p.Group = 42 }),
		"/grp=5":        with(func(p *Params) { p.Group = 5 }),
		"'a/b'/port=7":  with(func(p *Params) { p.Host, p.Port = "a/b", 7 }),
	} {
		if got, err := ParseParams(vnl.Locator{Scheme: "vxvde", Arg: arg}, VXVDENames, 4789, true, 42); err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", arg, got, err, want)
		}
	}
	for _, arg := range []string{
		"/x=1", "/vnix=1", "/port=", "/port=65536", "/port=1x", "/vni=16777216", "/vni=no-such-group", "/grp=no-such-group", "/ttl=256",
		"/rcvbuf=", "/rcvbuf=k", "/rcvbuf=1m1", "/rcvbuf=-1", "/rcvbuf=9t", "/rcvbuf=1tttttttttttt", "/hashsize=65537", "/expiretime=x",
	} {
		if got, err := ParseParams(vnl.Locator{Scheme: "vxvde", Arg: arg}, VXVDENames, 4789, true, 42); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%q: %+v, %v; want EINVAL", arg, got, err)
		}
	}
}

// FuzzParams holds what is accepted to the ranges of the parameters, and what is
// refused to its error. An empty parameter changes nothing.
func FuzzParams(f *testing.F) {
	for _, s := range []string{"239.0.0.1/port=5/vni=3", "/v6/r=64k/e=9/h=8", "/i=lo/b=::1/t=1", "'a/b'/v4"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, arg string, groups bool) {
		names := VXLANNames
		if groups {
			names = VXVDENames
		}
		p, err := ParseParams(vnl.Locator{Scheme: "x", Arg: arg}, names, 4789, groups, 42)
		if err != nil {
			if !errors.Is(err, syscall.EINVAL) {
				t.Fatalf("%v, want EINVAL", err)
			}
			return
		}
		if p.Port < 1 || p.Port > 65535 || p.VNI < -1 || p.VNI > maxVNI || p.TTL < -1 || p.TTL > 255 || p.Buffer < 0 || p.Buffer > maxBytes ||
			p.Size < 0 || p.Size > maxTableSize || p.Age < time.Second || p.Group < -1 || !groups && (p.Group != -1 || p.Bind != "") {
			t.Fatalf("%+v", p)
		}
		if strings.ContainsAny(arg, "'\"\\") {
			return // a slash may be quoted
		}
		if again, err := ParseParams(vnl.Locator{Scheme: "x", Arg: arg + "/"}, names, 4789, groups, 42); err != nil || again != p {
			t.Fatalf("%+v, and with a slash %+v, %v", p, again, err)
		}
	})
}
