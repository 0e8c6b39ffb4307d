// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/go-vde/sdk/vswitch"
)

// Bounds of a file, which aliases could make large.
const (
	maxValues = 1 << 18
	maxDepth  = 16
	maxErrors = 20
)

var syntaxError = regexp.MustCompile(`^yaml: (?:line (\d+): )?(.*)`)

// parse returns the document in text, or nil if there is none.
func parse(name string, text []byte) (*yaml.Node, error) {
	in := yaml.NewDecoder(bytes.NewReader(text))
	var root, more yaml.Node
	switch err := in.Decode(&root); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		if m := syntaxError.FindStringSubmatch(err.Error()); m != nil {
			line, _ := strconv.Atoi(m[1])
			return nil, &Error{name, line, "", fmt.Errorf("not YAML: %s", m[2])}
		}
		return nil, &Error{File: name, Err: fmt.Errorf("not YAML: %w", err)}
	}
	if err := in.Decode(&more); err == nil {
		return nil, &Error{name, more.Line, "", errors.New("a second document begins here; give each switch a file of its own")}
	}
	return root.Content[0], nil
}

// A decoder makes a [File] of a document.
type decoder struct {
	file  *File
	flags func(*File)
	only  func(path string) bool // whether to read a key; nil for all

	order  []string // the keys, in the order in which they were read
	errs   []error
	values int
}

func newDecoder(name string, flags func(*File), only func(string) bool) *decoder {
	return &decoder{file: &File{name: name, where: make(map[string]int)}, flags: flags, only: only}
}

// document reads root. Ports inherit from default-port and from the groups, so these
// come first, whatever their order in the file.
func (d *decoder) document(root *yaml.Node) {
	var entries []entry
	if root != nil {
		entries = d.entries(root, "")
	}
	last := map[string]int{"port-groups": 1, "ports": 2}
	slices.SortStableFunc(entries, func(a, b entry) int { return last[a.key] - last[b.key] })
	v := reflect.ValueOf(d.file).Elem()
	early := slices.IndexFunc(entries, func(e entry) bool { return last[e.key] > 0 })
	if early < 0 {
		early = len(entries)
	}
	d.fields(entries[:early], "", v)
	d.flags(d.file)
	d.fields(entries[early:], "", v)
}

// errorf adds an error about the value n of the key at path.
func (d *decoder) errorf(n *yaml.Node, path, format string, args ...any) {
	switch len(d.errs) {
	case maxErrors:
		return
	case maxErrors - 1:
		path, format, args = "", "more errors follow", nil
	}
	d.errs = append(d.errs, &Error{d.file.name, n.Line, path, fmt.Errorf(format, args...)})
}

// An entry is a key of a mapping with its value.
type entry struct {
	key   string
	at    *yaml.Node // the key
	value *yaml.Node
}

// resolve returns what n stands for if it is an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// entries returns what is in the mapping n at path, with what is merged into it by <<.
// A value that was left empty is an empty mapping.
func (d *decoder) entries(n *yaml.Node, path string) []entry {
	n = resolve(n)
	if isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.errorf(n, path, "%s: give keys and values, as in key: value", describe(n))
		return nil
	}
	if strings.Count(path, ".") > maxDepth {
		d.errorf(n, path, "too deep")
		return nil
	}
	var list, merged []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Tag == "!!merge" {
			merged = append(merged, d.merged(v, path)...)
			continue
		}
		k = resolve(k)
		if k.Kind != yaml.ScalarNode {
			d.errorf(k, path, "a key has to be a word or a number")
			continue
		}
		if before := find(list, k.Value); before != nil {
			d.errorf(k, join(path, k.Value), "is given twice, first in line %d", before.at.Line)
			continue
		}
		list = append(list, entry{k.Value, k, v})
	}
	for _, e := range merged {
		if find(list, e.key) == nil {
			list = append(list, e)
		}
	}
	return list
}

// merged returns what << with the value n adds to the mapping at path.
func (d *decoder) merged(n *yaml.Node, path string) []entry {
	if d.values++; d.values > maxValues {
		return nil
	}
	if n = resolve(n); n.Kind != yaml.SequenceNode {
		return d.entries(n, path+".<<")
	}
	var list []entry
	for _, one := range n.Content {
		list = append(list, d.entries(one, path+".<<")...)
	}
	return list
}

func find(list []entry, key string) *entry {
	i := slices.IndexFunc(list, func(e entry) bool { return e.key == key })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// enter notes the key at path, and reports whether its value is to be read.
func (d *decoder) enter(at *yaml.Node, path string) bool {
	if d.only != nil && !d.only(path) {
		return false
	}
	if d.values++; d.values > maxValues {
		if d.values == maxValues+1 {
			d.errorf(at, path, "the file says too much: there may be %d values", maxValues)
		}
		return false
	}
	d.file.where[path] = at.Line
	d.order = append(d.order, path)
	return true
}

// fields sets the fields of the struct v.
func (d *decoder) fields(entries []entry, path string, v reflect.Value) {
	fields := fieldsOf(v.Type())
	for _, e := range entries {
		at := join(path, e.key)
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == e.key })
		if i < 0 {
			d.unknown(e, at, fields)
			continue
		}
		if d.enter(e.at, at) {
			d.value(e.value, at, v.FieldByIndex(fields[i].index), fields[i].name)
		}
	}
}

// unknown adds an error about a key that there is not.
func (d *decoder) unknown(e entry, path string, fields []field) {
	keys := make([]string, len(fields))
	for i, f := range fields {
		keys[i] = f.key
	}
	slices.Sort(keys)
	if near := nearest(e.key, keys); near != "" {
		d.errorf(e.at, path, "unknown key; write %s", near)
	} else {
		d.errorf(e.at, path, "unknown key; there are %s", strings.Join(keys, ", "))
	}
}

// value reads n, the value of the key at path, into v, a field of this name or an element
// of it.
func (d *decoder) value(n *yaml.Node, path string, v reflect.Value, name string) {
	n = resolve(n)
	switch {
	case isScalar(v.Type()):
		if n.Kind != yaml.ScalarNode || isNull(n) {
			d.errorf(n, path, "%s: %s", describe(n), wanted(v.Type(), name))
		} else if err := setScalar(v, name, n.Value); err != nil {
			d.errorf(n, path, "%w", err)
		}
	case v.Kind() == reflect.Struct:
		if n.Kind == yaml.ScalarNode && !isNull(n) && d.short(n, path, v) {
			return
		}
		d.fields(d.entries(n, path), path, v)
	case v.Kind() == reflect.Map:
		d.mapping(n, path, v, name)
	case v.Kind() == reflect.Slice:
		d.sequence(n, path, v, name)
	default:
		panic("config: no form for " + v.Type().String())
	}
}

// short reads n, one word, into the struct v, if that has such a form.
func (d *decoder) short(n *yaml.Node, path string, v reflect.Value) bool {
	switch p := v.Addr().Interface().(type) {
	case *Uplink:
		p.Locator = n.Value
	case *HTTP:
		p.Address = n.Value
	case *Mirror:
		m, err := ParseMirror(n.Value)
		if err != nil {
			d.errorf(n, path, "%w", err)
		}
		*p = m
	default:
		return false
	}
	return true
}

// mapping reads n into the map v, whose keys are numbers or names.
func (d *decoder) mapping(n *yaml.Node, path string, v reflect.Value, name string) {
	m := reflect.MakeMap(v.Type())
	v.Set(m)
	for _, e := range d.entries(n, path) {
		at := join(path, e.key)
		key := reflect.New(v.Type().Key()).Elem()
		if err := setScalar(key, "", e.key); err != nil {
			d.errorf(e.at, at, "the key has to be the number of a port: %w", err)
			continue
		}
		if m.MapIndex(key).IsValid() {
			d.errorf(e.at, at, "is given twice")
			continue
		}
		if !d.enter(e.at, at) {
			continue
		}
		elem := reflect.New(v.Type().Elem()).Elem()
		switch p := elem.Addr().Interface().(type) {
		case *vswitch.PortConfig:
			*p = d.file.PortDefault(int(key.Int()))
		case *vswitch.PortGroup:
			p.DefaultPort = d.file.DefaultPort
		}
		d.value(e.value, at, elem, name)
		m.SetMapIndex(key, elem)
	}
}

// sequence reads n into the slice v.
func (d *decoder) sequence(n *yaml.Node, path string, v reflect.Value, name string) {
	switch {
	case isNull(n):
		return
	case n.Kind == yaml.ScalarNode && isVLANs(v.Type(), name):
		if n.Value == "all" {
			v.Set(reflect.ValueOf(vswitch.AllVLANs()))
			return
		}
		fallthrough
	case n.Kind != yaml.SequenceNode:
		d.errorf(n, path, "%s: %s", describe(n), wanted(v.Type(), name))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, one := range n.Content {
		at := fmt.Sprintf("%s[%d]", path, i)
		if d.enter(one, at) {
			d.value(one, at, v.Index(i), name)
		}
	}
}

// PortDefault returns the configuration that port n has if nothing is said about it.
func (f *File) PortDefault(n int) vswitch.PortConfig {
	for _, g := range f.PortGroups {
		if g.First <= n && n <= g.Last {
			return g.DefaultPort
		}
	}
	return f.DefaultPort
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// describe says what n is, for an error.
func describe(n *yaml.Node) string {
	switch {
	case isNull(n):
		return "no value"
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	}
	return strconv.Quote(n.Value)
}
