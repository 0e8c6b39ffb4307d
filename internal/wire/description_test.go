// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package wire_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/go-vde/sdk/internal/wire"
)

func TestDescription(t *testing.T) {
	const suffix = " user=ann pid=42"
	room := wire.MaxDescription - len(suffix)
	for _, test := range []struct {
		name            string
		text, user, ssh string
		want            string
	}{
		{"plain", "vdeplug:", "ann", "", "vdeplug: user=ann pid=42"},
		{"ssh", "vdeplug:", "ann", "10.1.2.3 1 22", "vdeplug: user=ann pid=42 SSH=10.1.2.3"},
		{"blank ssh", "vdeplug:", "ann", " \n", "vdeplug: user=ann pid=42"},
		{"ssh with a newline", "x", "ann", "10.1.2.3\nvde$ 1", "x user=ann pid=42 SSH=10.1.2.3"},
		{"no text", "", "ann", "", " user=ann pid=42"},
		{"just fits", strings.Repeat("x", room), "ann", "", strings.Repeat("x", room) + suffix},
		{"text too long", strings.Repeat("x", room) + "yz", "ann", "", strings.Repeat("x", room) + suffix},
		{"text cut between characters", strings.Repeat("x", room-1) + "é", "ann", "", strings.Repeat("x", room-1) + suffix},
		{"text of wide characters", strings.Repeat("語", room), "ann", "", strings.Repeat("語", room/3) + suffix},
		{"user too long", "text", strings.Repeat("u", 200), "", " user=" + strings.Repeat("u", 121)},
		{"forged answer", "x\n.\n1000 Success\n\nvde$ ", "a\x1b[2Jn", "", "x?.?1000 Success??vde$  user=a?[2Jn pid=42"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := wire.Description(test.text, test.user, 42, test.ssh); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestSanitizeDescription(t *testing.T) {
	for _, test := range []struct{ in, want string }{
		{"", ""},
		{"vdeplug: user=ann pid=1", "vdeplug: user=ann pid=1"},
		{"größe 語 😀 \ufffd", "größe 語 😀 \ufffd"},
		{"\x00\t\n\r\x1b\x1f\x7f", "???????"},
		{"a\u0080\u0085\u009bz", "a???z"},
		{"\xff\xfea\xc3", "?a?"},
		{"a\u2028b\u202eb", "a?b?b"},
	} {
		if got := wire.SanitizeDescription(test.in); got != test.want {
			t.Errorf("SanitizeDescription(%q) = %q, want %q", test.in, got, test.want)
		}
	}
}

func FuzzDescription(f *testing.F) {
	f.Add("vdeplug:", "ann", 42, "10.1.2.3 1 22")
	f.Add("x\n1000 Success\n\nvde$ ", "\x00", -1, "\x9b2J")
	f.Add(strings.Repeat("語", 50), strings.Repeat("é", 70), 1, "\xff")
	f.Fuzz(func(t *testing.T, text, user string, pid int, ssh string) {
		got := wire.Description(text, user, pid, ssh)
		if len(got) > wire.MaxDescription || !utf8.ValidString(got) {
			t.Errorf("%q has %d bytes", got, len(got))
		}
		for _, r := range got {
			if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' {
				t.Errorf("%q contains %U", got, r)
			}
		}
		if again := wire.SanitizeDescription(got); again != got {
			t.Errorf("cleaning %q again gives %q", got, again)
		}

		// Names of ordinary length survive, however long the text.
		if owner := fmt.Sprintf(" user=%s pid=%d", wire.SanitizeDescription(user), pid); len(owner) <= 60 && len(ssh) <= 60 {
			before, after, found := cutLast(got, owner)
			if !found || after != "" && !strings.HasPrefix(after, " SSH=") {
				t.Errorf("%q does not end with %q", got, owner)
			}
			if clean := wire.SanitizeDescription(text); !strings.HasPrefix(clean, before) {
				t.Errorf("%q is not the beginning of %q", before, clean)
			} else if cut := clean[len(before):]; cut != "" {
				_, size := utf8.DecodeRuneInString(cut)
				if len(got)+size <= wire.MaxDescription {
					t.Errorf("%q has room for more of %q", got, clean)
				}
			}
		}
	})
}

// cutLast is strings.Cut at the last sep, because a text may imitate an owner.
func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
