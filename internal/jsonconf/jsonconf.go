// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package jsonconf gives configuration types a JSON form in which durations are
// text, as in "1m30s", while their Go fields stay of type [time.Duration].
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
