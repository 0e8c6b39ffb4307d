// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/vswitch"
)

// Check returns why a switch cannot have the configuration c, if it cannot.
func Check(c vswitch.Config) error {
	c.Logger = nil
	_, err := vswitch.New(c).Port(0)
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// blame returns the error err, which is [Check]'s about what d has read from root, with
// the key that is to blame. That is the first one without which, and without all that
// come after it, the switch could have the configuration.
func blame(root *yaml.Node, d *decoder, err error) error {
	units := unitsOf(d.order)
	with := func(n int) error {
		taken := make(map[string]bool)
		for _, u := range units[:n] {
			for _, key := range u {
				for ; key != "" && !taken[key]; key = parent(key) {
					taken[key] = true
				}
			}
		}
		part := newDecoder(d.file.name, d.flags, func(path string) bool { return taken[path] })
		part.document(root)
		return Check(part.file.Config)
	}
	n := sort.Search(len(units), func(n int) bool { return with(n) != nil })
	if n == 0 {
		return &Error{File: d.file.name, Err: errors.New(inKeys(err, ""))} // the flags are to blame
	}
	key := units[n-1][0]
	return d.file.Errorf(key, "%s", inKeys(with(n), key))
}

// unitsOf divides the keys of a file into what can be judged on its own, in an order in
// which nothing depends on what comes later: the settings of the switch, the range of
// each group, and then the settings of groups and ports.
func unitsOf(keys []string) [][]string {
	var units, ports [][]string
	group := make(map[string]int)
	for _, key := range keys {
		parts := strings.Split(key, ".")
		switch {
		case parts[0] == "ports", parts[0] == "port-groups" && len(parts) > 3:
			ports = append(ports, []string{key})
		case parts[0] == "port-groups" && len(parts) > 1:
			i, ok := group[parts[1]]
			if !ok {
				i = len(units)
				group[parts[1]] = i
				units = append(units, nil)
			}
			units[i] = append(units[i], key)
		default:
			units = append(units, []string{key})
		}
	}
	slices.SortStableFunc(units, func(a, b []string) int {
		return strings.Count(b[0], "num-ports") - strings.Count(a[0], "num-ports")
	})
	return append(units, ports...)
}

var (
	word  = regexp.MustCompile(`\b[A-Z][A-Za-z]+\b`)
	place = regexp.MustCompile(`^(DefaultPort|Ports\[-?\d+\]|PortGroups\["(?:[^"\\]|\\.)*"\]): `)

	keyOfWord = func() map[string]string {
		m := map[string]string{"NoVLAN": "none", "Forever": "forever", "In": "in", "Out": "out"}
		for _, t := range []reflect.Type{
			reflect.TypeFor[vswitch.Config](), reflect.TypeFor[vswitch.PortConfig](),
			reflect.TypeFor[vswitch.PortGroup](), reflect.TypeFor[vswitch.StaticEntry](), reflect.TypeFor[impair.Impairment](),
		} {
			for _, f := range fieldsOf(t) {
				if len(f.name) > len("MAC") && f.name != "VLAN" {
					m[f.name] = f.key
				}
			}
		}
		return m
	}()
)

// inKeys returns the text of an error of vswitch, which names fields as Go does, with the
// keys of a file, and without the place that it begins with if that is the one of key.
func inKeys(err error, key string) string {
	text := err.Error()
	if m := place.FindStringSubmatch(text); m != nil && (key == "" || strings.HasPrefix(key+".", keyOfPlace(m[1])+".")) {
		text = text[len(m[0]):]
	}
	return word.ReplaceAllStringFunc(text, func(w string) string {
		if key, ok := keyOfWord[w]; ok {
			return key
		}
		return w
	})
}

// keyOfPlace returns the key for a place such as Ports[3].
func keyOfPlace(place string) string {
	field, index, ok := strings.Cut(strings.TrimSuffix(place, "]"), "[")
	if !ok {
		return keyOf(field)
	}
	if name, err := strconv.Unquote(index); err == nil {
		index = name
	}
	return keyOf(field) + "." + index
}

// check returns what is impossible in f beside its Config.
func (f *File) check() (errs []error) {
	last := f.LastPort()
	wrong := func(key, format string, args ...any) { errs = append(errs, f.Errorf(key, format, args...)) }
	port := func(key string, n, first int) {
		if n < first || n > last {
			wrong(key, "%d: give a port from %d to %d", n, first, last)
		}
	}
	for i, u := range f.Uplinks {
		key := fmt.Sprintf("uplinks[%d]", i)
		port(key+".port", u.Port, 0)
		if u.Locator == "" {
			wrong(key, "has no locator; give one, such as /run/vde.ctl")
		}
		if u.MinDelay < 0 || u.MaxDelay < 0 || u.MaxDelay > 0 && u.MinDelay > u.MaxDelay {
			wrong(key+".min-delay", "%v: give a time that is no longer than max-delay", u.MinDelay)
		}
	}
	for i, m := range f.Mirrors {
		key := fmt.Sprintf("mirrors[%d]", i)
		port(key+".src", m.Src, 0)
		port(key+".dst", m.Dst, 0)
		if m.Src == m.Dst {
			wrong(key, "%d is mirrored to itself; give two ports", m.Src)
		}
		if j := slices.Index(f.Mirrors[:i], m); j >= 0 {
			wrong(key, "is the same as mirrors[%d]; leave one out", j)
		}
	}
	errs = append(errs, f.checkAddresses()...)
	return errs
}

// checkAddresses is the part of check that is about where something is served.
func (f *File) checkAddresses() (errs []error) {
	if f.Metrics != "" {
		if _, err := ListenAddress(f.Metrics); err != nil {
			errs = append(errs, f.Errorf("metrics", "%w", err))
		}
	}
	errs = append(errs, f.checkHTTP()...)
	for key, mode := range map[string]uint32{"console.mode": uint32(f.Console.Mode), "api.mode": uint32(f.API.Mode)} {
		if mode&^0o777 != 0 {
			errs = append(errs, f.Errorf(key, "give permissions up to 0777"))
		}
	}
	if f.Console.Path == "" && f.Console != (Socket{}) {
		errs = append(errs, f.Errorf("console", "has no path; give the path of its socket"))
	}
	if f.API.Disabled && f.API != (API{Disabled: true}) {
		errs = append(errs, f.Errorf("api.disabled", "the other keys of api have no effect; leave them out"))
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// checkHTTP is the part of check that is about HTTP.
func (f *File) checkHTTP() (errs []error) {
	if f.HTTP == (HTTP{}) {
		return nil
	}
	if f.HTTP.Address == "" {
		return []error{f.Errorf("http", "has no address; give one, such as 127.0.0.1:8080")}
	}
	addr, err := ListenAddress(f.HTTP.Address)
	if err != nil {
		return []error{f.Errorf("http", "%w", err)}
	}
	host, _, _ := net.SplitHostPort(addr)
	if ip, err := netip.ParseAddr(host); (err != nil || !ip.IsLoopback()) && host != "localhost" && f.HTTP.TokenFile == "" {
		return []error{f.Errorf("http", "others can reach %s; use 127.0.0.1, or give a token-file", addr)}
	}
	return nil
}

// ListenAddress returns the TCP address that text stands for: a port, or one without a
// host, is on the loopback interface.
func ListenAddress(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil && !strings.Contains(text, ":") {
		host, port, err = "", text, nil
	}
	if n, portErr := strconv.ParseUint(port, 10, 16); err != nil || portErr != nil || port != strconv.FormatUint(n, 10) {
		return "", fmt.Errorf("%q: give HOST:PORT, or a port on this machine, such as 9100", text)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port), nil
}
