// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"encoding"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-vde/sdk/vswitch"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	modeType     = reflect.TypeFor[fs.FileMode]()
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// hasText reports whether values of type t have a text form of their own.
func hasText(t reflect.Type) bool { return reflect.PointerTo(t).Implements(textType) }

// isScalar reports whether a value of type t is one word in a file.
func isScalar(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Slice, reflect.Array:
		return hasText(t)
	}
	return true
}

// isVLAN reports whether a field of type t with this name is the identifier of a VLAN, for
// which none can be given.
func isVLAN(t reflect.Type, name string) bool { return name == "VLAN" && t.Kind() == reflect.Uint16 }

// isVLANs reports whether a field of type t with this name holds identifiers of VLANs, for
// which all can be given.
func isVLANs(t reflect.Type, name string) bool {
	return name == "Tagged" && t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint16
}

// isRate reports whether a field of type t with this name is a number of bits per second,
// which can be given in thousands.
func isRate(t reflect.Type, name string) bool { return name == "Rate" && t.Kind() == reflect.Int64 }

// mayBeForever reports whether a duration of this name may be forever.
func mayBeForever(name string) bool { return name == "AgeingTime" || name == "Wait" }

// setScalar sets v, a field of this name, to what text says.
func setScalar(v reflect.Value, name, text string) error {
	t := v.Type()
	wrong := func() error { return fmt.Errorf("%q: %s", text, wanted(t, name)) }
	switch {
	case t == durationType:
		if text == "forever" && mayBeForever(name) {
			v.SetInt(int64(vswitch.Forever))
			return nil
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return wrong()
		}
		v.SetInt(int64(d))
		return nil
	case t == modeType:
		mode, err := parseMode(text)
		v.SetUint(uint64(mode))
		return err
	case hasText(t):
		return v.Addr().Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	case isVLAN(t, name) && text == "none":
		v.SetUint(vswitch.NoVLAN)
		return nil
	case isRate(t, name):
		n, err := ParseRate(text)
		if err != nil || n < 0 {
			return wrong()
		}
		v.SetInt(n)
		return nil
	}
	if err := setPlain(v, text); err != nil || isVLAN(t, name) && v.Uint() == vswitch.NoVLAN {
		return wrong()
	}
	return nil
}

// errNotValue says that a text is no value of a type.
var errNotValue = errors.New("not a value")

// setPlain sets v, which is of a type without a form of its own.
func setPlain(v reflect.Value, text string) error {
	t := v.Type()
	switch t.Kind() {
	case reflect.String:
		if strings.ContainsRune(text, 0) {
			return errNotValue
		}
		v.SetString(text)
	case reflect.Bool:
		if text != "true" && text != "false" {
			return errNotValue
		}
		v.SetBool(text == "true")
	case reflect.Int, reflect.Int64:
		n, err := strconv.ParseInt(text, 10, t.Bits())
		if err != nil {
			return errNotValue
		}
		v.SetInt(n)
	case reflect.Uint16, reflect.Uint64:
		n, err := strconv.ParseUint(text, 10, t.Bits())
		if err != nil {
			return errNotValue
		}
		v.SetUint(n)
	case reflect.Float64:
		n, err := strconv.ParseFloat(text, t.Bits())
		if err != nil || !(n >= 0 && n <= 1) { // NaN too
			return errNotValue
		}
		v.SetFloat(n)
	default:
		panic("config: no form for " + t.String())
	}
	return nil
}

// wanted says what can be given for a field of type t.
func wanted(t reflect.Type, name string) string {
	switch {
	case t == durationType && mayBeForever(name):
		return "give a time with its unit, such as 100s or 20ms, or forever"
	case t == durationType:
		return "give a time with its unit, such as 100s or 20ms"
	case t == modeType:
		return "give permissions as an octal number, such as 0660"
	case isVLAN(t, name):
		return fmt.Sprintf("give a number from 0 to %d, or none", vswitch.NoVLAN-1)
	case isVLANs(t, name):
		return "give a list of numbers, such as [20, 30], or all"
	case isRate(t, name):
		return "give a number of bits per second, such as 64k, 10M or 1G"
	case hasText(t):
		return "give one word"
	}
	switch t.Kind() {
	case reflect.String:
		return "give a text"
	case reflect.Bool:
		return "give true or false"
	case reflect.Slice:
		return "give a list"
	case reflect.Float64:
		return "give a probability, from 0 to 1"
	}
	return "give a whole number"
}

func parseMode(text string) (fs.FileMode, error) {
	mode, ok := ParseMode(strings.TrimPrefix(text, "0o"), 0o3777)
	if !ok {
		return 0, fmt.Errorf("%q: %s, up to 03777", text, wanted(modeType, ""))
	}
	return mode, nil
}

// ParseMode reads permissions in octal. It reports false for text that is no number from 0 to
// most.
func ParseMode(text string, most uint64) (mode fs.FileMode, ok bool) {
	n, err := strconv.ParseUint(text, 8, 16)
	if err != nil || n > most {
		return 0, false
	}
	mode = fs.FileMode(n & 0o777)
	if n&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if n&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode, true
}

// ParseMirror reads SRC:DST.
func ParseMirror(text string) (Mirror, error) {
	src, dst, _ := strings.Cut(text, ":")
	from, err1 := strconv.ParseUint(src, 10, 31)
	to, err2 := strconv.ParseUint(dst, 10, 31)
	if err1 != nil || err2 != nil {
		return Mirror{}, fmt.Errorf("%q: give the numbers of two ports, such as 1:5", text)
	}
	return Mirror{int(from), int(to)}, nil
}

// SetPort sets the field of pc for a key, such as vlan or storm-limit, to what text
// says: the form that a file has, with plus signs between the parts of a list, and with
// true for a switch that is only named.
//
// Impairments have keys of their own: those of an impairment, such as delay, for both
// directions, or for one with in- or out- before it, as in out-loss; seed; and impair, which
// takes none. What queue is in an impairment, is impair-queue.
func SetPort(pc *vswitch.PortConfig, key, text string) error {
	changed := *pc
	if ok, err := setImpair(&changed.Impair, key, text); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	} else if ok {
		return setChecked(pc, changed)
	}
	v := reflect.ValueOf(&changed).Elem()
	fields := PortKeys()
	if !slices.Contains(fields, key) {
		if near := nearest(key, fields); near != "" {
			return fmt.Errorf("unknown setting %q, write %s", key, near)
		}
		return fmt.Errorf("unknown setting %q, want one of %s", key, strings.Join(fields, ", "))
	}
	all := fieldsOf(v.Type())
	f := all[slices.IndexFunc(all, func(f field) bool { return f.key == key })]
	v = v.FieldByIndex(f.index)
	switch {
	case text == "" && v.Kind() == reflect.Bool:
		text = "true"
	case isVLANs(f.typ, f.name) && text == "all":
		v.Set(reflect.ValueOf(vswitch.AllVLANs()))
	case isVLANs(f.typ, f.name):
		var list []uint16
		for s := range strings.SplitSeq(text, "+") {
			n, err := strconv.ParseUint(s, 10, 16)
			if err != nil || n >= vswitch.NoVLAN {
				return fmt.Errorf("%s: VLAN %q: give 0 to %d", key, s, vswitch.NoVLAN-1)
			}
			list = append(list, uint16(n))
		}
		v.Set(reflect.ValueOf(list))
	}
	if isScalar(f.typ) {
		if err := setScalar(v, f.name, text); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return setChecked(pc, changed)
}

// setChecked makes pc what it was changed to, if that is possible.
func setChecked(pc *vswitch.PortConfig, changed vswitch.PortConfig) error {
	if err := checkPort(changed); err != nil {
		return err
	}
	*pc = changed
	return nil
}

// PortKeys returns the keys that [SetPort] knows.
func PortKeys() []string {
	var keys []string
	for _, f := range fieldsOf(reflect.TypeFor[vswitch.PortConfig]()) {
		if isScalar(f.typ) || isVLANs(f.typ, f.name) {
			keys = append(keys, f.key)
		}
	}
	return append(keys, impairKeys()...)
}

// checkPort returns why pc is impossible, if it is.
func checkPort(pc vswitch.PortConfig) error {
	err := Check(vswitch.Config{Ports: map[int]vswitch.PortConfig{1: pc}})
	if err != nil {
		return errors.New(inKeys(err, ""))
	}
	return nil
}
