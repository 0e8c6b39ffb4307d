// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"io/fs"
	"math/bits"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
)

func TestAddress(t *testing.T) {
	plain := func(change func(*address)) address {
		a := address{dir: "/n", hashSize: -1, expireTime: 120 * time.Second}
		change(&a)
		return a
	}
	for arg, want := range map[string]address{
		"/n":                     plain(func(*address) {}),
		"":                       plain(func(a *address) { a.dir = "" }),
		"[mode=640]":             plain(func(a *address) { a.dir, a.mode = "", 0o640 }),
		"/n[]":                   plain(func(*address) {}),
		"/n[m=777]":              plain(func(a *address) { a.mode = 0o666 }),
		"/n[mode=600/mode=660]":  plain(func(a *address) { a.mode = 0o660 }),
		"/n[mode=600/mode=]":     plain(func(*address) {}),
		"/n[mode]":               plain(func(*address) {}),
		"/n[dirmode=2770]":       plain(func(a *address) { a.mode, a.dirMode = 0o600, 0o770|fs.ModeSetgid }),
		"/n[d=1777/mode=666]":    plain(func(a *address) { a.mode, a.dirMode = 0o666, 0o777|fs.ModeSticky }),
		"/n[grp=users]":          plain(func(a *address) { a.group = "users" }),
		"/n[g='a/b']":            plain(func(a *address) { a.group = "a/b" }),
		"/n[hashsize=0]":         plain(func(a *address) { a.hashSize = 0 }),
		"/n[h=256]":              plain(func(a *address) { a.hashSize = 256 }),
		"/n[hash=257]":           plain(func(a *address) { a.hashSize = 512 }),
		"/n[hashsize=16777216]":  plain(func(a *address) { a.hashSize = 1 << 24 }),
		"/n[hashs=1/hashseed=7]": plain(func(a *address) { a.hashSize = 1 }),
		"/n[expiretime=5]":       plain(func(a *address) { a.expireTime = 5 * time.Second }),
		"/n[e=0]":                plain(func(a *address) { a.expireTime = time.Second }),
		"/n[e=9999999999]":       plain(func(a *address) { a.expireTime = vswitch.Forever }),
		`/n\[x\][e=5]`:           plain(func(a *address) { a.dir, a.expireTime = "/n[x]", 5*time.Second }),
	} {
		if got, err := parseAddress(vnl.Locator{Scheme: "switch", Arg: arg}); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", arg, got, err, want)
		}
	}
	for _, arg := range []string{
		"/n[5]", "/n[port=5]", "/n[mode=8]", "/n[mode=1777]", "/n[dirmode=4755]", "/n[hashsize=]", "/n[hashsize]",
		"/n[hashsize=0x10]", "/n[hashsize=-1]", "/n[hashsize=16777217]", "/n[hashseed=x]", "/n[expiretime=1.5]",
		"/n[expiretime=99999999999999999999]", "/n%00", "/n[modes=1]",
	} {
		if a, err := parseAddress(vnl.Locator{Scheme: "switch", Arg: arg}); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%s: %+v, %v", arg, a, err)
		}
	}
}

// FuzzAddress compares the parser with one that takes plain locators, those without
// quotes, apart with other means, and holds the result to its bounds.
func FuzzAddress(f *testing.F) {
	for _, arg := range []string{
		"", "/n", "/n[mode=666/d=3777/grp=users]", "/n[h=300/hashseed=1/e=60]", "/n[e=0]x", "/n[h=0", `/n\[["m=6"]`, "/n[=5/mode=]",
	} {
		f.Add(arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		a, err := parseAddress(vnl.Locator{Scheme: "switch", Arg: arg})
		if err != nil {
			if !errors.Is(err, syscall.EINVAL) {
				t.Fatalf("%q: %v", arg, err)
			}
		} else if a.mode&^0o666 != 0 || a.dirMode&^(0o777|fs.ModeSetgid|fs.ModeSticky) != 0 ||
			a.hashSize > maxHashSize || a.hashSize < -1 || a.hashSize > 0 && bits.OnesCount(uint(a.hashSize)) != 1 ||
			a.expireTime < time.Second && a.expireTime != vswitch.Forever {
			t.Fatalf("%q: %+v", arg, a)
		}
		if strings.ContainsAny(arg, "\\'\"%\x00") || strings.Count(arg, "[") > 1 || strings.Count(arg, "]") > 1 {
			return
		}
		want, ok := plainAddress(arg)
		if ok != (err == nil) || ok && a != want {
			t.Fatalf("%q: %+v, %v, want %+v, %v", arg, a, err, want, ok)
		}
	})
}

// plainAddress is parseAddress of a locator without quotes, written from
// docs/spec/vnl.md, sections 3.2 to 3.5 and 4.2.
func plainAddress(arg string) (a address, ok bool) {
	a = address{hashSize: -1, expireTime: 120 * time.Second}
	var rest string
	a.dir, rest, _ = strings.Cut(arg, "[")
	rest, _, _ = strings.Cut(rest, "]")
	last := make(map[string]string)
	for _, elem := range strings.Split(rest, "/") {
		key, value, _ := strings.Cut(elem, "=")
		if key == "" {
			continue
		}
		found := false
		for _, name := range []string{"mode", "dirmode", "grp", "hashsize", "hashseed", "expiretime"} {
			if len(key) <= len(name) && name[:len(key)] == key {
				last[name], found = value, true
				break
			}
		}
		if !found {
			return a, false
		}
	}
	a.group = last["grp"]
	return a, plainModes(&a, last) && plainNumbers(&a, last)
}

// plainNumber reads a number of the given base, at most bound; empty text is 0.
func plainNumber(text string, base, bound uint64) (n uint64, ok bool) {
	for _, c := range []byte(text) {
		if c < '0' || uint64(c-'0') >= base {
			return 0, false
		}
		if n = n*base + uint64(c-'0'); n > 1<<60 {
			return 0, false
		}
	}
	return n, n <= bound
}

func plainModes(a *address, last map[string]string) bool {
	mode, ok1 := plainNumber(last["mode"], 8, 0o777)
	dirMode, ok2 := plainNumber(last["dirmode"], 8, 0o3777)
	a.mode = fs.FileMode(mode & 0o666)
	a.dirMode = fs.FileMode(dirMode & 0o777)
	for bit, m := range map[uint64]fs.FileMode{0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if dirMode&bit != 0 {
			a.dirMode |= m
		}
	}
	if a.dirMode != 0 && a.mode == 0 {
		a.mode = 0o600
	}
	return ok1 && ok2
}

func plainNumbers(a *address, last map[string]string) bool {
	for _, name := range []string{"hashsize", "hashseed", "expiretime"} {
		value, given := last[name]
		if !given {
			continue
		}
		n, ok := plainNumber(value, 10, 1<<60)
		switch {
		case !ok || value == "", name == "hashsize" && n > 1<<24:
			return false
		case name == "hashsize" && n == 0:
			a.hashSize = 0
		case name == "hashsize":
			a.hashSize = 1 << bits.Len64(n-1)
		case name == "expiretime":
			a.expireTime = time.Duration(min(max(n, 1), 1<<32)) * time.Second
			if n > 70*365*86400 {
				a.expireTime = vswitch.Forever
			}
		}
	}
	return true
}
