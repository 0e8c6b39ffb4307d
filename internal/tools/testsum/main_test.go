// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// run puts the files of a module through the real go test -json and testsum.
func run(t *testing.T, files map[string]string, args ...string) (out string, good bool) {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module m\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	events, err := cmd.Output()
	if _, isExit := err.(*exec.ExitError); err != nil && !isExit {
		t.Fatal(err)
	}
	var b bytes.Buffer
	s := newSummary(&b)
	if err := s.read(bytes.NewReader(append([]byte("a heading\n"), events...))); err != nil {
		t.Fatal(err)
	}
	good = s.close()
	t.Logf("%s", b.String())
	return b.String(), good
}

const passing = `package p
import "testing"
func TestQuiet(t *testing.T) { t.Log("not to be seen") }
func TestSub(t *testing.T) { t.Run("a", func(t *testing.T) {}) }
func TestSkipA(t *testing.T) { t.Skip("missing: thing (install it)") }
func TestSkipB(t *testing.T) { t.Skip("missing: thing (install it)") }
`

func TestPass(t *testing.T) {
	out, good := run(t, map[string]string{"p/p_test.go": passing, "none/n.go": "package none\n"}, "./...")
	if !good {
		t.Error("not good")
	}
	for _, want := range []string{
		"a heading\n",
		"ok  \tm/p\t",
		"?   \tm/none\t[no test files]\n",
		"  missing: thing (install it)\n      TestSkipA, TestSkipB\n",
		"2 packages, 0 failed",
		"\n3 passed, 0 failed, 2 skipped\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(out, "not to be seen") || strings.Contains(out, "=== RUN") {
		t.Error("output of a test that passed")
	}
}

func TestFail(t *testing.T) {
	files := map[string]string{
		"p/p_test.go": passing,
		"f/f_test.go": "package f\nimport \"testing\"\nfunc TestGood(t *testing.T) { t.Log(\"not to be seen\") }\n" +
			"func TestBad(t *testing.T) { t.Run(\"sub\", func(t *testing.T) { t.Error(\"the complaint\") }) }\n",
		"b/b_test.go": "package b\nvar x int = \"the wrong type\"\n",
		"x/x_test.go": "package x\nimport (\"fmt\"; \"os\"; \"testing\")\n" +
			"func TestOK(t *testing.T) {}\n" +
			"func TestMain(m *testing.M) { m.Run(); fmt.Println(\"the leak\"); os.Exit(1) }\n",
		"d/d_test.go": "package d\nimport \"testing\"\nfunc TestDie(t *testing.T) { panic(\"the panic\") }\n",
		"h/h_test.go": "package h\nimport \"testing\"\nfunc TestHang(t *testing.T) { select {} }\n",
	}
	out, good := run(t, files, "-timeout", "2s", "./...")
	if good {
		t.Error("good")
	}
	for _, want := range []string{
		"ok  \tm/p\t",
		"the complaint", "--- failed: m/f TestBad/sub\n",
		"the wrong type", "FAIL\tm/b [build failed]",
		"the leak",
		"panic: the panic", "--- failed: m/d TestDie\n",
		"test timed out after 2s", "TestHang",
		"6 packages, 5 failed",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q", want)
		}
	}
	if strings.Contains(out, "not to be seen") {
		t.Error("output of a test that passed")
	}
}

func TestNothing(t *testing.T) {
	if out, good := run(t, map[string]string{"n.go": "package n\n"}, "./..."); good || !strings.Contains(out, "no test ran") {
		t.Errorf("good %v", good)
	}
}
