// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-vde/sdk/impair"
)

// ParseRate reads a number with one of the suffixes k, M and G, for thousands.
func ParseRate(text string) (int64, error) {
	factor := 1.0
	if n := len(text) - 1; n >= 0 {
		if i := strings.IndexByte("kMG", text[n]); i >= 0 {
			factor = [...]float64{1e3, 1e6, 1e9}[i]
			text = text[:n]
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && !(f*factor >= -1e15 && f*factor <= 1e15) {
		err = strconv.ErrRange
	}
	return int64(f * factor), err
}

// impairmentKey returns the key of a field of an impairment as a setting of a port.
func impairmentKey(f field) string {
	if f.key == "queue" {
		return "impair-queue"
	}
	return f.key
}

// impairKeys returns the keys that setImpair knows.
func impairKeys() []string {
	keys := []string{"impair", "seed"}
	for _, prefix := range []string{"", "in-", "out-"} {
		for _, f := range fieldsOf(reflect.TypeFor[impair.Impairment]()) {
			keys = append(keys, prefix+impairmentKey(f))
		}
	}
	return keys
}

// setImpair sets the field of c for a key of [SetPort] to what text says. ok is false for
// any other key.
func setImpair(c *impair.Config, key, text string) (ok bool, err error) {
	switch key {
	case "impair":
		if text != "none" {
			return true, errors.New("give none, or the keys of an impairment, such as delay and loss")
		}
		*c = impair.Config{}
		return true, nil
	case "seed":
		return true, setScalar(reflect.ValueOf(&c.Seed).Elem(), "Seed", text)
	}
	directions := []*impair.Impairment{&c.In, &c.Out}
	name := key
	if rest, in := strings.CutPrefix(key, "in-"); in {
		name, directions = rest, directions[:1]
	} else if rest, out := strings.CutPrefix(key, "out-"); out {
		name, directions = rest, directions[1:]
	}
	fields := fieldsOf(reflect.TypeFor[impair.Impairment]())
	i := slices.IndexFunc(fields, func(f field) bool { return impairmentKey(f) == name })
	if i < 0 {
		return false, nil
	}
	for _, d := range directions {
		v := reflect.ValueOf(d).Elem().FieldByIndex(fields[i].index)
		if err := setScalar(v, fields[i].name, text); err != nil {
			return true, err
		}
	}
	return true, nil
}
