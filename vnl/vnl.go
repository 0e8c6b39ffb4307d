// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package vnl reads Virtual Network Locators, the strings that name networks in
// libvdeplug and everything built on it:
//
//	[scheme://] address [ '[' parameters ']' ]
//
// Use it to write a driver, or to look at a locator before it is opened:
//
//	l := vnl.Parse("/run/vde.ctl[port=5/mode=0660]") // l.Scheme is "vde"
//	address, params, err := l.Bracketed()            // "/run/vde.ctl", and two parameters
//
// It knows the grammar and does no I/O. What an address and its parameters mean
// is the business of the scheme's driver; see package link.
//
// The source is docs/spec/vnl.md, sections 1 and 3.
package vnl

import (
	"fmt"
	"strings"
	"syscall"
)

// DefaultScheme is the scheme of a locator without one.
const DefaultScheme = "vde"

// A Locator is a locator taken apart as far as its scheme does not matter. It is
// comparable.
type Locator struct {
	Scheme string // "vde", "tap"
	Arg    string // what follows "://", as written
}

// Parse returns the parts of a locator. Any text is one.
func Parse(text string) Locator {
	scheme, arg, ok := strings.Cut(text, "://")
	if !ok {
		return Locator{DefaultScheme, text}
	}
	return Locator{scheme, arg}
}

// String returns a text that Parse turns into l.
func (l Locator) String() string { return l.Scheme + "://" + l.Arg }

// A Param is one parameter of a locator, with quoting resolved.
type Param struct {
	Key      string // never empty
	Value    string
	HasValue bool // there was a '='
}

// Text returns the parameter as one text, as it was before it was taken apart.
func (p Param) Text() string {
	if p.HasValue {
		return p.Key + "=" + p.Value
	}
	return p.Key
}

// Bracketed returns the address and the parameters of a locator whose parameters
// are in brackets, separated by slashes: address[key=value/value]. Empty
// parameters are left out. The error matches [syscall.EINVAL].
func (l Locator) Bracketed() (address string, params []Param, err error) {
	base, rest := l.Arg, ""
	if i := indexUnquoted(l.Arg, '['); i >= 0 {
		base, rest = l.Arg[:i], l.Arg[i+1:]
		if i := lastIndexUnquoted(rest, ']'); i >= 0 {
			rest = rest[:i]
		}
	}
	if address = unquote(base); strings.Contains(address, "\x00") {
		return "", nil, Errorf("path %q contains a NUL", address)
	}
	params, err = elements(rest)
	return address, params, err
}

// Slashed returns the address and the parameters of a locator whose parameters are
// separated from it by slashes: address/key=value/value. Empty parameters are left
// out. The error matches [syscall.EINVAL].
func (l Locator) Slashed() (address string, params []Param, err error) {
	raw, rest, _ := cutUnquoted(l.Arg, '/')
	if address = unquote(raw); strings.Contains(address, "\x00") {
		return "", nil, Errorf("address %q contains a NUL", address)
	}
	params, err = elements(rest)
	return address, params, err
}

// elements takes apart parameters, separated by slashes.
func elements(rest string) (params []Param, err error) {
	for more := true; more; {
		var raw string
		raw, rest, more = cutUnquoted(rest, '/')
		elem := unquote(raw)
		if strings.Contains(elem, "\x00") {
			return nil, Errorf("parameter %q contains a NUL", elem)
		}
		if key, value, has := strings.Cut(elem, "="); key != "" {
			params = append(params, Param{key, value, has})
		}
	}
	return params, nil
}

// MatchName returns the first of names that key is the beginning of, or the empty
// string. libvdeplug reads the names of parameters with such abbreviations.
func MatchName(key string, names []string) string {
	for _, name := range names {
		if strings.HasPrefix(name, key) {
			return name
		}
	}
	return ""
}

// Errorf returns an error that matches [syscall.EINVAL], libvdeplug's error for
// malformed locators.
func Errorf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), syscall.EINVAL)
}
