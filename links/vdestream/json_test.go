// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdestream_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/vdestream"
)

// TestConfigJSON checks that the fields of both types are there, and the duration is text.
func TestConfigJSON(t *testing.T) {
	cfg := vdestream.Config{Config: link.Config{Address: "a", Depth: 8, Linger: time.Second}, WriteSize: 65536}
	const want = `{"Address":"a","MaxFrameSize":0,"Depth":8,"Linger":"1s","WriteSize":65536}`
	b, err := json.Marshal(cfg)
	if err != nil || string(b) != want {
		t.Errorf("%s, %v, want %s", b, err, want)
	}
	for _, text := range []string{want, "{}"} {
		got := cfg
		if text == want {
			got = vdestream.Config{}
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil || got != cfg {
			t.Errorf("%s became %+v, %v, want %+v", text, got, err, cfg)
		}
	}
}
