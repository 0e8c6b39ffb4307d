// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/vnl"
)

// An address is what a locator of the vde scheme says:
//
//	[vde://] path [ '[' port or portgroup / group=name / mode=octal ']' ]
//
// The zero value of each parameter means that it was not given.
type address struct {
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

// systemSwitches are the control directories of the system's switch, which a
// locator without a path means.
func systemSwitches() []string { return []string{"/var/run/vde.ctl", "/tmp/vde.ctl"} }

// Dirs returns the control directories that [Driver.Open] tries for l, in this
// order, at least one. It does not look whether there is a switch.
func Dirs(l vnl.Locator) ([]string, error) {
	a, err := parseAddress(l, systemSwitches())
	return a.dirs, err
}

// parseAddress interprets l. The error matches syscall.EINVAL.
func parseAddress(l vnl.Locator, switches []string) (address, error) {
	dir, params, err := l.Bracketed()
	if err != nil {
		return address{}, err
	}
	a := address{dirs: switches}
	if dir != "" {
		a.dirs = []string{dir}
	}
	mode, err := a.assign(params)
	if err != nil {
		return address{}, err
	}
	if a.port, err = parsePort(a.portGroup); err != nil {
		return address{}, err
	}
	if a.mode, err = parseMode(mode); err != nil {
		return address{}, err
	}
	return a, nil
}

// assign takes the values from params. The last one of a name wins, even if it is
// empty, so values are not interpreted until all are known.
func (a *address) assign(params []vnl.Param) (mode string, err error) {
	names := []string{"port", "portgroup", "group", "mode"}
	for _, p := range params {
		switch name := vnl.MatchName(p.Key, names); {
		case name == "port", name == "portgroup":
			a.portGroup = p.Value
		case name == "group":
			a.group = p.Value
		case name == "mode":
			mode = p.Value
		case p.HasValue:
			return "", vnl.Errorf("unknown parameter %q, want one of %s", p.Key, strings.Join(names, ", "))
		default:
			a.portGroup = p.Text()
		}
	}
	return mode, nil
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
			return 0, vnl.Errorf("port %s is out of range, the highest is %d", name, wire.MaxPort)
		case n == 0:
			return wire.ManagementPort, nil
		}
		return wire.Port(n), nil
	}
	if name == "." || name == ".." || strings.ContainsRune(name, '/') {
		return 0, vnl.Errorf("portgroup %q is not the name of a socket in the switch's directory", name)
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
		return 0, vnl.Errorf("mode %q is not an octal number from 0 to 777", s)
	}
	return fs.FileMode(n), nil
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
