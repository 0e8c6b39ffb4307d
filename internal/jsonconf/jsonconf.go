// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package jsonconf gives configuration types a JSON form in which durations are
// text, as in "1m30s", and permissions are octal, as in "02770", while their Go
// fields stay of the types [time.Duration] and [fs.FileMode].
//
// A type that has such fields shadows them while it is encoded and decoded:
//
//	func (c Config) MarshalJSON() ([]byte, error) {
//		type plain Config // without this method
//		return json.Marshal(struct {
//			plain
//			Wait jsonconf.Duration
//		}{plain(c), jsonconf.Duration(c.Wait)})
//	}
//
//	func (c *Config) UnmarshalJSON(b []byte) error {
//		type plain Config
//		v := struct {
//			*plain
//			Wait *jsonconf.Duration
//		}{(*plain)(c), (*jsonconf.Duration)(&c.Wait)}
//		return json.Unmarshal(b, &v)
//	}
//
// Fields that the text does not mention keep their value, as they do without
// the methods.
package jsonconf

import (
	"encoding"
	"fmt"
	"io/fs"
	"strconv"
	"time"
)

// A Duration is a [time.Duration] whose text form is that of its String method.
type Duration time.Duration

var (
	_ encoding.TextMarshaler   = Duration(0)
	_ encoding.TextUnmarshaler = (*Duration)(nil)
)

// String returns the form of [time.Duration.String].
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText implements [encoding.TextMarshaler].
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what
// [time.ParseDuration] takes.
func (d *Duration) UnmarshalText(b []byte) error {
	parsed, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration, want for example 1m30s", b)
	}
	*d = Duration(parsed)
	return nil
}

// MaxMode is the largest number that stands for permissions: all of them, setgid and
// the sticky bit.
const MaxMode = 0o3777

// ParseMode reads permissions in octal. It reports false for text that is no number from
// 0 to most, of which [MaxMode] is the largest.
func ParseMode(s string, most uint64) (m fs.FileMode, ok bool) {
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > min(most, MaxMode) {
		return 0, false
	}
	m = fs.FileMode(n & 0o777)
	if n&0o2000 != 0 {
		m |= fs.ModeSetgid
	}
	if n&0o1000 != 0 {
		m |= fs.ModeSticky
	}
	return m, true
}

// A Mode is permissions whose text form is octal, such as "02770".
type Mode fs.FileMode

var (
	_ encoding.TextMarshaler   = Mode(0)
	_ encoding.TextUnmarshaler = (*Mode)(nil)
)

// MarshalText implements [encoding.TextMarshaler].
func (m Mode) MarshalText() ([]byte, error) {
	n := uint64(fs.FileMode(m).Perm())
	if fs.FileMode(m)&fs.ModeSetgid != 0 {
		n |= 0o2000
	}
	if fs.FileMode(m)&fs.ModeSticky != 0 {
		n |= 0o1000
	}
	return fmt.Appendf(nil, "0%o", n), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes what [ParseMode] takes.
func (m *Mode) UnmarshalText(b []byte) error {
	parsed, ok := ParseMode(string(b), MaxMode)
	if !ok {
		return fmt.Errorf("permissions %q, want an octal number up to 03777", b)
	}
	*m = Mode(parsed)
	return nil
}
