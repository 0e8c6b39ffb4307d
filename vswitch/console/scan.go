// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package console

import (
	"math"
	"strings"

	"github.com/go-vde/sdk/frame"
)

// blanks are the bytes that isspace of the C library takes for space.
const blanks = " \t\n\v\f\r"

// A scanner reads an argument as scanf of the C library does.
type scanner struct {
	rest string
	bad  bool // what was asked for was not there
}

// skip skips blanks.
func (s *scanner) skip() { s.rest = strings.TrimLeft(s.rest, blanks) }

// digit returns the value of a digit, or 99.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return 99
}

// number reads a number of the given base; with base 0 its prefix says which, as in C:
// a leading 0 means octal, 0x hexadecimal. A number that does not fit is cut as C does.
func (s *scanner) number(base int) int {
	s.skip()
	text := s.rest
	negative := false
	if text != "" && (text[0] == '-' || text[0] == '+') {
		negative = text[0] == '-'
		text = text[1:]
	}
	if (base == 0 || base == 16) && len(text) > 2 && text[0] == '0' && text[1]|0x20 == 'x' && digit(text[2]) < 16 {
		base, text = 16, text[2:]
	} else if base == 0 {
		base = 10
		if text != "" && text[0] == '0' {
			base = 8
		}
	}
	n, i := int64(0), 0
	for ; i < len(text) && digit(text[i]) < base; i++ {
		if d := int64(digit(text[i])); n > (math.MaxInt64-d)/int64(base) {
			n = math.MaxInt64
		} else {
			n = n*int64(base) + d
		}
	}
	if i == 0 {
		s.bad = true
		return 0
	}
	s.rest = text[i:]
	if negative {
		n = -n
	}
	return int(int32(n))
}

// skipByte skips the byte c, which must be there.
func (s *scanner) skipByte(c byte) {
	if s.rest == "" || s.rest[0] != c {
		s.bad = true
		return
	}
	s.rest = s.rest[1:]
}

// decimal returns the number that text begins with, or 0 if there is none.
func decimal(text string) int {
	s := scanner{rest: text}
	return s.number(10)
}

// scanInts reads n numbers from text and reports whether they are all there.
func scanInts(text string, n int) ([]int, bool) {
	s := scanner{rest: text}
	list := make([]int, n)
	for i := range list {
		if list[i] = s.number(0); s.bad {
			return list, false
		}
	}
	return list, true
}

// scanMAC reads an address with colons or dots, and the VLAN that may follow.
func scanMAC(text string) (mac frame.MAC, vlan int, ok bool) {
	for _, separator := range []byte(":.") {
		s := scanner{rest: text}
		for i := range mac {
			if i > 0 {
				s.skipByte(separator)
			}
			mac[i] = byte(s.number(16))
		}
		if !s.bad {
			return mac, s.number(0), true
		}
	}
	return mac, 0, false
}

// scanName reads a number and the text behind it.
func scanName(text string) (n int, name string, ok bool) {
	s := scanner{rest: text}
	n = s.number(0)
	s.skip()
	return n, s.rest, !s.bad && s.rest != ""
}
