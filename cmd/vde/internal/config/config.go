// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package config reads the configuration file of vde switch.
//
//	f, err := config.Read("lab.yaml", nil)
//
// The keys follow from the fields of [File], and of [vswitch.Config] in it: a field
// that is added there is a key at once. NumPorts is num-ports, as a flag of the
// command line would be spelled, and as the values are (tail-drop). An [Error] names
// the file, the line and the key, and what can be given.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"reflect"
	"time"

	"github.com/go-vde/sdk/vswitch"
)

// A File is what a configuration file says.
type File struct {
	// Dir is the control directory.
	Dir string

	// The fields of Config are keys beside dir.
	vswitch.Config

	Uplinks []Uplink
	Mirrors []Mirror

	Console Socket // of vde_switch's management protocol
	API     API
	HTTP    HTTP
	Metrics string // address of the page for Prometheus

	Log slog.Level

	where map[string]int // the line of each key, by path
	name  string
}

// An Uplink is a network that the switch is joined to. A string stands for one with
// this Locator.
type Uplink struct {
	Locator     string
	Port        int // 0 for the lowest free one
	Description string
	Required    bool // the switch does not start without it

	// MinDelay and MaxDelay bound the pauses between attempts to open it.
	MinDelay, MaxDelay time.Duration
}

// A Mirror says that the frames of port Src are copied to port Dst. SRC:DST stands for
// one.
type Mirror struct{ Src, Dst int }

// A Socket is a Unix socket that the switch serves, if it has a path.
type Socket struct {
	Path  string
	Mode  fs.FileMode
	Group string
}

// API says where the switch's API is served.
type API struct {
	Path     string // default: the socket api in the control directory
	Mode     fs.FileMode
	Group    string
	Disabled bool
}

// HTTP says where the API is served on TCP, if it has an address. A string stands for one
// with this Address.
type HTTP struct {
	Address   string
	Write     bool   // also for changes
	TokenFile string // its first line is the token; without one, a new one is printed
}

// An Error is about one place of a file.
type Error struct {
	File string
	Line int    // from 1; 0 if it is not known
	Key  string // such as ports.3.vlan
	Err  error
}

// Error returns the file, the line, the key and what is wrong.
func (e *Error) Error() string {
	text := e.File
	if e.Line > 0 {
		text = fmt.Sprintf("%s:%d", text, e.Line)
	}
	if e.Key != "" {
		text += ": " + e.Key
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns the error without its place.
func (e *Error) Unwrap() error { return e.Err }

// maxSize bounds the length of a file in bytes.
const maxSize = 16 << 20

// Read reads and checks the file name. If flags is not nil, it is called when all but
// groups and ports has been read, and may change that: so a port has the default that a
// flag gives, where the file says nothing about the port.
func Read(name string, flags func(*File)) (*File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSize {
		return nil, &Error{File: name, Err: fmt.Errorf("is longer than %d bytes", maxSize)}
	}
	return Parse(name, text, flags)
}

// Parse is [Read] for text that was read from the file name.
func Parse(name string, text []byte, flags func(*File)) (*File, error) {
	if flags == nil {
		flags = func(*File) {}
	}
	root, err := parse(name, text)
	if err != nil {
		return nil, err
	}
	d := newDecoder(name, flags, nil)
	d.document(root)
	if len(d.errs) > 0 {
		return nil, errors.Join(d.errs...)
	}
	if err := Check(d.file.Config); err != nil {
		return nil, blame(root, d, err)
	}
	if err := errors.Join(d.file.check()...); err != nil {
		return nil, err
	}
	return d.file, nil
}

// LastPort returns the highest port number.
func (f *File) LastPort() int {
	if f.NumPorts == 0 {
		return vswitch.DefaultNumPorts
	}
	return f.NumPorts
}

// Differences returns the keys whose values differ between f and g. A default that is
// given is no difference.
func (f *File) Differences(g *File) (keys []string) {
	full := func(f *File) reflect.Value {
		c := *f
		c.Config = vswitch.New(f.Config).Config()
		return reflect.ValueOf(&c).Elem()
	}
	a, b := full(f), full(g)
	for _, field := range fieldsOf(a.Type()) {
		if !reflect.DeepEqual(a.FieldByIndex(field.index).Interface(), b.FieldByIndex(field.index).Interface()) {
			keys = append(keys, field.key)
		}
	}
	return keys
}

// Where returns the line of a key, such as uplinks[0].port, or of the one it is in; 0 if
// neither is in the file.
func (f *File) Where(key string) int {
	for ; key != ""; key = parent(key) {
		if line := f.where[key]; line > 0 {
			return line
		}
	}
	return 0
}

// Errorf returns an [Error] about a key of f.
func (f *File) Errorf(key, format string, args ...any) error {
	return &Error{f.name, f.Where(key), key, fmt.Errorf(format, args...)}
}
