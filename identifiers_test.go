// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sdk_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"regexp"
	"strings"
	"testing"
)

// declared holds what the packages of the repository declare: functions,
// variables, constants and types by the name of the package, and fields and
// methods by the name of the type.
type declared struct {
	packages map[string]map[string]bool
	members  map[string]map[string]bool // of all types with that name together
	fields   map[string]map[string]bool // the names of the types of all fields with that name
}

// add notes that a package or a type has a name.
func add(of map[string]map[string]bool, key, name string) {
	if of[key] == nil {
		of[key] = map[string]bool{}
	}
	of[key][name] = true
}

// file notes what one file declares.
func (d *declared) file(f *ast.File) {
	pkg := strings.TrimSuffix(f.Name.Name, "_test")
	if d.packages[pkg] == nil {
		d.packages[pkg] = map[string]bool{}
	}
	for _, decl := range f.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Recv == nil {
				add(d.packages, pkg, decl.Name.Name)
			} else if name := typeName(decl.Recv.List[0].Type); name != "" {
				add(d.members, name, decl.Name.Name)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.ValueSpec:
					for _, name := range spec.Names {
						add(d.packages, pkg, name.Name)
					}
				case *ast.TypeSpec:
					add(d.packages, pkg, spec.Name.Name)
					d.typ(spec.Name.Name, spec.Type)
				}
			}
		}
	}
}

// typ notes the fields and methods of a type, and of types declared within it,
// whose names are their fields'.
func (d *declared) typ(name string, t ast.Expr) {
	var fields *ast.FieldList
	switch t := t.(type) {
	case *ast.StructType:
		fields = t.Fields
	case *ast.InterfaceType:
		fields = t.Methods
	default:
		return
	}
	for _, field := range fields.List {
		names := field.Names
		if len(names) == 0 {
			if embedded := typeName(field.Type); embedded != "" {
				add(d.members, name, embedded)
			}
		}
		for _, n := range names {
			add(d.members, name, n.Name)
			d.typ(n.Name, field.Type)
			if of := typeName(field.Type); of != "" {
				add(d.fields, n.Name, of)
			}
		}
	}
}

// typeName returns the name of a type, a pointer to it, or an instance of it.
func typeName(t ast.Expr) string {
	switch t := t.(type) {
	case *ast.StarExpr:
		return typeName(t.X)
	case *ast.IndexExpr:
		return typeName(t.X)
	case *ast.SelectorExpr:
		return t.Sel.Name
	case *ast.Ident:
		return t.Name
	}
	return ""
}

var (
	// qualified is an identifier of a package, perhaps with a member of it.
	qualified = regexp.MustCompile(`(?:^|[^\w./])([a-z]\w*)\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)
	// member is a field or method of a type, perhaps with a member of that field.
	member = regexp.MustCompile(`(?:^|[^\w./])([A-Z]\w*)(?:\(\))?\.([A-Z]\w*)(?:\.([A-Z]\w*))?`)
)

// check returns the identifiers in a piece of code that do not exist. A package
// that the repository does not have is somebody else's.
func (d *declared) check(snippet string) (wrong []string) {
	for _, m := range qualified.FindAllStringSubmatch(snippet, -1) {
		names, ours := d.packages[m[1]]
		switch {
		case !ours || foreignPackages[m[1]]:
		case !names[m[2]]:
			wrong = append(wrong, fmt.Sprintf("%s.%s does not exist", m[1], m[2]))
		case m[3] != "" && d.members[m[2]] != nil && !d.members[m[2]][m[3]]:
			wrong = append(wrong, fmt.Sprintf("%s.%s has no %s", m[1], m[2], m[3]))
		}
	}
	for _, m := range member.FindAllStringSubmatch(snippet, -1) {
		switch members := d.members[m[1]]; {
		case members == nil:
		case !members[m[2]]:
			wrong = append(wrong, fmt.Sprintf("%s has no %s", m[1], m[2]))
		case m[3] != "" && d.lacks(m[2], m[3]):
			wrong = append(wrong, fmt.Sprintf("%s.%s has no %s", m[1], m[2], m[3]))
		}
	}
	return wrong
}

// lacks reports whether no field with that name has the member, as far as the
// types of those fields are known.
func (d *declared) lacks(field, member string) bool {
	known := false
	for of := range d.fields[field] {
		if d.members[of] == nil || d.members[of][member] {
			return false
		}
		known = true
	}
	return known
}

// foreignPackages are packages of others, or variables in examples, that have
// the name of a package of ours.
var foreignPackages = map[string]bool{"main": true}

// TestDocsIdentifiers looks for the identifiers that documents name in code.
func TestDocsIdentifiers(t *testing.T) {
	d := &declared{packages: map[string]map[string]bool{}, members: map[string]map[string]bool{}, fields: map[string]map[string]bool{}}
	for _, name := range sources(t, ".go") {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		d.file(f)
	}
	found := 0
	for _, doc := range documents(t) {
		text := read(t, doc)
		snippets := code(text)
		for _, block := range fence.FindAllString(text, -1) {
			if head, body, _ := strings.Cut(block, "\n"); head == "```go" {
				snippets = append(snippets, body)
			}
		}
		for _, snippet := range snippets {
			found += len(qualified.FindAllString(snippet, -1)) + len(member.FindAllString(snippet, -1))
			if witness.MatchString("`" + snippet + "`") {
				continue // TestDocsWitnesses looks for tests
			}
			for _, w := range d.check(snippet) {
				t.Errorf("%s: `%s`: %s", path.Clean(doc), snippet, w)
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d identifiers found", found)
	}
	for _, snippet := range []string{"vde.NoSuch", "vde.Conn.NoSuch()", "x := vde.NoSuch(ctx)", "Conn.NoSuch", "Conn().NoSuch()", "Stats.Serve.NoSuch"} {
		if len(d.check(snippet)) != 1 {
			t.Errorf("%q: %q", snippet, d.check(snippet))
		}
	}
	if w := d.check("vde.Open(ctx, net.NoSuch), Conn.Close, http.Client, Stats.Serve.Violations"); len(w) != 0 {
		t.Error(w)
	}
}
