// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sdk_test

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"testing"
)

// What a reader can hold in the head, in lines.
const (
	maxFuncLines = 60
	maxFileLines = 600
)

// TestSizes checks that no function and no file is longer than a reader can hold in the
// head, except files that are generated.
func TestSizes(t *testing.T) {
	fset := token.NewFileSet()
	for _, name := range sources(t, ".go") {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if ast.IsGenerated(f) {
			continue
		}
		if n := bytes.Count(text, []byte("\n")); n > maxFileLines {
			t.Errorf("%s has %d lines, more than %d", name, n, maxFileLines)
		}
		for _, d := range f.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			from, to := fset.Position(fn.Pos()), fset.Position(fn.End())
			if n := to.Line - from.Line + 1; n > maxFuncLines {
				t.Errorf("%s:%d: %s has %d lines, more than %d", name, from.Line, fn.Name, n, maxFuncLines)
			}
		}
	}
}
