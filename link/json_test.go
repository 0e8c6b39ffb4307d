// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package link_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/go-vde/sdk/link"
)

// checkJSON checks the JSON form of v, and that it becomes v again. Fields that are not
// in the text keep their value.
func checkJSON[T comparable](t *testing.T, v T, want string) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil || string(b) != want {
		t.Errorf("%+v is %s, %v, want %s", v, b, err, want)
	}
	var got T
	if err := json.Unmarshal([]byte(want), &got); err != nil || got != v {
		t.Errorf("%s became %+v, %v, want %+v", want, got, err, v)
	}
	if err := json.Unmarshal([]byte("{}"), &got); err != nil || got != v {
		t.Errorf("an empty object made %+v of %+v: %v", got, v, err)
	}
}

// TestJSON checks that durations are text and permissions octal.
func TestJSON(t *testing.T) {
	checkJSON(t, link.RedialPolicy{MinDelay: 50 * time.Millisecond, MaxDelay: 5 * time.Second, MaxAttempts: 3, MaxOutage: time.Minute, FirstDial: true},
		`{"MaxAttempts":3,"FailWrites":false,"FirstDial":true,"MinDelay":"50ms","MaxDelay":"5s","MaxOutage":"1m0s"}`)
	checkJSON(t, link.Config{Address: "null://", MaxFrameSize: 1522, Depth: 8, Linger: -1},
		`{"Address":"null://","MaxFrameSize":1522,"Depth":8,"Linger":"-1ns"}`)
	checkJSON(t, link.Settings{Description: "d", Port: 3, SocketMode: 0o660, SocketGroup: "vde", SharedMemory: link.SharedMemoryNever, Streams: link.StreamsAlways},
		`{"Description":"d","Port":3,"PortGroupFallback":false,"MaxFrameSize":0,"WriteBuffer":0,"SocketGroup":"vde","SharedMemory":"never","NoPolling":false,"Streams":"always","Offload":false,"SocketMode":"0660"}`)
}
