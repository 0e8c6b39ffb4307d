// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-vde/sdk/internal/testpeers"
)

// TestHello runs the program as it is, but for the switch's path, twice on a
// stock switch: the first hears the second, and both end with the switch.
func TestHello(t *testing.T) {
	sw := testpeers.StartSwitch(t, testpeers.SwitchConfig{})
	program := build(t, sw.Dir())

	first := start(t, program)
	if err := sw.WaitActive(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	second := start(t, program)
	heard := regexp.MustCompile(`^02:00:00:00:00:[0-9a-f]{2} says "hello"$`)
	if line := first.line(t); !heard.MatchString(line) {
		t.Errorf("the first program printed %q, want %v", line, heard)
	}
	sw.Stop()
	for _, p := range []*process{first, second} {
		if line := p.line(t); !strings.HasPrefix(line, "the end: ") || !strings.Contains(line, "closed by peer") {
			t.Errorf("last line is %q", line)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}

// build compiles main.go with another path than /tmp/vde.ctl.
func build(t *testing.T, switchDir string) string {
	t.Helper()
	source, err := filepath.Abs("main.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const path = `"/tmp/vde.ctl"`
	if n := bytes.Count(text, []byte(path)); n != 1 {
		t.Fatalf("%s stands in main.go %d times, want once", path, n)
	}
	quoted, err := json.Marshal(switchDir)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	changed := filepath.Join(dir, "main.go")
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{changed: bytes.Replace(text, []byte(path), quoted, 1), filepath.Join(dir, "overlay.json"): overlay} {
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "hello")
	out, err := exec.CommandContext(t.Context(), "go", append(testpeers.GoBuild(), "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, ".")...).CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

type process struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func start(t *testing.T, program string) *process {
	t.Helper()
	cmd := exec.Command(program)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	err = cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // an error says that it has ended already
		cmd.Wait()
		r.Close()
	})
	if err := r.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &process{cmd, bufio.NewScanner(r)}
}

// line returns the next line that the process prints.
func (p *process) line(t *testing.T) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatalf("no more output: %v", p.lines.Err())
	}
	return p.lines.Text()
}
