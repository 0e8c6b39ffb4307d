// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
)

func TestVersionText(t *testing.T) {
	system := runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH + "\n"
	const path = "github.com/go-vde/sdk/cmd/vde"
	built := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: path, Version: version}, Settings: settings}
	}
	for _, test := range []struct {
		name string
		info *debug.BuildInfo
		want string
	}{
		{"without build information", nil, "vde (devel)\n" + system},
		{"installed", built("v0.1.0"), "vde v0.1.0\nmodule " + path + "\n" + system},
		{"without version control", built(""), "vde (devel)\nmodule " + path + "\n" + system},
		{
			"in a clone",
			built("(devel)",
				debug.BuildSetting{Key: "vcs.revision", Value: "0123abcd"},
				debug.BuildSetting{Key: "vcs.time", Value: "2026-01-02T03:04:05Z"},
				debug.BuildSetting{Key: "vcs.modified", Value: "false"}),
			"vde (devel)\nmodule " + path + "\ncommit 0123abcd of 2026-01-02T03:04:05Z\n" + system,
		},
		{
			"in a clone with changes",
			built("v0.1.1-0.20260102030405-0123abcd+dirty",
				debug.BuildSetting{Key: "vcs.revision", Value: "0123abcd"},
				debug.BuildSetting{Key: "vcs.modified", Value: "true"}),
			"vde v0.1.1-0.20260102030405-0123abcd+dirty\nmodule " + path + "\ncommit 0123abcd, modified\n" + system,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := versionOf(test.info).print(&out); err != nil || out.String() != test.want {
				t.Errorf("%v, %q, want %q", err, out.String(), test.want)
			}
		})
	}
}

func TestVersionCommand(t *testing.T) {
	out, err := execute(t.Context(), "version")
	if err != nil || !strings.HasPrefix(out, "vde ") || !strings.Contains(out, "\n"+runtime.Version()+" ") {
		t.Errorf("%v, %q", err, out)
	}
	out, err = execute(t.Context(), "version", "--json")
	var v version
	if err != nil || json.Unmarshal([]byte(out), &v) != nil {
		t.Fatalf("%v, %q", err, out)
	}
	if v.Version == "" || v.Go != runtime.Version() || v.OS != runtime.GOOS || v.Arch != runtime.GOARCH {
		t.Errorf("%+v", v)
	}
	if _, err := execute(t.Context(), "version", "x"); err == nil {
		t.Error("an argument is accepted")
	}
}
