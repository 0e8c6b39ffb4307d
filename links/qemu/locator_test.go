// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package qemu

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/vnl"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]address{
		"stream:///run/s":                                            {network: "unix", remote: "/run/s"},
		"stream://s":                                                 {network: "unix", remote: "s"},
		"stream://./a:b":                                             {network: "unix", remote: "./a:b"},
		"stream://host:9000":                                         {network: "tcp", remote: "host:9000"},
		`stream://\[::1\]:9000`:                                      {network: "tcp", remote: "[::1]:9000"},
		"stream://[::1]:9000":                                        {network: "tcp", remote: "[::1]:9000"},
		"hyperkit://[fe80::1%de0]:9000[server]":                      {network: "tcp", local: "[fe80::1%de0]:9000", server: true},
		"stream://:9000[server]":                                     {network: "tcp", local: ":9000", server: true},
		"stream:///s[server=on/mode=660/group=kvm]":                  {network: "unix", local: "/s", server: true, mode: 0o660, group: "kvm"},
		"stream:///s[s/m=0660/g=kvm]":                                {network: "unix", local: "/s", server: true, mode: 0o660, group: "kvm"},
		"stream:///s[server=off]":                                    {network: "unix", remote: "/s"},
		"stream:///s[server/server=off]":                             {network: "unix", remote: "/s"},
		"hyperkit:///s[reconnect]":                                   {network: "unix", remote: "/s", reconnect: true},
		"hyperkit://h:1[reconnect=7]":                                {network: "tcp", remote: "h:1", reconnect: true, pause: 7 * time.Second},
		"stream:///s[reconnect=0]":                                   {network: "unix", remote: "/s"},
		"stream:///s[superframes]":                                   {network: "unix", remote: "/s", superframes: 1500},
		"hyperkit:///s[server/superframes=9000]":                     {network: "unix", local: "/s", server: true, superframes: 9000},
		"hyperkit:///s[vpnkit=01234567-89ab-cdef-0123-456789ABCDEF]": {network: "unix", remote: "/s", vpnkit: true, uuid: "01234567-89ab-cdef-0123-456789ABCDEF"},
		"hyperkit:///s[server/v]":                                    {network: "unix", local: "/s", server: true, vpnkit: true},
		"hyperkit:///s[vpnkit=off]":                                  {network: "unix", remote: "/s"},
		"bess://a:1":                                                 {network: "unix", remote: "a:1"},
		"dgram:///a->/b":                                             {network: "unix", local: "/a", remote: "/b"},
		"dgram:///a":                                                 {network: "unix", remote: "/a"},
		"dgram:///a[vfkit]":                                          {network: "unix", remote: "/a", vfkit: true},
		"dgram:///a[server/mode=666]":                                {network: "unix", local: "/a", server: true, mode: 0o666},
	} {
		if got, err := parse(vnl.Parse(text)); got != want || err != nil {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
}

// text returns a locator that says a.
func (a address) text(scheme string) string {
	base := a.local + a.remote
	if a.local != "" && a.remote != "" {
		base = a.local + "->" + a.remote
	}
	var params []string
	if a.server {
		params = append(params, "server=on")
	}
	if a.reconnect {
		params = append(params, "reconnect")
	}
	if a.pause > 0 {
		params = append(params, fmt.Sprintf("reconnect=%d", a.pause/time.Second))
	}
	if a.mode != 0 {
		params = append(params, fmt.Sprintf("mode=%o", a.mode))
	}
	if a.group != "" {
		params = append(params, "group="+strings.ReplaceAll(vnl.Quote(a.group), "/", `\/`))
	}
	if a.superframes > 0 {
		params = append(params, fmt.Sprintf("superframes=%d", a.superframes))
	}
	if a.vfkit {
		params = append(params, "vfkit")
	}
	switch {
	case a.uuid != "":
		params = append(params, "vpnkit="+a.uuid)
	case a.vpnkit:
		params = append(params, "vpnkit")
	}
	return scheme + "://" + vnl.Quote(base) + "[" + strings.Join(params, "/") + "]"
}

// FuzzLocator parses any locator, and again what was understood, written down in
// another way.
func FuzzLocator(f *testing.F) {
	for _, arg := range []string{
		"/run/s[server/mode=660/group=a\\/b]", "h:1[reconnect=3]", `\[::1\]:1`, "/a->/b[m=1]", "/a[server]", "/a[v]", "[server]", "/a->", "a->b->c", "x[s=off/r=0]", "/s[v]", "[::1]:1[server]", "[::1]:", "[1.2.3.4]:1", "/s[vpnkit=00000000-0000-0000-0000-00000000000a]",
	} {
		for i := range 4 {
			f.Add(uint8(i), arg)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, arg string) {
		scheme := []string{"stream", "hyperkit", "bess", "dgram"}[kind%4]
		a, err := parse(vnl.Locator{Scheme: scheme, Arg: arg})
		if err != nil {
			if !errors.Is(err, syscall.EINVAL) {
				t.Fatalf("%q: %v", arg, err)
			}
			return
		}
		if a.server && a.remote != "" || !a.server && a.remote == "" || scheme != "dgram" && (a.local != "") != a.server {
			t.Errorf("%q: %+v", arg, a)
		}
		text := a.text(scheme)
		if again, err := parse(vnl.Parse(text)); again != a || err != nil {
			t.Errorf("%q is %+v; as %q it is %+v, %v", arg, a, text, again, err)
		}
	})
}
