// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api_test

import (
	"context"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/go-vde/sdk/api"
)

// TestOptionsJSON checks that the duration is text, and that functions are left out.
func TestOptionsJSON(t *testing.T) {
	o := api.Options{Version: "1", Dirs: []string{"/run/d"}, MaxStreams: 2, MaxConns: 3, Timeout: 10 * time.Second}
	const want = `{"Version":"1","Dirs":["/run/d"],"MaxStreams":2,"MaxConns":3,"Timeout":"10s"}`
	with := o
	with.Reload = func(context.Context) ([]string, error) { return nil, nil }
	b, err := json.Marshal(with)
	if err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	for _, text := range []string{want, "{}"} {
		got := o
		if text == want {
			got = api.Options{}
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || !reflect.DeepEqual(got, o) {
			t.Errorf("%s became %+v, %v, want %+v", text, got, err, o)
		}
	}
	if err := json.Unmarshal([]byte(`{"Timeout":"soon"}`), &o); err == nil {
		t.Error("a timeout of \"soon\" was taken")
	}
}
