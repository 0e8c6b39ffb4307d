// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sdk_test

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// witness is a test that a document names: package, test, and what is behind the
// slash.
var witness = regexp.MustCompile("`([a-z]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)(?:/([A-Za-z0-9_]+))?`")

// TestDocsWitnesses looks for the tests that documents call as witnesses.
func TestDocsWitnesses(t *testing.T) {
	dirs := map[string][]string{} // by the name of the package
	for _, file := range sources(t, "_test.go") {
		if dir := path.Dir(file); !slices.Contains(dirs[path.Base(dir)], dir) {
			dirs[path.Base(dir)] = append(dirs[path.Base(dir)], dir)
		}
	}
	texts := map[string]string{}
	// text returns all Go files of a directory with that ending.
	text := func(dir, ending string) string {
		key := dir + " " + ending
		if _, ok := texts[key]; !ok {
			entries, err := os.ReadDir(dir)
			if err != nil {
				t.Error(err)
			}
			var all strings.Builder
			for _, e := range entries {
				if strings.HasSuffix(e.Name(), ending) {
					all.WriteString(read(t, path.Join(dir, e.Name())))
				}
			}
			texts[key] = all.String()
		}
		return texts[key]
	}
	for _, doc := range []struct {
		name  string
		least int
	}{{"docs/reliability.md", 80}, {"SECURITY.md", 20}} {
		found := witness.FindAllStringSubmatch(read(t, doc.name), -1)
		if len(found) < doc.least {
			t.Errorf("%s names only %d tests", doc.name, len(found))
		}
		for _, m := range found {
			var tests string
			for _, dir := range dirs[m[1]] {
				tests += text(dir, "_test.go")
			}
			if !strings.Contains(tests, "\nfunc "+m[2]+"(") {
				t.Errorf("%s: there is no %s.%s", doc.name, m[1], m[2])
			}
			if sub := m[3]; sub != "" {
				// Either a name in a table, or a test of the suite for switches.
				name := strings.ReplaceAll(sub, "_", " ")
				if !strings.Contains(tests, `{"`+name+`", `) && !strings.Contains(text("internal/switchtest", ".go"), `{"`+sub+`", (*suite)`) {
					t.Errorf("%s: %s.%s has no %s", doc.name, m[1], m[2], sub)
				}
			}
		}
	}
}

// TestDocsFuzzing looks for fuzz targets that docs/reliability.md does not list.
func TestDocsFuzzing(t *testing.T) {
	doc := read(t, "docs/reliability.md")
	target := regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)
	for _, file := range sources(t, "_test.go") {
		for _, m := range target.FindAllStringSubmatch(read(t, file), -1) {
			if name := path.Base(path.Dir(file)) + "." + m[1]; !strings.Contains(doc, "`"+name+"`") {
				t.Errorf("docs/reliability.md does not list %s", name)
			}
		}
	}
}

// TestDocsWitnessesByDirectory looks for the tests that docs/shared-memory.md
// names with their directory.
func TestDocsWitnessesByDirectory(t *testing.T) {
	lists := regexp.MustCompile("((?:`(?:Test|Fuzz)\\w+`(?:, )?)+) in ([\\w/]+)")
	name := regexp.MustCompile("`(\\w+)`")
	found := 0
	for _, list := range lists.FindAllStringSubmatch(read(t, "docs/shared-memory.md"), -1) {
		entries, err := os.ReadDir(list[2])
		if err != nil {
			t.Error(err)
			continue
		}
		var tests strings.Builder
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), "_test.go") {
				tests.WriteString(read(t, path.Join(list[2], e.Name())))
			}
		}
		for _, m := range name.FindAllStringSubmatch(list[1], -1) {
			found++
			if !strings.Contains(tests.String(), "\nfunc "+m[1]+"(") {
				t.Errorf("docs/shared-memory.md: there is no %s in %s", m[1], list[2])
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d tests found", found)
	}
}
