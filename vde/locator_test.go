// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package vde

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/go-vde/sdk/vnl"
)

func TestLocatorFile(t *testing.T) {
	for _, test := range []struct {
		name    string
		content string
		want    string
	}{
		{"locator", "vde:///tmp/sw[7]\n", "vde:///tmp/sw[7]"},
		{"bare path", "/tmp/sw\n", "vde:///tmp/sw"},
		{"no newline", "/tmp/sw", "vde:///tmp/sw"},
		{"carriage return", "/tmp/sw\r\n", "vde:///tmp/sw"},
		{"carriage return without newline", "/tmp/sw\r", "vde://" + "/tmp/sw\r"},
		{"two carriage returns", "/tmp/sw\r\r\n", "vde://" + "/tmp/sw\r"},
		{"first line only", "/tmp/sw\nx://y\n", "vde:///tmp/sw"},
		{"blank at the end", "/tmp/sw \n", "vde://" + "/tmp/sw "},
		{"empty first line", "\nx\n", "vde://"},
		{"empty first line with carriage return", "\r\nx\n", "vde://"},
		{"longest line", strings.Repeat("x", maxLocatorLine) + "\n", "vde://" + strings.Repeat("x", maxLocatorLine)},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "file")
			writeFile(t, file, test.content)
			got, _, err := places{}.find(file)
			if err != nil || !(got.String() == test.want) {
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
		want      string
	}{
		{"link to a file", link, "vde://" + "/tmp/sw"},
		{"file that names a file", other, "vde://" + file},
		{"file with parameters", file + "[3]", "vde://" + file + "[3]"},
		{"file behind a scheme", "vde://" + file, "vde://" + file},
		{"empty file", empty, "vde://" + empty},
		{"directory", dir, "vde://" + dir},
		{"nothing", dir + "/none", "vde://" + dir + "/none"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := places{}.find(test.vnl)
			if err != nil || !(got.String() == test.want) {
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
			_, err := Locate(file)
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
	if _, err := Locate(file); !errors.Is(err, fs.ErrPermission) {
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
	p := places{home: home}
	check := func(what, vnl string, want string) {
		t.Helper()
		got, _, err := p.find(vnl)
		if err != nil || !(got.String() == want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", what, got, err, want)
		}
	}

	check("no defaults", "", "vde://")

	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	check("directory", "", "vde://"+vnl.Quote(old))

	writeFile(t, current, "vde:///tmp/sw[7]\n")
	check("file, before the directory", "", "vde:///tmp/sw[7]")

	writeFile(t, current, "")
	check("empty file", "", "vde://"+vnl.Quote(current))

	writeFile(t, current, "\n")
	check("empty line", "", "vde://")

	replaceWithLink(t, current, old)
	check("link to a directory", "", "vde://"+vnl.Quote(current))

	replaceWithLink(t, current, home+"/nonexistent")
	check("dangling link", "", "vde://"+vnl.Quote(current))

	check("empty path is not the empty string", "vde://", "vde://")
	check("nor are parameters", "[5]", "vde://[5]")
}

func TestLocateSystem(t *testing.T) {
	t.Setenv("HOME", "/home/of/nobody")
	want := []string{"/var/run/vde.ctl", "/tmp/vde.ctl"}
	if dirs, err := Locate("vde://"); err != nil || !slices.Equal(dirs, want) {
		t.Errorf("vde:// is %v, %v", dirs, err)
	}
	if dirs, err := Locate(""); err != nil || !slices.Equal(dirs, want) {
		t.Errorf("the empty locator is %v, %v", dirs, err)
	}
}

// TestSchemes checks that an unknown scheme is an error that says the scheme, and the locator
// once.
func TestSchemes(t *testing.T) {
	for _, text := range []string{"foo://bar", "/tmp/a://b", " vde://x", "VDE://x", "://x", "vxv://239.0.0.1/port=5"} {
		_, err := Open(t.Context(), text)
		scheme, _, _ := strings.Cut(text, "://")
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), strconv.Quote(scheme)) || strings.Count(err.Error(), text) != 1 {
			t.Errorf("%q: %v", text, err)
		}
	}
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
