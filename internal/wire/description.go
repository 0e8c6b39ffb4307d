// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Description returns the description libvdeplug would send for a client that
// calls itself text: "text user=U pid=N", and " SSH=host" if the client runs
// under ssh. sshClient is the value of the environment variable SSH_CLIENT.
//
// The result is clean in the sense of [SanitizeDescription] and no longer than
// [MaxDescription]. If there is too much of it, text is shortened: whoever reads
// a port list needs to know whose port it is before what its owner says of it.
func Description(text, user string, pid int, sshClient string) string {
	owner := fmt.Sprintf(" user=%s pid=%d", user, pid)
	if words := strings.Fields(sshClient); len(words) > 0 {
		owner += " SSH=" + words[0]
	}
	owner = truncate(SanitizeDescription(owner), MaxDescription)
	return truncate(SanitizeDescription(text), MaxDescription-len(owner)) + owner
}

// SanitizeDescription returns s with each character that does not print, and
// each run of bytes that is not UTF-8, replaced by a question mark.
//
// Descriptions come from anybody who may join the switch, and its console shows
// them among its own answers, which are lines of text. A newline lets a client
// forge such answers; escape sequences and the characters that reverse the
// direction of writing let it forge what a terminal shows.
func SanitizeDescription(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(s, "?"))
}

// truncate returns the longest beginning of s, which is valid UTF-8, that has
// at most n bytes and does not end inside a character.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
