// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sdk_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A numbered holds what can be cited of a document: its numbered headings, each
// with the numbers of the list entries below it.
type numbered map[string][]string

var (
	numberedHeading = regexp.MustCompile(`^#+ (\d+(?:\.\d+)*)\.? `)
	numberedItem    = regexp.MustCompile(`^(\d+)\. `)
)

// parseNumbered finds the numbered headings and list entries in a document.
func parseNumbered(text string) numbered {
	sections := numbered{}
	section := ""
	for line := range strings.Lines(withoutFences(text)) {
		if m := numberedHeading.FindStringSubmatch(line); m != nil {
			section = m[1]
			sections[section] = []string{}
		} else if m := numberedItem.FindStringSubmatch(line); m != nil && section != "" {
			sections[section] = append(sections[section], m[1])
		}
	}
	return sections
}

var fence = regexp.MustCompile("(?ms)^```.*?^```$")

// withoutFences returns a document without its fenced blocks.
func withoutFences(text string) string { return fence.ReplaceAllString(text, "") }

var (
	// section is a mention of numbered sections, and of list entries in them.
	section = regexp.MustCompile(`\b[Ss]ections? (\d[\d.]*(?:(?:, |–| and )\d[\d.]*)*)(?:, items? (\d+(?:(?:, | and )\d+)*))?`)
	number  = regexp.MustCompile(`\d+(?:\.\d+)*`)

	// document is the path of a document of this repository, from its root.
	document = regexp.MustCompile(`\bdocs/[\w/-]+\.md\b`)

	// foreign ends with the name of a standard.
	foreign = regexp.MustCompile(`(?:RFC \d+|Virtual I/O Device [\d.]+), $`)
)

// A citer checks the citations in texts.
type citer struct {
	read  func(name string) (string, error)
	known map[string]numbered
}

// lookup returns what can be cited of the document called name.
func (c *citer) lookup(name string) (numbered, error) {
	if n, ok := c.known[name]; ok {
		return n, nil
	}
	text, err := c.read(name)
	if err != nil {
		return nil, err
	}
	c.known[name] = parseNumbered(text)
	return c.known[name], nil
}

// check returns what is wrong with the citations in text, a paragraph, and the
// number of citations. A section is looked up in the document named directly
// before it, or else in home, unless that is empty.
func (c *citer) check(text, home string) (wrong []string, cited int) {
	text = strings.Join(strings.Fields(text), " ")
	for _, name := range document.FindAllString(text, -1) {
		if _, err := c.lookup(name); err != nil {
			wrong = append(wrong, err.Error())
		}
	}
	for _, m := range section.FindAllStringSubmatchIndex(text, -1) {
		begin := m[0]
		if foreign.MatchString(text[:begin]) {
			continue
		}
		name, citation := home, text[begin:m[1]]
		if before, ok := strings.CutSuffix(text[:begin], ", "); ok {
			if at := document.FindAllStringIndex(before, -1); at != nil && at[len(at)-1][1] == len(before) {
				name = before[at[len(at)-1][0]:]
			}
		}
		if name == "" {
			wrong = append(wrong, fmt.Sprintf("%q names no document: write docs/DOCUMENT.md, section N", citation))
			continue
		}
		cited++
		items := ""
		if m[4] >= 0 {
			items = text[m[4]:m[5]]
		}
		wrong = append(wrong, c.find(name, text[m[2]:m[3]], items)...)
	}
	return wrong, cited
}

// find looks for sections of a document and for entries of the last of them.
func (c *citer) find(name, sections, items string) (wrong []string) {
	have, err := c.lookup(name)
	if err != nil {
		return nil // reported with the name
	}
	last := ""
	for _, last = range number.FindAllString(sections, -1) {
		if _, ok := have[last]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s has no section %s", name, last))
			return wrong
		}
	}
	for _, item := range number.FindAllString(items, -1) {
		if !slices.Contains(have[last], item) {
			wrong = append(wrong, fmt.Sprintf("%s, section %s, has no item %s", name, last, item))
		}
	}
	return wrong
}

// A paragraph is a text with the document that sections in it refer to when they
// name none.
type paragraph struct{ text, home string }

// commentsOf returns the comments of a Go file.
func commentsOf(t *testing.T, name string) (paragraphs []paragraph) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range f.Comments {
		paragraphs = append(paragraphs, paragraph{group.Text(), ""})
	}
	return paragraphs
}

// paragraphsOf returns the paragraphs of a document. Those of a specification
// refer to itself, and a table to the document that its first line names.
func paragraphsOf(name, text string) (paragraphs []paragraph) {
	home := ""
	if strings.HasPrefix(name, "docs/spec/") && name != "docs/spec/README.md" {
		home = name
	}
	for block := range strings.SplitSeq(withoutFences(text), "\n\n") {
		p := paragraph{block, home}
		if head, _, ok := strings.Cut(block, "\n"); ok && strings.HasPrefix(block, "|") && home == "" {
			p.home = document.FindString(head)
		}
		paragraphs = append(paragraphs, p)
	}
	return paragraphs
}

// TestDocsCitations looks up the sections that comments and documents cite.
func TestDocsCitations(t *testing.T) {
	c := &citer{known: map[string]numbered{}, read: func(name string) (string, error) {
		b, err := os.ReadFile(name)
		return string(b), err
	}}
	cited := 0
	for _, name := range sources(t, ".go", ".md") {
		var paragraphs []paragraph
		if strings.HasSuffix(name, ".go") {
			paragraphs = commentsOf(t, name)
		} else {
			paragraphs = paragraphsOf(name, read(t, name))
		}
		for _, p := range paragraphs {
			wrong, n := c.check(p.text, p.home)
			for _, w := range wrong {
				t.Errorf("%s: %s", name, w)
			}
			cited += n
		}
	}
	if cited < 50 {
		t.Errorf("only %d citations", cited)
	}
}

// TestDocsCitationsWrong checks that TestDocsCitations would find what is wrong.
func TestDocsCitationsWrong(t *testing.T) {
	c := &citer{known: map[string]numbered{}, read: func(name string) (string, error) {
		if name != "docs/spec/a.md" {
			return "", &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
		}
		return "# A\n\n## 1. One\n\n1. first\n2. second\n\n### 1.1 Part\n\n```\n## 9. None\n```\n", nil
	}}
	for _, test := range []struct {
		text, home string
		want       string // the beginning of each complaint, with commas between
	}{
		{"(docs/spec/a.md, section 1)", "", ""},
		{"docs/spec/a.md, section 1.1, and docs/spec/a.md,\n section 1, items 1 and 2: so.", "", ""},
		{"RFC 9293, section 3.4, and Virtual I/O Device 1.2, section 5.1.6", "", ""},
		{"see sections 1 and 1.1", "docs/spec/a.md", ""},
		{"the section on soak", "", ""},
		{"does so (section 1)", "", `"section 1" names no document`},
		{"Section 1 says", "", `"Section 1" names no document`},
		{"a.md, section 1", "", `"section 1" names no document`},
		{"docs/spec/a.md, section 1 and (section 1.1)", "", `"section 1.1" names no document`},
		{"docs/spec/a.md, section 9", "", "docs/spec/a.md has no section 9"},
		{"docs/spec/a.md, section 1.2", "", "docs/spec/a.md has no section 1.2"},
		{"docs/spec/a.md, section 1, item 3", "", "docs/spec/a.md, section 1, has no item 3"},
		{"docs/spec/a.md, section 1, items 1 and 4", "", "docs/spec/a.md, section 1, has no item 4"},
		{"see sections 1–3", "docs/spec/a.md", "docs/spec/a.md has no section 3"},
		{"docs/b.md, section 1", "", "open docs/b.md"},
		{"as docs/b.md says", "", "open docs/b.md"},
	} {
		wrong, _ := c.check(test.text, test.home)
		switch {
		case test.want == "" && len(wrong) > 0:
			t.Errorf("%q: %q", test.text, wrong)
		case test.want != "" && (len(wrong) != 1 || !strings.HasPrefix(wrong[0], test.want)):
			t.Errorf("%q: %q, want %q", test.text, wrong, test.want)
		}
	}
}
