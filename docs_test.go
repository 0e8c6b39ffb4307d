// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Package sdk_test checks the repository as a whole: who imports whom, that
// documents quote the programs that are tested, and licence headers.
package sdk_test

import (
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	command = regexp.MustCompile("(?m)(?:^|`|run: |step )make ([a-z]+)(?:$|`| +#| +[A-Z])")
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	symbols = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// TestDocsLinks looks for what the documents link to within the repository.
func TestDocsLinks(t *testing.T) {
	for _, doc := range sources(t, ".md") {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			name := doc
			if target != "" {
				name = path.Join(path.Dir(doc), target)
			}
			if _, err := os.Stat(name); err != nil {
				t.Errorf("%s links to %s: %v", doc, m[1], err)
				continue
			}
			if anchor != "" && !anchors(read(t, name))[anchor] {
				t.Errorf("%s links to %s: there is no such heading", doc, m[1])
			}
		}
	}
}

// anchors returns the names that a renderer gives to the headings of a document.
func anchors(text string) map[string]bool {
	names := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		name := symbols.ReplaceAllString(strings.ToLower(m[1]), "")
		names[strings.ReplaceAll(name, " ", "-")] = true
	}
	return names
}

// TestDocsCommands looks for the make targets that the documents name.
func TestDocsCommands(t *testing.T) {
	makefile := read(t, "Makefile")
	files := append(sources(t, ".md", ".yml"), ".ci/run")
	for _, doc := range files {
		for _, m := range command.FindAllStringSubmatch(read(t, doc), -1) {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("%s names make %s, which is not in the Makefile", doc, m[1])
			}
		}
	}
}

// notice is the licence at the head of a file, in comments of either form, after
// the line that says what runs or checks a script.
var notice = regexp.MustCompile(`^(?:#.*\n)?(?://|#|/\*\n \*|<!--) Copyright 2026 The go-vde Authors\n(?://|#| \*|    ) SPDX-License-Identifier: BSD-3-Clause(?: -->)?\n`)

// TestHeaders looks for the licence at the head of each file of ours.
func TestHeaders(t *testing.T) {
	files := append(sources(t, ".go", ".c", ".h", ".sh", ".yml"), "Makefile", ".ci/run")
	for _, name := range sources(t, ".md") {
		if strings.HasPrefix(name, "docs/spec/") {
			files = append(files, name)
		}
	}
	for _, name := range files {
		if !notice.MatchString(read(t, name)) {
			t.Errorf("%s does not begin with the licence, as the other files do", name)
		}
	}
}

// TestDocsPackages checks that the README links to each package that others can import,
// of all modules, and names each command of vde but one for packagers, those that every
// such program has, and a command of vde demo.
func TestDocsPackages(t *testing.T) {
	readme := read(t, "README.md")
	linked := map[string]bool{}
	for _, m := range link.FindAllStringSubmatch(readme, -1) {
		linked[m[1]] = true
	}
	public := map[string]bool{}
	for _, name := range sources(t, ".go") {
		dir := path.Dir(name)
		if strings.HasSuffix(name, "_test.go") || strings.HasPrefix(dir, "examples/") || hasElement(dir, "internal") {
			continue
		}
		if !strings.Contains(read(t, name), "\npackage main\n") {
			public[dir] = true
		}
	}
	if len(public) < 20 {
		t.Fatalf("only %d packages found", len(public))
	}
	for dir := range public {
		if !linked[dir] {
			t.Errorf("README.md has no link to the package %s", dir)
		}
	}
	row := regexp.MustCompile("(?m)^\\| \\[`cmd/vde`].*$").FindString(readme)
	names, _ := vdeSubcommands(t)
	for _, hidden := range []string{"vde", "man", "help", "completion", "frames"} {
		delete(names, hidden)
	}
	for name := range names {
		if !strings.Contains(row, "`"+name+"`") && !strings.Contains(row, "`vde "+name+"`") {
			t.Errorf("README.md does not name the command %s: %q", name, row)
		}
	}
}

// hasElement reports whether a path has an element of that name.
func hasElement(name, element string) bool {
	return slices.Contains(strings.Split(name, "/"), element)
}
