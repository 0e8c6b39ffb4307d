// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDocumentNamesTests checks that the tests which docs/libvdeplug.md calls as
// witnesses exist.
func TestDocumentNamesTests(t *testing.T) {
	text, err := os.ReadFile("../docs/libvdeplug.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := func(pattern string) string {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		var all strings.Builder
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
		return all.String()
	}
	packages := map[string]string{
		"":           sources("*_test.go") + sources("../links/vdeplug/*_test.go") + sources("../vnl/*_test.go"),
		"wire.":      sources("../internal/wire/*_test.go"),
		"sockio.":    sources("../internal/sockio/*_test.go"),
		"exec.":      sources("../links/exec/*_test.go"),
		"vdestream.": sources("../links/vdestream/*_test.go") + sources("../internal/vdestream/*_test.go"),
	}
	subtests := map[string]string{
		"TestConformance": sources("../testutil/conformance*.go"),
		"TestInterop":     sources("../internal/switchtest/*.go"),
	}
	names := regexp.MustCompile("`((?:\\w+\\.)?)((?:Test|Fuzz|Example)\\w*)(?:/(\\w+))?`").FindAllStringSubmatch(string(text), -1)
	if len(names) < 50 {
		t.Errorf("only %d tests are named", len(names))
	}
	for _, m := range names {
		pkg, test, sub := m[1], m[2], m[3]
		if !strings.Contains(packages[pkg], "\nfunc "+test+"(") {
			t.Errorf("%s%s does not exist", pkg, test)
		}
		if sub != "" && !strings.Contains(subtests[test], "{\""+sub+"\", ") && !strings.Contains(subtests[test], "{name: \""+sub+"\", ") {
			t.Errorf("%s has no subtest %s", test, sub)
		}
	}
}
