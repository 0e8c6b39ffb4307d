// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/testutil"
	"github.com/go-vde/sdk/vswitch"
)

// wantLines checks that out has a match for each of wants.
func wantLines(t *testing.T, out string, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the output lacks %s:\n%s", want, out)
		}
	}
}

func TestDoctorOfHealthyNetworks(t *testing.T) {
	testutil.NoLeaks(t)
	healthy := []string{
		`ok    \S+: dgrwx------, owner root, group root\n`,
		`ok    \S+/ctl: Srw-------, owner root`,
		`(?s)ok    joined .*ok    joined `,
		`ok    frames arrive, to all and to one, in both directions`,
		`ok    there and back .* takes [\d.]+\S+ \(median\)`,
		`ok    an endpoint that does not read is kept [1-9]\d+ frames`,
	}
	if os.Geteuid() != 0 {
		healthy = healthy[2:]
	}
	t.Run("vswitch", func(t *testing.T) {
		sw := vswitch.New(vswitch.Config{MaxFrameSize: 4000})
		defer sw.Close()
		dir := listen(t, sw, filepath.Join(testutil.ShortDir(t), "sw"))
		out, err := execute(t.Context(), "doctor", dir)
		if err != nil {
			t.Error(err)
		}
		wantLines(t, out, append(healthy, `ok    frames of up to 4000 bytes get through: MTU 3986\n`)...)
	})
	t.Run("vde_switch", func(t *testing.T) {
		sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
		out, err := execute(t.Context(), "doctor", sw.VNL())
		if err != nil {
			t.Error(err)
		}
		wantLines(t, out, append(healthy, `ok    frames of up to 1518 bytes get through`)...)
	})
}

func TestDoctorOfSickNetworks(t *testing.T) {
	testutil.NoLeaks(t)
	dir := testutil.ShortDir(t)
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"empty", "other", "stale"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "other", "ctl"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "stale", "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	// A hub of ports that no frame leaves: each is in a VLAN of its own.
	sw := vswitch.New(vswitch.Config{Ports: map[int]vswitch.PortConfig{1: {VLAN: 1}, 2: {VLAN: 2}}})
	defer sw.Close()
	listen(t, sw, filepath.Join(dir, "apart"))

	for vnl, want := range map[string]string{
		"missing":      `FAIL  \S+/missing does not exist\n +no switch serves .*vde switch \S+/missing`,
		"empty":        `FAIL  \S+/empty/ctl does not exist\n +no switch serves`,
		"other":        `FAIL  \S+/other/ctl is no socket .*\n +this is not the control directory`,
		"stale":        `FAIL  open vde .*nobody listens: the switch that made this socket is gone`,
		"file/further": `FAIL  \S+/file is no directory`,
		"apart":        `FAIL  a broadcast does not arrive within .*VLANs`,
	} {
		out, err := execute(t.Context(), "doctor", filepath.Join(dir, vnl))
		if err == nil {
			t.Errorf("%s: no error", vnl)
		}
		wantLines(t, out, want)
	}
	if out, err := execute(t.Context(), "doctor", "tap://x"); err == nil {
		t.Error("no error")
	} else {
		wantLines(t, out, `FAIL .*scheme "tap"`)
	}
}

func TestDoctorAsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		testpeers.Skip(t, "another user", "run the test as root, which can become one")
	}
	program := testpeers.TestBinaryForAnyUser(t)
	for _, test := range []struct {
		name   string
		config vswitch.Config
		want   string
	}{
		{"directory", vswitch.Config{}, `FAIL  \S+/sw may not be entered \(dgrwx------, owner root, group root\)\n +ask its owner`},
		{"socket", vswitch.Config{DirMode: 0o755}, `FAIL  \S+/ctl may not be connected to \(S\S+, owner root, group root\)\n +ask the owner`},
		{"open to all", vswitch.Config{Mode: 0o666}, `ok    frames arrive`},
	} {
		t.Run(test.name, func(t *testing.T) {
			sw := vswitch.New(test.config)
			defer sw.Close()
			dir := testutil.ShortDir(t)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			dir = listen(t, sw, filepath.Join(dir, "sw"))
			cmd := exec.CommandContext(t.Context(), program, "doctor", dir)
			cmd.Env = append(os.Environ(), commandVariable+"=1")
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			out, err := cmd.CombinedOutput()
			if healthy := test.name == "open to all"; (err == nil) != healthy {
				t.Errorf("exit: %v", err)
			}
			wantLines(t, string(out), test.want)
		})
	}
}
