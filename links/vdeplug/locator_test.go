// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vdeplug

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/internal/wire"
	"github.com/go-vde/sdk/vnl"
)

// testSwitches are switches that no test writes as a path.
var testSwitches = []string{"/system.ctl", "/fallback.ctl"}

func dirs(d ...string) []string { return d }

// parse parses text with them.
func parse(text string) (address, error) { return parseAddress(vnl.Parse(text), testSwitches) }

// locators are locators and what they are parsed to.
var locators = []struct {
	vnl  string
	want address
}{
	{"/tmp/sw", address{dirs: dirs("/tmp/sw")}},
	{"/tmp/sw[5]", address{dirs: dirs("/tmp/sw"), portGroup: "5", port: 5}},
	{"/tmp/sw[5/group=users/mode=0770]", address{dirs: dirs("/tmp/sw"), portGroup: "5", port: 5, group: "users", mode: 0o770}},
	{"/tmp/sw[m=700]", address{dirs: dirs("/tmp/sw"), mode: 0o700}},
	{"/tmp/sw[port]", address{dirs: dirs("/tmp/sw")}},
	{"/tmp/sw[p]", address{dirs: dirs("/tmp/sw")}},
	{"/tmp/sw[porta]", address{dirs: dirs("/tmp/sw"), portGroup: "porta"}},
	{"/tmp/sw[portg=x]", address{dirs: dirs("/tmp/sw"), portGroup: "x"}},
	{"/tmp/sw[=5]", address{dirs: dirs("/tmp/sw")}},
	{"/tmp/sw[]", address{dirs: dirs("/tmp/sw")}},
	{"/tmp/sw[6/7]", address{dirs: dirs("/tmp/sw"), portGroup: "7", port: 7}},
	{"/tmp/sw[5", address{dirs: dirs("/tmp/sw"), portGroup: "5", port: 5}},
	{"/tmp/sw[5]tail", address{dirs: dirs("/tmp/sw"), portGroup: "5", port: 5}},
	{"/tmp/s[w][5]", address{dirs: dirs("/tmp/s"), portGroup: "w][5"}},
	{`/tmp/s\[w][5]`, address{dirs: dirs("/tmp/s[w]"), portGroup: "5", port: 5}},
	{"'/tmp/s[w'[5]", address{dirs: dirs("/tmp/s[w"), portGroup: "5", port: 5}},
	{"/tmp/a%2Fb%5B[%35]", address{dirs: dirs("/tmp/a/b["), portGroup: "5", port: 5}},
	{"/tmp/a%zz%4", address{dirs: dirs("/tmp/a%zz%4")}},
	{"/tmp/100%", address{dirs: dirs("/tmp/100%")}},
	{"/tmp/it's", address{dirs: dirs("/tmp/its")}},
	{"/tmp/sw]5", address{dirs: dirs("/tmp/sw]5")}},
	{"[5]", address{dirs: testSwitches, portGroup: "5", port: 5}},

	{"", address{dirs: testSwitches}},
	{"vde://", address{dirs: testSwitches}},
	{"vde://''", address{dirs: testSwitches}},
	{"vde://[lan]", address{dirs: testSwitches, portGroup: "lan"}},
	{"vde:///tmp/sw[5]", address{dirs: dirs("/tmp/sw"), portGroup: "5", port: 5}},
	{"vde:///tmp/a://b", address{dirs: dirs("/tmp/a://b")}},
	{"relative", address{dirs: dirs("relative")}},

	{"/tmp/sw[0]", address{dirs: dirs("/tmp/sw"), portGroup: "0", port: wire.ManagementPort}},
	{"/tmp/sw[00]", address{dirs: dirs("/tmp/sw"), portGroup: "00", port: wire.ManagementPort}},
	{"/tmp/sw[007]", address{dirs: dirs("/tmp/sw"), portGroup: "007", port: 7}},
	{"/tmp/sw[8388607]", address{dirs: dirs("/tmp/sw"), portGroup: "8388607", port: wire.MaxPort}},
	{"/tmp/sw[4x]", address{dirs: dirs("/tmp/sw"), portGroup: "4x"}},
	{"/tmp/sw[-1]", address{dirs: dirs("/tmp/sw"), portGroup: "-1"}},
	{"/tmp/sw[portgroup=port]", address{dirs: dirs("/tmp/sw"), portGroup: "port"}},
	{"/tmp/sw[...]", address{dirs: dirs("/tmp/sw"), portGroup: "..."}},
	{"/tmp/sw[5/port]", address{dirs: dirs("/tmp/sw")}},
	{"/tmp/sw[mode=]", address{dirs: dirs("/tmp/sw")}},
	{"/tmp/sw[mode=0]", address{dirs: dirs("/tmp/sw")}},
	{"/tmp/sw[m=9/mode=600]", address{dirs: dirs("/tmp/sw"), mode: 0o600}},
	{"/tmp/sw[g=a=b]", address{dirs: dirs("/tmp/sw"), group: "a=b"}},
	{"/tmp/sw[group='a/b']", address{dirs: dirs("/tmp/sw"), group: "a/b"}},
	{`/tmp/sw\`, address{dirs: dirs("/tmp/sw")}},
	{`/tmp/sw'[5]`, address{dirs: dirs("/tmp/sw[5]")}},
	{`/tmp/sw["5]`, address{dirs: dirs("/tmp/sw"), portGroup: "5]"}},
	{`/tmp/sw[a\]b]`, address{dirs: dirs("/tmp/sw"), portGroup: "a]b"}},
	{`/tmp/"%41\'"'\'%%41\%41`, address{dirs: dirs(`/tmp/%41\'\%A%41`)}},
}

func TestLocator(t *testing.T) {
	for _, test := range locators {
		t.Run(test.vnl, func(t *testing.T) {
			got, err := parse(test.vnl)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestLocatorErrors(t *testing.T) {
	for _, test := range []struct {
		vnl  string
		want error
		text string // a word without which the message is no help
	}{
		{"/tmp/sw[foo=1]", syscall.EINVAL, `"foo", want one of port, portgroup, group, mode`},
		{`/tmp/sw["a=b"]`, syscall.EINVAL, `"a"`},
		{"/tmp/sw[porta=5]", syscall.EINVAL, `"porta"`},
		{"/tmp/sw[8388608]", syscall.EINVAL, "8388607"},
		{"/tmp/sw[99999999999999999999]", syscall.EINVAL, "8388607"},
		{`/tmp/sw[a\/b]`, syscall.EINVAL, `"a/b"`},
		{`/tmp/sw['a/b']`, syscall.EINVAL, `"a/b"`},
		{"/tmp/sw[%2e%2E]", syscall.EINVAL, `".."`},
		{"/tmp/sw[.]", syscall.EINVAL, `"."`},
		{"/tmp/sw[port=..]", syscall.EINVAL, `".."`},
		{"/tmp/sw[mode=rwx]", syscall.EINVAL, `"rwx"`},
		{"/tmp/sw[mode=888]", syscall.EINVAL, "octal"},
		{"/tmp/sw[mode=0x1ff]", syscall.EINVAL, "octal"},
		{"/tmp/sw[mode=1777]", syscall.EINVAL, "777"},
		{"/tmp/sw[mode=-1]", syscall.EINVAL, "octal"},
		{"/tmp/s%00w", syscall.EINVAL, "NUL"},
		{"/tmp/sw[group=%00]", syscall.EINVAL, "NUL"},
	} {
		t.Run(test.vnl, func(t *testing.T) {
			got, err := parse(test.vnl)
			if !errors.Is(err, test.want) || !reflect.DeepEqual(got, address{}) {
				t.Fatalf("got %+v, %v; want %v", got, err, test.want)
			}
			if !strings.Contains(err.Error(), test.text) {
				t.Errorf("message %q, want %q in it", err, test.text)
			}
		})
	}
}

func TestResolveDir(t *testing.T) {
	tmp, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(tmp+"/a/b", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(tmp+"/sw", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a/b", tmp+"/link"); err != nil {
		t.Fatal(err)
	}
	t.Chdir(tmp + "/link") // so that $PWD goes through the link
	for _, test := range []struct{ dir, want string }{
		{tmp + "/sw", tmp + "/sw"},
		{tmp + "/link", tmp + "/a/b"},
		{tmp + "/link/..", tmp + "/a"},
		{".", tmp + "/a/b"},
		{"..", tmp + "/a"},
		{"../../sw/", tmp + "/sw"},
	} {
		if got, err := resolveDir(test.dir); err != nil || got != test.want {
			t.Errorf("resolveDir(%q) = %q, %v; want %q", test.dir, got, err, test.want)
		}
	}
	if got, err := resolveDir("none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("resolveDir of nothing = %q, %v", got, err)
	}
}

// FuzzLocator compares the parser with one that works the other way round: it
// first resolves all quoting into marked bytes, and then looks for delimiters.
func FuzzLocator(f *testing.F) {
	for _, arg := range []string{
		"/tmp/sw[5/group=users/mode=0770]", "/tmp/sw[porta]", `/tmp/sw["a=b"]`, "/tmp/sw[=5]", "/tmp/sw[6/7",
		"/tmp/s[w][5]tail", `/tmp/s\[w][5]`, "'/tmp/s[w'[5]", "/tmp/a%2Fb%5B[%35]", "/tmp/a%zz%4%", `/it's"%%41`,
		`[a\/b]`, "[mode=9]", "[..]", "[8388608]", "%00", `x\`,
	} {
		f.Add(arg)
	}
	f.Fuzz(func(t *testing.T, arg string) {
		got, err := parse("vde://" + arg)
		want, ok := reference(arg)
		if (err == nil) != ok || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q:\n got %+v, %v\nwant %+v, %v", arg, got, err, want, ok)
		}
		if err != nil {
			if !errors.Is(err, syscall.EINVAL) {
				t.Errorf("error %v", err)
			}
			return
		}

		// What was parsed can be written down again, in each style of quoting.
		for name, quote := range map[string]func(string) string{"escape": escape, "percent": percent, "literal": literal} {
			var vnl strings.Builder
			vnl.WriteString("vde://")
			if !slices.Equal(got.dirs, testSwitches) {
				vnl.WriteString(quote(got.dirs[0]))
			}
			fmt.Fprintf(&vnl, "[group=%s/mode=%o/portgroup=%s]", quote(got.group), got.mode, quote(got.portGroup))
			if again, err := parse(vnl.String()); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("%q in style %s is %q:\n got %+v, %v\nwant %+v", arg, name, vnl.String(), again, err, got)
			}
		}
	})
}

// escape quotes every byte with a backslash.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		b.WriteString(`\` + s[i:i+1])
	}
	return b.String()
}

// percent quotes every byte by its number.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

// literal puts quotation marks around s, one kind around the other.
func literal(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'"'"'`) + "'"
}

// A mark is a byte of a locator, and whether it was quoted.
type mark struct {
	c      byte
	quoted bool
}

// marks resolves the quoting of s.
func marks(s string) (out []mark) {
	var open byte // the quotation mark that s is inside of, or 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case open != 0 && c == open:
			open = 0
		case open != 0:
			out = append(out, mark{c, true})
		case c == '\'' || c == '"':
			open = c
		case c == '\\':
			if i++; i < len(s) {
				out = append(out, mark{s[i], true})
			}
		case c == '%' && i+2 < len(s) && isHex(s[i+1]) && isHex(s[i+2]):
			out = append(out, mark{unhex(s[i+1])<<4 | unhex(s[i+2]), true})
			i += 2
		default:
			out = append(out, mark{c, false})
		}
	}
	return out
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&^0x20 - 'A' + 10
}

func text(m []mark) string {
	b := make([]byte, len(m))
	for i := range m {
		b[i] = m[i].c
	}
	return string(b)
}

// reference parses what follows vde:// as the specification says it, step by
// step. A locator that is not ok is refused.
func reference(arg string) (l address, ok bool) {
	m := marks(arg)
	base, rest := m, []mark(nil)
	if i := slices.Index(m, mark{'[', false}); i >= 0 {
		base, rest = m[:i], m[i+1:]
	}
	for i := len(rest) - 1; i >= 0; i-- {
		if rest[i] == (mark{']', false}) {
			rest = rest[:i]
			break
		}
	}
	if slices.ContainsFunc(slices.Concat(base, rest), func(m mark) bool { return m.c == 0 }) {
		return address{}, false
	}
	l.dirs = dirs(text(base))
	if len(base) == 0 {
		l.dirs = testSwitches
	}

	var mode string
	for len(rest) > 0 {
		elem := rest
		if i := slices.Index(rest, mark{'/', false}); i >= 0 {
			elem, rest = rest[:i], rest[i+1:]
		} else {
			rest = nil
		}
		e := text(elem)
		equals := strings.IndexByte(e, '=')
		key, value := e, ""
		if equals >= 0 {
			key, value = e[:equals], e[equals+1:]
		}
		switch {
		case key == "":
		case strings.HasPrefix("portgroup", key):
			l.portGroup = value
		case strings.HasPrefix("group", key):
			l.group = value
		case strings.HasPrefix("mode", key):
			mode = value
		case equals < 0:
			l.portGroup = e
		default:
			return address{}, false
		}
	}

	var modeOK, portOK bool
	l.mode, modeOK = referenceMode(mode)
	l.port, portOK = referencePort(l.portGroup)
	if !modeOK || !portOK {
		return address{}, false
	}
	return l, true
}

// referenceMode reads an octal mode of at most 777.
func referenceMode(text string) (mode fs.FileMode, ok bool) {
	for _, c := range text {
		if c < '0' || c > '7' {
			return 0, false
		}
		if mode = mode<<3 | fs.FileMode(c-'0'); mode > 0o777 {
			return 0, false
		}
	}
	return mode, true
}

// referencePort returns the port that a port group's name stands for, 0 if it is
// not a number. A name that is not ok is refused.
func referencePort(group string) (port wire.Port, ok bool) {
	switch {
	case group == "." || group == ".." || strings.Contains(group, "/"):
		return 0, false
	case group == "" || strings.IndexFunc(group, func(r rune) bool { return r < '0' || r > '9' }) >= 0:
		return 0, true
	}
	var n int
	for _, c := range group {
		if n = n*10 + int(c-'0'); n > 1<<23-1 {
			return 0, false
		}
	}
	if n == 0 {
		return -1, true
	}
	return wire.Port(n), true
}
