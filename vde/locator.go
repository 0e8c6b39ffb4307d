// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-vde/sdk/internal/wire"
)

// A locator is a parsed Virtual Network Locator (VNL) of the vde scheme:
//
//	[vde://] path [ '[' port or portgroup / group=name / mode=octal ']' ]
//
// The zero value of each parameter means that it was not given.
type locator struct {
	// dirs are the control directories to try in this order, at least one.
	// They are as written; see resolveDir.
	dirs []string

	// portGroup names a socket beside ctl, to be tried before it with
	// wire.AnyPort. A port number is a portGroup too: "5" may be the name of
	// such a socket, and only if there is none is it a port to ask ctl for.
	portGroup string

	// port is the number in portGroup, or wire.AnyPort if that is not a number.
	port wire.Port

	group string      // group of the data socket
	mode  fs.FileMode // permission bits of the data socket
}

// places are the parts of the system that decide what a locator without a path
// means.
type places struct {
	home     string   // $HOME; empty if there is none
	switches []string // control directories of the system's switch
}

func systemPlaces() places {
	return places{
		home:     os.Getenv("HOME"),
		switches: []string{"/var/run/vde.ctl", "/tmp/vde.ctl"},
	}
}

// parseLocator parses vnl. The empty string stands for the user's default
// network, and the path of a regular file for the locator in its first line.
//
// The error is errors.ErrUnsupported if the scheme is not vde and
// syscall.EINVAL if the locator is malformed.
func parseLocator(vnl string) (locator, error) {
	return systemPlaces().parse(vnl)
}

func (p places) parse(vnl string) (locator, error) {
	l, err := p.find(vnl)
	if err != nil {
		return locator{}, fmt.Errorf("locator %q: %w", vnl, err)
	}
	return l, nil
}

// find follows vnl through the home directory and locator files to a locator
// that can be parsed.
func (p places) find(vnl string) (locator, error) {
	if strings.Contains(vnl, "://") {
		return p.parseText(vnl)
	}
	path := vnl
	if path == "" {
		path = p.homeDefault()
	}
	line, ok, err := locatorFile(path)
	switch {
	case err != nil:
		return locator{}, err
	case ok:
		// A path in the line is not looked up as a file again, so files
		// cannot refer to each other in circles.
		l, err := p.parseText(line)
		if err != nil {
			return locator{}, fmt.Errorf("first line of %s, %q: %w", path, line, err)
		}
		return l, nil
	case vnl == "" && path != "":
		// Nobody wrote this path as a locator: a quote or a bracket in the
		// name of a home directory is just that.
		return locator{dirs: []string{path}}, nil
	}
	return p.parseText(vnl)
}

// homeDefault returns the path of the user's default network, or the empty
// string. It asks for the name, not for what the name leads to: a user whose
// default is a broken link wants to hear about it, not to join another network.
func (p places) homeDefault() string {
	if p.home == "" {
		return ""
	}
	for _, name := range []string{".vdeplug/default", ".vde2/default.switch"} {
		path := p.home + "/" + name
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return ""
}

// maxLocatorLine limits how much of a file is read in search of a locator.
const maxLocatorLine = 4096

// locatorFile returns the first line of the regular file at path. It is not ok
// if there is no such file or the file is empty; path then means itself. Other
// kinds of file are never opened, because opening a FIFO blocks and opening a
// device may do anything.
func locatorFile(path string) (line string, ok bool, err error) {
	fi, err := os.Stat(path)
	if err != nil || !fi.Mode().IsRegular() {
		return "", false, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return "", false, fmt.Errorf("reading locator file: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxLocatorLine+1))
	if err != nil {
		return "", false, fmt.Errorf("reading locator file: %w", err)
	}
	if len(b) == 0 {
		return "", false, nil
	}
	first, _, found := bytes.Cut(b, []byte("\n"))
	if found {
		first = bytes.TrimSuffix(first, []byte("\r"))
	}
	if len(first) > maxLocatorLine {
		return "", false, invalidf("first line of %s is longer than %d bytes: is it a locator file?", path, maxLocatorLine)
	}
	return string(first), true, nil
}

// parseText parses a locator that is not the name of a file.
func (p places) parseText(text string) (locator, error) {
	scheme, arg, ok := strings.Cut(text, "://")
	if !ok {
		scheme, arg = "vde", text
	}
	switch scheme {
	case "vde":
		return p.parseVDE(arg)
	case "switch", "hub", "multi", "bonding", "tap", "macvtap", "ptp", "cmd", "seqpacket", "null", "udp", "vxvde", "vxlan":
		return locator{}, fmt.Errorf("scheme %q is not implemented by this package, which joins vde:// networks only: %w", scheme, errors.ErrUnsupported)
	default:
		return locator{}, fmt.Errorf("unknown scheme %q, want vde: %w", scheme, errors.ErrUnsupported)
	}
}

// parseVDE parses what follows "vde://".
func (p places) parseVDE(arg string) (locator, error) {
	base, rest := arg, ""
	if i := indexUnquoted(arg, '['); i >= 0 {
		base, rest = arg[:i], arg[i+1:]
		if i := lastIndexUnquoted(rest, ']'); i >= 0 {
			rest = rest[:i]
		}
	}
	l := locator{dirs: p.switches}
	if dir := unquote(base); strings.Contains(dir, "\x00") {
		return locator{}, invalidf("path %q contains a NUL", dir)
	} else if dir != "" {
		l.dirs = []string{dir}
	}
	params, err := parseParams(rest)
	if err != nil {
		return locator{}, err
	}
	if err := l.apply(params); err != nil {
		return locator{}, err
	}
	return l, nil
}

// vdeParams are the values between the brackets, before interpretation.
type vdeParams struct{ portGroup, group, mode string }

// parseParams parses the elements between the brackets. The last one of a name
// wins, even if it is empty, so values are not looked at until all are known.
func parseParams(s string) (vdeParams, error) {
	names := []string{"port", "portgroup", "group", "mode"}
	var p vdeParams
	for more := true; more; {
		var raw string
		raw, s, more = cutUnquoted(s, '/')
		elem := unquote(raw)
		if strings.Contains(elem, "\x00") {
			return p, invalidf("parameter %q contains a NUL", elem)
		}
		key, value, hasValue := strings.Cut(elem, "=")
		if key == "" {
			continue
		}
		switch name := matchName(key, names); {
		case name == "port", name == "portgroup":
			p.portGroup = value
		case name == "group":
			p.group = value
		case name == "mode":
			p.mode = value
		case hasValue:
			return p, invalidf("unknown parameter %q, want one of %s", key, strings.Join(names, ", "))
		default:
			p.portGroup = elem
		}
	}
	return p, nil
}

// matchName returns the first of names that key is the beginning of, or the
// empty string. Such abbreviations are how libvdeplug reads parameters.
func matchName(key string, names []string) string {
	for _, name := range names {
		if strings.HasPrefix(name, key) {
			return name
		}
	}
	return ""
}

// apply interprets p.
func (l *locator) apply(p vdeParams) (err error) {
	if l.port, err = parsePort(p.portGroup); err != nil {
		return err
	}
	if l.mode, err = parseMode(p.mode); err != nil {
		return err
	}
	l.portGroup, l.group = p.portGroup, p.group
	return nil
}

// parsePort returns the port that a portgroup's name stands for if it is a
// number, and checks that it is the name of a file in the switch's directory
// if it is not.
func parsePort(name string) (wire.Port, error) {
	if name == "" {
		return wire.AnyPort, nil
	}
	if strings.Trim(name, "0123456789") == "" {
		n, err := strconv.ParseUint(name, 10, 32)
		switch {
		case err != nil || n > uint64(wire.MaxPort):
			return 0, invalidf("port %s is out of range, the highest is %d", name, wire.MaxPort)
		case n == 0:
			return wire.ManagementPort, nil
		}
		return wire.Port(n), nil
	}
	if name == "." || name == ".." || strings.ContainsRune(name, '/') {
		return 0, invalidf("portgroup %q is not the name of a socket in the switch's directory", name)
	}
	return wire.AnyPort, nil
}

// parseMode parses the permission bits of the data socket. 0 is taken for "not
// given", because a socket that even its owner cannot use is of no use.
func parseMode(s string) (fs.FileMode, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > uint64(fs.ModePerm) {
		return 0, invalidf("mode %q is not an octal number from 0 to 777", s)
	}
	return fs.FileMode(n), nil
}

// invalidf returns an error that matches syscall.EINVAL, libvdeplug's error for
// malformed locators.
func invalidf(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), syscall.EINVAL)
}

// resolveDir returns the absolute path of a control directory without symbolic
// links, which is how the switch sees it in its reply. It fails if there is no
// such directory.
//
// filepath.Abs will not do: it removes ".." by the letter, which leads
// elsewhere behind a symbolic link.
func resolveDir(dir string) (string, error) {
	if !filepath.IsAbs(dir) {
		wd, err := os.Getwd()
		if err != nil {
			return "", err
		}
		dir = wd + string(filepath.Separator) + dir
	}
	return filepath.EvalSymlinks(dir)
}

// The functions below know the quoting of locators. It is close to a shell's:
//
//	\c          c, whatever it is
//	'…' "…"     what is between, literally; to the end if nothing closes it
//	%HH         the byte with that hexadecimal number; literal if not a number
//
// Nothing quoted is ever a delimiter.

// nextUnit returns the length of the first unit of s, which is not empty, the
// text it stands for, and whether it is quoted. A unit is one of the forms
// above or a single byte.
func nextUnit(s string) (n int, text string, quoted bool) {
	switch s[0] {
	case '\\':
		n = min(2, len(s)) // a backslash at the end stands for nothing
		return n, s[1:n], true
	case '\'', '"':
		text, _, closed := strings.Cut(s[1:], s[:1])
		n = 1 + len(text)
		if closed {
			n++
		}
		return n, text, true
	case '%':
		if len(s) >= 3 {
			if b, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
				return 3, string([]byte{byte(b)}), true
			}
		}
	}
	return 1, s[:1], false
}

// unquote returns the text that s stands for.
func unquote(s string) string {
	var b strings.Builder
	for s != "" {
		n, text, _ := nextUnit(s)
		b.WriteString(text)
		s = s[n:]
	}
	return b.String()
}

// indexUnquoted returns the index of the first unquoted delim in s, or -1.
func indexUnquoted(s string, delim byte) int {
	for i := 0; i < len(s); {
		n, _, quoted := nextUnit(s[i:])
		if !quoted && s[i] == delim {
			return i
		}
		i += n
	}
	return -1
}

// lastIndexUnquoted returns the index of the last unquoted delim in s, or -1.
func lastIndexUnquoted(s string, delim byte) int {
	last := -1
	for i := 0; i < len(s); {
		n, _, quoted := nextUnit(s[i:])
		if !quoted && s[i] == delim {
			last = i
		}
		i += n
	}
	return last
}

// cutUnquoted is strings.Cut at the first unquoted delim.
func cutUnquoted(s string, delim byte) (before, after string, found bool) {
	if i := indexUnquoted(s, delim); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
