// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vnl

import (
	"strconv"
	"strings"
)

// The functions below know the quoting of locators. It is close to a shell's:
//
//	\c          c, whatever it is
//	'…' "…"     what is between, literally; to the end if nothing closes it
//	%HH         the byte with that hexadecimal number; literal if not a number
//
// Nothing quoted is ever a delimiter.

// Quote returns s with a backslash before each character that means something in
// an address.
func Quote(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(`\'"%[]`, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// nextUnit returns the length of the first unit of s, which is not empty, the
// text it stands for, and whether it is quoted. A unit is one of the forms
// above or a single byte.
func nextUnit(s string) (n int, text string, quoted bool) {
	switch s[0] {
	case '\\':
		n = min(2, len(s)) // a backslash at the end stands for nothing
		return n, s[1:n], true
	case '\'', '"':
		text, _, closed := strings.Cut(s[1:], s[:1])
		n = 1 + len(text)
		if closed {
			n++
		}
		return n, text, true
	case '%':
		if len(s) >= 3 {
			if b, err := strconv.ParseUint(s[1:3], 16, 8); err == nil {
				return 3, string([]byte{byte(b)}), true
			}
		}
	}
	return 1, s[:1], false
}

// unquote returns the text that s stands for.
func unquote(s string) string {
	var b strings.Builder
	for s != "" {
		n, text, _ := nextUnit(s)
		b.WriteString(text)
		s = s[n:]
	}
	return b.String()
}

// indexUnquoted returns the index of the first unquoted delim in s, or -1.
func indexUnquoted(s string, delim byte) int {
	for i := 0; i < len(s); {
		n, _, quoted := nextUnit(s[i:])
		if !quoted && s[i] == delim {
			return i
		}
		i += n
	}
	return -1
}

// lastIndexUnquoted returns the index of the last unquoted delim in s, or -1.
func lastIndexUnquoted(s string, delim byte) int {
	last := -1
	for i := 0; i < len(s); {
		n, _, quoted := nextUnit(s[i:])
		if !quoted && s[i] == delim {
			last = i
		}
		i += n
	}
	return last
}

// cutUnquoted is strings.Cut at the first unquoted delim.
func cutUnquoted(s string, delim byte) (before, after string, found bool) {
	if i := indexUnquoted(s, delim); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
