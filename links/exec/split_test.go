// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package exec_test

import (
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-vde/sdk/internal/testpeers"
	"github.com/go-vde/sdk/links/exec"
)

// splits are command lines and their words, as vde_plug 4.0.1 has them.
var splits = []struct {
	line string
	want []string
}{
	{`a b`, []string{"a", "b"}},
	{"  a \t\n b  ", []string{"a", "b"}},
	{"a\rb\vc\fd", []string{"a\rb\vc\fd"}},
	{`'a b'c`, []string{"a bc"}},
	{`"a b"c`, []string{"a bc"}},
	{`x'a\b'`, []string{`xa\b`}},
	{`x"a\"b"`, []string{`xa\"b`}},
	{`'a\'b' c`, []string{`a\b c`}},
	{`"a\\\"b" c`, []string{`a\\\"b`, "c"}},
	{`"\\" c`, []string{`\\`, "c"}},
	{`"a\`, []string{`a\`}},
	{`"\'x" '\\\'b' c`, []string{`\'x`, `\\\b c`}},
	{`a\ b`, []string{"a b"}},
	{`a\`, []string{"a"}},
	{`a\\b`, []string{`a\b`}},
	{"a\\\nb", []string{"a\nb"}},
	{`'open`, []string{"open"}},
	{`"open x`, []string{"open x"}},
	{`'a\`, []string{`a\`}},
	{`$A`, []string{""}},
	{`$`, []string{""}},
	{`$ x`, []string{"", "x"}},
	{`$A_1b c`, []string{"", "c"}},
	{`${A}b`, []string{""}},
	{`${A b`, []string{"", "b"}},
	{`$A$A`, []string{""}},
	{`$HOME/x y`, []string{"", "y"}},
	{`$A'q r' s`, []string{"", "r s"}},
	{`$A\ r s`, []string{"", "r", "s"}},
	{`$A'q;r' s`, []string{""}},
	{`$A;b`, []string{""}},
	{`x$A.y`, []string{"xA.y"}},
	{`x$A$A y`, []string{"xAA", "y"}},
	{`a$`, []string{"a"}},
	{`x$\ y`, []string{"x y"}},
	{`''$A`, []string{"A"}},
	{`'x'$A y`, []string{"xA", "y"}},
	{`'$A'`, []string{"$A"}},
	{`"x $A y"`, []string{"x $A y"}},
	{`\$A$B`, []string{"$AB"}},
	{`~ * a|b | > f & # x`, []string{"~", "*", "a|b", "|", ">", "f", "&", "#", "x"}},
	{"`x` %41 [x] =a é", []string{"`x`", "%41", "[x]", "=a", "é"}},
	{`a;b`, []string{"a"}},
	{`a ; b`, []string{"a"}},
	{`;`, nil},
	{`';'`, []string{";"}},
	{`\; b`, []string{";", "b"}},
	{`"a;b"`, []string{"a;b"}},
	{`''`, []string{""}},
	{`a '' b ""`, []string{"a", "", "b", ""}},
	{`a''`, []string{"a"}},
	{`a'b'"c"d`, []string{"abcd"}},
	{`"a'b" 'a"b'`, []string{"a'b", `a"b`}},
}

func TestSplit(t *testing.T) {
	for _, test := range splits {
		if got := exec.Split("cmd " + test.line); !slices.Equal(got[1:], test.want) {
			t.Errorf("%q: %q, want %q", test.line, got[1:], test.want)
		}
	}
	for _, line := range []string{"", " \t\n", ";", " ; x"} {
		if got := exec.Split(line); len(got) > 0 {
			t.Errorf("%q: %q, want no word", line, got)
		}
	}
}

// TestSplitAsVdePlug has vde_plug run a command that notes its words.
func TestSplitAsVdePlug(t *testing.T) {
	testpeers.Need(t, "vde_plug", "sh")
	dir := t.TempDir()
	script, out := filepath.Join(dir, "note"), filepath.Join(dir, "out")
	if err := os.WriteFile(script, []byte("printf '<%s>' \"$@\" >"+out+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, test := range splits {
		if testing.Short() && i%5 != 0 {
			continue
		}
		if err := osexec.CommandContext(t.Context(), "vde_plug", "cmd://sh "+script+" "+test.line).Run(); err != nil {
			t.Fatalf("%q: %v", test.line, err)
		}
		got, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		want := "<" + strings.Join(test.want, "><") + ">" // printf without words prints <> too
		if string(got) != want {
			t.Errorf("%q: vde_plug has %s, want %s", test.line, got, want)
		}
	}
}

// splitByCharacter is Split as a machine that looks at one character after the
// other.
func splitByCharacter(line string) (words []string) {
	const (
		between = iota
		escaped
		bare
		single
		kept // behind a backslash in double quotes
		double
		variable
	)
	word, state := []byte(nil), between
	for _, c := range []byte(line) {
		blank := c == ' ' || c == '\t' || c == '\n'
		switch state {
		case escaped, kept: // which come before the state to go back to
			word, state = append(word, c), state+1
			continue
		case single, double:
			switch closed := state == single && c == '\'' || state == double && c == '"'; {
			case closed:
				state = bare
				continue
			case state == double && c == '\\':
				state = kept
			}
			word = append(word, c)
			continue
		case between:
			switch {
			case blank:
				continue
			case c == ';':
				return words
			}
			word, state = nil, bare
			if c == '$' {
				state = variable
			}
		}
		switch {
		case c == ';':
			return append(words, string(word))
		case blank:
			words, state = append(words, string(word)), between
		case state == variable:
		case c == '\\':
			state = escaped
		case c == '\'':
			state = single
		case c == '"':
			state = double
		case c != '$':
			word = append(word, c)
		}
	}
	if state == between {
		return words
	}
	return append(words, string(word))
}

func FuzzSplit(f *testing.F) {
	for _, test := range splits {
		f.Add(test.line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := exec.Split(line)
		if want := splitByCharacter(line); !slices.Equal(words, want) {
			t.Errorf("%q: %q, want %q", line, words, want)
		}
		if again := exec.Split(exec.Quote(words...)); !slices.Equal(again, words) {
			t.Errorf("%q quoted is %q, which is %q", words, exec.Quote(words...), again)
		}
		if one := exec.Split(exec.Quote(line)); len(one) != 1 || one[0] != line {
			t.Errorf("%q as one word is %q, which is %q", line, exec.Quote(line), one)
		}
	})
}
