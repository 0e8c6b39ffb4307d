// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vswitch_test

import (
	"encoding/json"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

func TestConfigJSON(t *testing.T) {
	pc := vswitch.PortConfig{
		VLAN: 5, Tagged: []uint16{7}, Policy: vswitch.HeadDrop, Wait: 3 * time.Millisecond, Queue: 9,
		Isolated: true, RoundRobin: true, LoopProtection: vswitch.LoopProtectionOff, StormLimit: 10, MACLimit: -1, Static: []vswitch.StaticEntry{{MAC: macA, VLAN: 5}},
		Impair: impair.Config{Seed: 7, In: impair.Impairment{Delay: 20 * time.Millisecond, Loss: 0.01}},
	}
	forever := pc
	forever.Wait = vswitch.Forever
	for _, test := range []struct {
		name string
		cfg  vswitch.Config
		text []string // in the JSON
	}{
		{"zero", vswitch.Config{}, []string{`"Policy":"backpressure"`}},
		{"all", vswitch.Config{
			Name: "lab", NumPorts: 12, Hub: true, KeepTags: true, MaxFrameSize: 1518, AgeingTime: 100 * time.Second, MaxFDBEntries: 99,
			DefaultPort: forever, Ports: map[int]vswitch.PortConfig{3: pc},
			PortGroups:   map[string]vswitch.PortGroup{"g": {First: 1, Last: 2, DefaultPort: pc}},
			SharedMemory: vde.SharedMemoryNever, NoStreams: true, Mode: 0o660, DirMode: 0o770 | fs.ModeSetgid, Group: "vde",
			WriteBuffer: 1 << 20, MaxPending: 4, HandshakeTimeout: time.Minute, LoopInterval: 2 * time.Second,
		}, []string{`"AgeingTime":"1m40s"`, `"Wait":"forever"`, `"Wait":"3ms"`, `"Policy":"head-drop"`, `"Delay":"20ms"`, `"Mode":"0660"`, `"DirMode":"02770"`, `"SharedMemory":"never"`}},
		{"entries that do not age", vswitch.Config{AgeingTime: vswitch.Forever}, []string{`"AgeingTime":"forever"`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b, err := json.Marshal(test.cfg)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range test.text {
				if !strings.Contains(string(b), s) {
					t.Errorf("no %s in %s", s, b)
				}
			}
			var got vswitch.Config
			if err := json.Unmarshal(b, &got); err != nil {
				t.Fatalf("%v: %s", err, b)
			}
			if !reflect.DeepEqual(got, test.cfg) {
				t.Errorf("%s\ngot  %+v\nwant %+v", b, got, test.cfg)
			}
		})
	}
}

func TestConfigJSONRefuses(t *testing.T) {
	for _, text := range []string{
		`{"AgeingTime":"-1s"}`, `{"AgeingTime":"soon"}`, `{"AgeingTime":5}`, `{"Mode":"0999"}`, `{"DirMode":"07777"}`,
		`{"DefaultPort":{"Wait":"never"}}`, `{"DefaultPort":{"Policy":"wait"}}`,
	} {
		if err := json.Unmarshal([]byte(text), new(vswitch.Config)); err == nil {
			t.Errorf("%s was taken", text)
		}
	}
	cfg := vswitch.Config{AgeingTime: time.Second, Name: "kept"}
	if err := json.Unmarshal([]byte(`{"NumPorts":7}`), &cfg); err != nil || cfg.AgeingTime != time.Second || cfg.Name != "kept" || cfg.NumPorts != 7 {
		t.Errorf("%+v, %v", cfg, err)
	}
}
