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
	// sources returns the text of all files that a pattern matches.
	sources := func(patterns ...string) string {
		var all strings.Builder
		for _, pattern := range patterns {
			files, err := filepath.Glob(pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range files {
				b, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				all.Write(b)
			}
		}
		return all.String()
	}
	packages := map[string]string{"": sources("*_test.go", "../links/vdeplug/*_test.go", "../vnl/*_test.go")}
	subtests := map[string]string{
		"TestConformance": sources("../testutil/conformance*.go"),
		"TestInterop":     sources("../internal/switchtest/*.go"),
	}
	names := regexp.MustCompile("`((?:[a-z]+\\.)?)((?:Test|Fuzz|Example)\\w*)(?:/(\\w+))?`").FindAllStringSubmatch(string(text), -1)
	if len(names) < 50 {
		t.Errorf("only %d tests are named", len(names))
	}
	for _, m := range names {
		pkg, test, sub := m[1], m[2], m[3]
		if _, ok := packages[pkg]; !ok {
			dir := strings.TrimSuffix(pkg, ".") + "/*_test.go"
			packages[pkg] = sources("../"+dir, "../internal/"+dir, "../links/"+dir, "../vswitch/"+dir, "../cmd/"+dir)
		}
		if !strings.Contains(packages[pkg], "\nfunc "+test+"(") {
			t.Errorf("%s%s does not exist", pkg, test)
		}
		if sub != "" && !strings.Contains(subtests[test], "{\""+sub+"\", ") && !strings.Contains(subtests[test], "{name: \""+sub+"\", ") {
			t.Errorf("%s has no subtest %s", test, sub)
		}
	}
}
