// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sdk_test

import (
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// architectureRows returns the rows of the first table of docs/architecture.md, by
// the packages that they are about.
func architectureRows(t *testing.T) map[string]int {
	t.Helper()
	rows := map[string]int{}
	_, table, _ := strings.Cut(read(t, "docs/architecture.md"), "|---|---|---|\n")
	name := regexp.MustCompile("`([^`]+)`")
	for i, line := range strings.Split(table, "\n") {
		if !strings.HasPrefix(line, "|") {
			break
		}
		first, _, _ := strings.Cut(line[1:], "|")
		for _, m := range name.FindAllStringSubmatch(first, -1) {
			rows[m[1]] = i
		}
	}
	return rows
}

// TestArchitectureTable checks that each package is in the table of
// docs/architecture.md, by itself or with those below a directory, and that no
// product code imports what stands further down.
func TestArchitectureTable(t *testing.T) {
	rows := architectureRows(t)
	row := func(pkg string) int {
		for dir := pkg; dir != "."; dir = path.Dir(dir) {
			if i, ok := rows[dir]; ok {
				return i
			}
		}
		return -1
	}
	fset := token.NewFileSet()
	for _, file := range sources(t, ".go") {
		pkg := path.Dir(file)
		if pkg == "." || strings.HasSuffix(file, "_test.go") {
			continue
		}
		at := row(pkg)
		if at < 0 {
			t.Errorf("docs/architecture.md has no row for %s", pkg)
			continue
		}
		f, err := parser.ParseFile(fset, file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if ours, ok := strings.CutPrefix(imported, module); ok && row(ours) > at {
				t.Errorf("%s imports %s, which docs/architecture.md has further down", file, ours)
			}
		}
	}
}
