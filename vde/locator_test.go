// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/internal/wire"
)

// testPlaces has no home, and switches that no test writes as a path.
func testPlaces() places {
	return places{switches: []string{"/system.ctl", "/fallback.ctl"}}
}

func dirs(d ...string) []string { return d }

func TestLocator(t *testing.T) {
	sw := dirs("/tmp/sw")
	system := testPlaces().switches
	for _, test := range []struct {
		vnl  string
		want locator
	}{
		{"/tmp/sw", locator{dirs: sw}},
		{"/tmp/sw[5]", locator{dirs: sw, portGroup: "5", port: 5}},
		{"/tmp/sw[5/group=users/mode=0770]", locator{dirs: sw, portGroup: "5", port: 5, group: "users", mode: 0o770}},
		{"/tmp/sw[m=700]", locator{dirs: sw, mode: 0o700}},
		{"/tmp/sw[port]", locator{dirs: sw}},
		{"/tmp/sw[p]", locator{dirs: sw}},
		{"/tmp/sw[porta]", locator{dirs: sw, portGroup: "porta"}},
		{"/tmp/sw[portg=x]", locator{dirs: sw, portGroup: "x"}},
		{"/tmp/sw[=5]", locator{dirs: sw}},
		{"/tmp/sw[]", locator{dirs: sw}},
		{"/tmp/sw[6/7]", locator{dirs: sw, portGroup: "7", port: 7}},
		{"/tmp/sw[5", locator{dirs: sw, portGroup: "5", port: 5}},
		{"/tmp/sw[5]tail", locator{dirs: sw, portGroup: "5", port: 5}},
		{"/tmp/s[w][5]", locator{dirs: dirs("/tmp/s"), portGroup: "w][5"}},
		{`/tmp/s\[w][5]`, locator{dirs: dirs("/tmp/s[w]"), portGroup: "5", port: 5}},
		{"'/tmp/s[w'[5]", locator{dirs: dirs("/tmp/s[w"), portGroup: "5", port: 5}},
		{"/tmp/a%2Fb%5B[%35]", locator{dirs: dirs("/tmp/a/b["), portGroup: "5", port: 5}},
		{"/tmp/a%zz%4", locator{dirs: dirs("/tmp/a%zz%4")}},
		{"/tmp/100%", locator{dirs: dirs("/tmp/100%")}},
		{"/tmp/it's", locator{dirs: dirs("/tmp/its")}},
		{"/tmp/sw]5", locator{dirs: dirs("/tmp/sw]5")}},
		{"[5]", locator{dirs: system, portGroup: "5", port: 5}},

		{"", locator{dirs: system}},
		{"vde://", locator{dirs: system}},
		{"vde://''", locator{dirs: system}},
		{"vde://[lan]", locator{dirs: system, portGroup: "lan"}},
		{"vde:///tmp/sw[5]", locator{dirs: sw, portGroup: "5", port: 5}},
		{"vde:///tmp/a://b", locator{dirs: dirs("/tmp/a://b")}},
		{"relative", locator{dirs: dirs("relative")}},

		{"/tmp/sw[0]", locator{dirs: sw, portGroup: "0", port: wire.ManagementPort}},
		{"/tmp/sw[00]", locator{dirs: sw, portGroup: "00", port: wire.ManagementPort}},
		{"/tmp/sw[007]", locator{dirs: sw, portGroup: "007", port: 7}},
		{"/tmp/sw[8388607]", locator{dirs: sw, portGroup: "8388607", port: wire.MaxPort}},
		{"/tmp/sw[4x]", locator{dirs: sw, portGroup: "4x"}},
		{"/tmp/sw[-1]", locator{dirs: sw, portGroup: "-1"}},
		{"/tmp/sw[portgroup=port]", locator{dirs: sw, portGroup: "port"}},
		{"/tmp/sw[...]", locator{dirs: sw, portGroup: "..."}},
		{"/tmp/sw[5/port]", locator{dirs: sw}},
		{"/tmp/sw[mode=]", locator{dirs: sw}},
		{"/tmp/sw[mode=0]", locator{dirs: sw}},
		{"/tmp/sw[m=9/mode=600]", locator{dirs: sw, mode: 0o600}},
		{"/tmp/sw[g=a=b]", locator{dirs: sw, group: "a=b"}},
		{"/tmp/sw[group='a/b']", locator{dirs: sw, group: "a/b"}},
		{`/tmp/sw\`, locator{dirs: sw}},
		{`/tmp/sw'[5]`, locator{dirs: dirs("/tmp/sw[5]")}},
		{`/tmp/sw["5]`, locator{dirs: sw, portGroup: "5]"}},
		{`/tmp/sw[a\]b]`, locator{dirs: sw, portGroup: "a]b"}},
		{`/tmp/"%41\'"'\'%%41\%41`, locator{dirs: dirs(`/tmp/%41\'\%A%41`)}},
	} {
		t.Run(test.vnl, func(t *testing.T) {
			got, err := testPlaces().parse(test.vnl)
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
		{"foo://bar", errors.ErrUnsupported, `"foo"`},
		{"/tmp/a://b", errors.ErrUnsupported, `"/tmp/a"`},
		{" vde://x", errors.ErrUnsupported, `" vde"`},
		{"VDE://x", errors.ErrUnsupported, `"VDE"`},
		{"://x", errors.ErrUnsupported, `""`},
		{"vxvde://239.0.0.1/port=5", errors.ErrUnsupported, "vde:// networks only"},
	} {
		t.Run(test.vnl, func(t *testing.T) {
			got, err := testPlaces().parse(test.vnl)
			if !errors.Is(err, test.want) || !reflect.DeepEqual(got, locator{}) {
				t.Fatalf("got %+v, %v; want %v", got, err, test.want)
			}
			if !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), strconv.Quote(test.vnl)) {
				t.Errorf("message %q, want the locator and %q in it", err, test.text)
			}
		})
	}
}

func TestLocatorSchemes(t *testing.T) {
	for _, scheme := range strings.Fields("switch hub multi bonding tap macvtap ptp cmd seqpacket null udp vxvde vxlan") {
		_, err := testPlaces().parse(scheme + "://x")
		if !errors.Is(err, errors.ErrUnsupported) || strings.Contains(err.Error(), "unknown") {
			t.Errorf("%s: %v", scheme, err)
		}
	}
}

func TestLocatorFile(t *testing.T) {
	sw := dirs("/tmp/sw")
	system := testPlaces().switches
	for _, test := range []struct {
		name    string
		content string
		want    locator
	}{
		{"locator", "vde:///tmp/sw[7]\n", locator{dirs: sw, portGroup: "7", port: 7}},
		{"bare path", "/tmp/sw\n", locator{dirs: sw}},
		{"no newline", "/tmp/sw", locator{dirs: sw}},
		{"carriage return", "/tmp/sw\r\n", locator{dirs: sw}},
		{"carriage return without newline", "/tmp/sw\r", locator{dirs: dirs("/tmp/sw\r")}},
		{"two carriage returns", "/tmp/sw\r\r\n", locator{dirs: dirs("/tmp/sw\r")}},
		{"first line only", "/tmp/sw\nx://y\n", locator{dirs: sw}},
		{"blank at the end", "/tmp/sw \n", locator{dirs: dirs("/tmp/sw ")}},
		{"empty first line", "\nx\n", locator{dirs: system}},
		{"empty first line with carriage return", "\r\nx\n", locator{dirs: system}},
		{"longest line", strings.Repeat("x", maxLocatorLine) + "\n", locator{dirs: dirs(strings.Repeat("x", maxLocatorLine))}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			writeFile(t, file, test.content)
			got, err := testPlaces().parse(file)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

// What names a file, but not one to be read.
func TestLocatorNotFile(t *testing.T) {
	dir := t.TempDir()
	file, other, empty, link := dir+"/file", dir+"/other", dir+"/empty", dir+"/link"
	writeFile(t, file, "vde:///tmp/sw\n")
	writeFile(t, other, file)
	writeFile(t, empty, "")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, vnl string
		want      locator
	}{
		{"link to a file", link, locator{dirs: dirs("/tmp/sw")}},
		{"file that names a file", other, locator{dirs: dirs(file)}},
		{"file with parameters", file + "[3]", locator{dirs: dirs(file), portGroup: "3", port: 3}},
		{"file behind a scheme", "vde://" + file, locator{dirs: dirs(file)}},
		{"empty file", empty, locator{dirs: dirs(empty)}},
		{"directory", dir, locator{dirs: dirs(dir)}},
		{"nothing", dir + "/none", locator{dirs: dirs(dir + "/none")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := testPlaces().parse(test.vnl)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %+v, %v\nwant %+v", got, err, test.want)
			}
		})
	}
}

func TestLocatorFileErrors(t *testing.T) {
	for _, test := range []struct {
		name, content string
		want          error
		text          string
	}{
		{"leading blank", " vde:///tmp/sw\n", errors.ErrUnsupported, `" vde"`},
		{"scheme", "tap://x\n", errors.ErrUnsupported, "tap"},
		{"parameter", "/tmp/sw[foo=1]\n", syscall.EINVAL, "foo"},
		{"long line", strings.Repeat("x", maxLocatorLine+1) + "\n", syscall.EINVAL, "4096 bytes"},
		{"long file", strings.Repeat("x", 1<<20), syscall.EINVAL, "4096 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			writeFile(t, file, test.content)
			_, err := testPlaces().parse(file)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v, want %v with %q and the file's name", err, test.want, test.text)
			}
		})
	}
}

func TestLocatorFileUnreadable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "/tmp/sw\n")
	if err := os.Chmod(file, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(file); err == nil {
		f.Close()
		t.Skip("this user can read files without permission to")
	}
	if _, err := testPlaces().parse(file); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("got %v, want %v", err, fs.ErrPermission)
	}
}

// The home directory's defaults, in the order in which they are looked for.
func TestLocatorHome(t *testing.T) {
	// A home whose name would mean something if it were parsed.
	home := filepath.Join(t.TempDir(), `it's [5]`)
	old, current := home+"/.vde2/default.switch", home+"/.vdeplug/default"
	for _, file := range []string{old, current} {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p := testPlaces()
	p.home = home
	check := func(what, vnl string, want locator) {
		t.Helper()
		got, err := p.parse(vnl)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", what, got, err, want)
		}
	}

	check("no defaults", "", locator{dirs: p.switches})

	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	check("directory", "", locator{dirs: dirs(old)})

	writeFile(t, current, "vde:///tmp/sw[7]\n")
	check("file, before the directory", "", locator{dirs: dirs("/tmp/sw"), portGroup: "7", port: 7})

	writeFile(t, current, "")
	check("empty file", "", locator{dirs: dirs(current)})

	writeFile(t, current, "\n")
	check("empty line", "", locator{dirs: p.switches})

	replaceWithLink(t, current, old)
	check("link to a directory", "", locator{dirs: dirs(current)})

	replaceWithLink(t, current, home+"/nonexistent")
	check("dangling link", "", locator{dirs: dirs(current)})
	if _, err := resolveDir(current); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("resolving the dangling link: %v", err)
	}

	check("empty path is not the empty string", "vde://", locator{dirs: p.switches})
	check("nor are parameters", "[5]", locator{dirs: p.switches, portGroup: "5", port: 5})
}

func TestSystemPlaces(t *testing.T) {
	t.Setenv("HOME", "/home/of/nobody")
	got := systemPlaces()
	if got.home != "/home/of/nobody" || !slices.Equal(got.switches, dirs("/var/run/vde.ctl", "/tmp/vde.ctl")) {
		t.Errorf("got %+v", got)
	}
	if l, err := parseLocator("vde://"); err != nil || !slices.Equal(l.dirs, got.switches) {
		t.Errorf("vde:// is %+v, %v", l, err)
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

// The quoting and the matching of names are those of the vxvde scheme too,
// whose elements are separated by slashes from the start.
func TestElements(t *testing.T) {
	names := strings.Fields("port vni grp ttl rcvbuf v6 v4 hashsize expiretime if bind")
	for _, test := range []struct {
		arg  string
		want []string // address, then name=value
	}{
		{"239.1.2.3/port=5/vni=3", []string{"239.1.2.3", "port=5", "vni=3"}},
		{"/v", []string{"", "vni="}},
		{"/v6", []string{"", "v6="}},
		{"/p=5", []string{"", "port=5"}},
		{"/i=lo", []string{"", "if=lo"}},
		{"'a/b'/port=7", []string{"a/b", "port=7"}},
		{"/port='1/2'", []string{"", "port=1/2"}},
	} {
		address, rest, more := cutUnquoted(test.arg, '/')
		got := []string{unquote(address)}
		for more {
			address, rest, more = cutUnquoted(rest, '/')
			key, value, _ := strings.Cut(unquote(address), "=")
			got = append(got, matchName(key, names)+"="+value)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.arg, got, test.want)
		}
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
		p := testPlaces()
		got, err := p.parse("vde://" + arg)
		want, ok := p.reference(arg)
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
			if !slices.Equal(got.dirs, p.switches) {
				vnl.WriteString(quote(got.dirs[0]))
			}
			fmt.Fprintf(&vnl, "[group=%s/mode=%o/portgroup=%s]", quote(got.group), got.mode, quote(got.portGroup))
			if again, err := p.parse(vnl.String()); err != nil || !reflect.DeepEqual(again, got) {
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
func (p places) reference(arg string) (l locator, ok bool) {
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
		return locator{}, false
	}
	l.dirs = dirs(text(base))
	if len(base) == 0 {
		l.dirs = p.switches
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
			return locator{}, false
		}
	}

	for _, c := range mode {
		if c < '0' || c > '7' {
			return locator{}, false
		}
		if l.mode = l.mode<<3 | fs.FileMode(c-'0'); l.mode > 0o777 {
			return locator{}, false
		}
	}
	switch {
	case l.portGroup == "." || l.portGroup == ".." || strings.Contains(l.portGroup, "/"):
		return locator{}, false
	case l.portGroup != "" && strings.IndexFunc(l.portGroup, func(r rune) bool { return r < '0' || r > '9' }) < 0:
		var n int
		for _, c := range l.portGroup {
			if n = n*10 + int(c-'0'); n > 1<<23-1 {
				return locator{}, false
			}
		}
		if l.port = wire.Port(n); n == 0 {
			l.port = -1
		}
	}
	return l, true
}

func writeFile(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func replaceWithLink(t *testing.T, name, target string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}
