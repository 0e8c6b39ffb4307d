// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"reflect"
	"slices"
	"strings"
)

// keyOf returns the key for a field: num-ports for NumPorts, vlan for VLAN and max-fdb-entries
// for MaxFDBEntries.
func keyOf(field string) string {
	upper := func(i int) bool { return field[i] >= 'A' && field[i] <= 'Z' }
	var b strings.Builder
	for i := range len(field) {
		if i > 0 && upper(i) && (!upper(i-1) || i+1 < len(field) && !upper(i+1)) {
			b.WriteByte('-')
		}
		b.WriteString(strings.ToLower(field[i : i+1]))
	}
	return b.String()
}

// A field is one field of a struct that has a key.
type field struct {
	key   string
	name  string // in Go
	index []int
	typ   reflect.Type
}

// fieldsOf returns the fields of a struct that have a key, with those of embedded
// structs. A field that has no place in JSON has none here: Admit and Logger are for
// programs.
func fieldsOf(t reflect.Type) []field {
	var list []field
	for _, f := range reflect.VisibleFields(t) {
		if f.Anonymous || !f.IsExported() || f.Tag.Get("json") == "-" {
			continue
		}
		list = append(list, field{keyOf(f.Name), f.Name, f.Index, f.Type})
	}
	return list
}

// parent returns the key that key is in: ports.3 for ports.3.vlan, uplinks for uplinks[0],
// and nothing for dir.
func parent(key string) string { return key[:max(0, strings.LastIndexAny(key, ".["))] }

// join returns the path of a key in the mapping at path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// nearest returns the one of keys that was probably meant by key, or nothing.
func nearest(key string, keys []string) string {
	plain := func(s string) string { return strings.ToLower(strings.NewReplacer("-", "", "_", "").Replace(s)) }
	best, least := "", 3
	for _, k := range keys {
		if n := distance(plain(key), plain(k)); n < least && n < len(plain(k)) {
			best, least = k, n
		}
	}
	return best
}

// distance returns how many letters have to be inserted, deleted or changed in a to make
// it b.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := slices.Clone(row)
		row[0] = i + 1
		for j := range len(b) {
			change := before[j]
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, before[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
