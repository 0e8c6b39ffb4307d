// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/impair"
	"github.com/go-vde/sdk/vswitch"
)

func TestParseRate(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1500": 1500, "10k": 10e3, "1.5M": 15e5, "2G": 2e9, "": -1, "k": -1, "1m": -1, "1e30": -1, "NaN": -1} {
		if got, err := config.ParseRate(text); (err != nil) != (want < 0) || err == nil && got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

// TestImpairSettings checks the keys of impairments: for both directions and for one.
func TestImpairSettings(t *testing.T) {
	var pc vswitch.PortConfig
	set := func(text string) {
		t.Helper()
		for setting := range strings.SplitSeq(text, ",") {
			key, value, _ := strings.Cut(setting, "=")
			if err := config.SetPort(&pc, key, value); err != nil {
				t.Fatal(err)
			}
		}
	}
	set("delay=20ms,loss=0.01,in-jitter=2ms,out-rate=10M,out-impair-queue=99,queue=7,reorder=0.5,in-reorder=0,out-duplicate=1e-3,seed=18446744073709551615")
	want := impair.Config{
		Seed: 1<<64 - 1,
		In:   impair.Impairment{Delay: 20 * time.Millisecond, Jitter: 2 * time.Millisecond, Loss: 0.01},
		Out:  impair.Impairment{Delay: 20 * time.Millisecond, Loss: 0.01, Reorder: 0.5, Duplicate: 0.001, Rate: 10e6, Queue: 99},
	}
	if pc.Impair != want || pc.Queue != 7 {
		t.Errorf("%+v, want %+v", pc, want)
	}
	set("delay=0")
	if pc.Impair.In.Delay != 0 || pc.Impair.Out.Delay != 0 || pc.Impair.Out.Loss != 0.01 {
		t.Errorf("%+v", pc.Impair)
	}
	set("impair=none")
	if pc.Impair != (impair.Config{}) || pc.Queue != 7 {
		t.Errorf("%+v", pc)
	}
	for setting, want := range map[string]string{
		"loss=2":       `loss: "2": give a probability, from 0 to 1`,
		"loss=NaN":     `loss: "NaN": give a probability, from 0 to 1`,
		"in-rate=fast": `in-rate: "fast": give a number of bits per second, such as 64k, 10M or 1G`,
		"rate=-1":      `rate: "-1": give a number of bits per second, such as 64k, 10M or 1G`,
		"out-delay=3":  `out-delay: "3": give a time with its unit, such as 100s or 20ms`,
		"delay=2h":     "impair.in.delay is 2h0m0s, want at most 1h0m0s",
		"impair=some":  "impair: give none, or the keys of an impairment, such as delay and loss",
		"in-vlan=3":    `unknown setting "in-vlan"`,
		"seed=-1":      `seed: "-1": give a whole number`,
		"los=0.1":      `unknown setting "los", write loss`,
	} {
		key, value, _ := strings.Cut(setting, "=")
		if err := config.SetPort(&pc, key, value); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %v, want %s", setting, err, want)
		}
	}
	if pc.Impair != (impair.Config{}) {
		t.Errorf("%+v after what was refused", pc.Impair)
	}
}

// TestImpairFile: ports have the impairments of default-port where they say nothing else.
func TestImpairFile(t *testing.T) {
	f, err := config.Parse("lab.yaml", []byte(`
default-port: {impair: {seed: 7, in: {delay: 20ms, rate: 10M}}}
ports:
  3: {impair: {in: {rate: 1500, queue: 9}, out: {loss: 1e-2, jitter: 1ms, duplicate: 1, reorder: 0}}}
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := impair.Config{
		Seed: 7, In: impair.Impairment{Delay: 20 * time.Millisecond, Rate: 1500, Queue: 9},
		Out: impair.Impairment{Loss: 0.01, Jitter: time.Millisecond, Duplicate: 1},
	}
	if got := f.Ports[3].Impair; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for text, want := range map[string]string{
		"ports:\n  3:\n    impair:\n      out: {loss: 2}": `lab.yaml:4: ports.3.impair.out.loss: "2": give a probability, from 0 to 1`,
		"ports: {3: {impair: {in: {delay: 2h}}}}":         "lab.yaml:1: ports.3.impair.in.delay: impair.in.delay is 2h0m0s, want at most 1h0m0s",
		"ports: {3: {impair: {in: {dely: 2h}}}}":          "lab.yaml:1: ports.3.impair.in.dely: unknown key; write delay",
		"ports: {3: {impair: 3}}":                         `lab.yaml:1: ports.3.impair: "3": give keys and values`,
		"ports: {3: {impair: {in: {rate: fast}}}}":        `lab.yaml:1: ports.3.impair.in.rate: "fast": give a number of bits per second`,
	} {
		if _, err := config.Parse("lab.yaml", []byte(text), nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}
