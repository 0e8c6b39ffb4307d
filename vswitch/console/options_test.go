// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vswitch/console"
)

// TestOptionsJSON checks that the duration is text and the permissions are octal, and that
// functions are left out.
func TestOptionsJSON(t *testing.T) {
	o := console.Options{Version: "2", MAC: frame.MAC{2, 0, 0, 0, 0, 1}, Dir: "/run/d", Mode: 0o660, MaxSessions: 3, WriteTimeout: time.Minute}
	const want = `{"Version":"2","Notice":"","MAC":"02:00:00:00:00:01","Priority":0,"Dir":"/run/d","HashSize":0,"MaxSessions":3,"Mode":"0660","WriteTimeout":"1m0s"}`
	with := o
	with.Shutdown, with.Access = func() {}, &console.Access{}
	b, err := json.Marshal(with)
	if err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	for _, text := range []string{want, "{}"} {
		got := o
		if text == want {
			got = console.Options{}
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, o) {
			t.Errorf("%s became %+v, %v, want %+v", text, got, err, o)
		}
	}
}
