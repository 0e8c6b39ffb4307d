// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package api

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText bounds each text of others in an answer, in bytes.
const maxText = 1024

// text returns s as it can be sent: a client of a switch may have called itself anything,
// a message holds UTF-8 only, and a terminal must not get control characters.
func text(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	clean := utf8.ValidString(s)
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] >= ' ' && s[i] < utf8.RuneSelf && s[i] != 0x7f
	}
	if clean {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}
