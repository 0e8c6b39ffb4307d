// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package exec

import "strings"

// blanks separate words. The others that a shell knows do not.
const blanks = " \t\n"

// Split returns the words of a command line as libvdeplug takes it apart. It is
// not a shell's, although it looks like one:
//
//	\c          c, whatever it is; nothing at the end
//	'…' "…"     what is between, literally; to the end if nothing closes it.
//	            A double quote behind a backslash closes nothing, and both stay
//	$NAME       at the beginning of a word: the word is empty, and NAME goes to
//	            the next blank or semicolon, whatever is in it
//	$           elsewhere in a word: nothing
//	;           the end of the line; what follows is ignored
//
// All other characters stand for themselves.
func Split(line string) (words []string) {
	for {
		line = strings.TrimLeft(line, blanks)
		if line == "" || line[0] == ';' {
			return words
		}
		var word string
		word, line = firstWord(line)
		words = append(words, word)
	}
}

// firstWord returns the word that line begins with, and what follows it.
func firstWord(line string) (word, rest string) {
	if line[0] == '$' {
		if i := strings.IndexAny(line, blanks+";"); i >= 0 {
			return "", line[i:]
		}
		return "", ""
	}
	var b strings.Builder
	for line != "" {
		c := line[0]
		switch {
		case c == ';' || strings.IndexByte(blanks, c) >= 0:
			return b.String(), line
		case c == '$':
			line = line[1:]
		case c == '\\':
			b.WriteString(line[1:min(2, len(line))])
			line = line[min(2, len(line)):]
		case c == '\'' || c == '"':
			end := quotedLen(line)
			b.WriteString(line[1:end])
			line = line[min(end+1, len(line)):]
		default:
			b.WriteByte(c)
			line = line[1:]
		}
	}
	return b.String(), ""
}

// quotedLen returns the index of the quote that closes the one which s begins with,
// or the length of s.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == s[0]:
			return i
		case s[i] == '\\' && s[0] == '"':
			i++
		}
	}
	return len(s)
}

// Quote returns a command line that Split takes apart into words.
func Quote(words ...string) string {
	var b strings.Builder
	for i, word := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		if word == "" {
			b.WriteString("''")
		}
		for j := range len(word) {
			if strings.IndexByte(blanks+`\'"$;`, word[j]) >= 0 {
				b.WriteByte('\\')
			}
			b.WriteByte(word[j])
		}
	}
	return b.String()
}
