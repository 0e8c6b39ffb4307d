// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sdk_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/go-vde/sdk/"

// A floor says what of ours the product code of a package may import; tests may
// import what they like. "dir/..." stands for dir and everything below it.
type floor struct {
	pkg string
	may []string
}

// The floors, from the ground up; docs/architecture.md gives the reasons. The
// first row that matches counts.
var floors = []floor{
	{"frame", nil},
	{"pool", nil},
	{"ringbuf", nil},
	{"vnl", nil},
	{"internal/wire", nil},
	{"internal/account", nil},
	{"internal/deadline", nil},
	{"internal/jsonconf", nil},
	{"internal/sockfile", nil},
	{"internal/framequeue", []string{"frame", "internal/deadline"}},
	{"internal/gso", []string{"frame"}},
	{"internal/delayline", []string{"frame", "pool"}},
	{"link", []string{"frame", "pool", "vnl", "internal/deadline", "internal/framequeue", "internal/gso", "internal/jsonconf"}},
	{"link/linktest", []string{"frame", "pool", "link", "internal/..."}},
	{"internal/transport", []string{"frame", "link", "internal/gso"}},
	{"internal/sockio", []string{"frame", "link", "internal/gso", "internal/transport", "internal/deadline"}},
	{"internal/shm", []string{"frame", "link", "internal/gso", "internal/transport", "internal/deadline"}},
	{"internal/vdestream", []string{"frame", "link", "internal/jsonconf"}},
	{"links/exec", []string{"vnl", "link", "internal/vdestream"}},
	{"links/vdestream", []string{"link", "internal/vdestream"}},
	{"links/vdeplug", []string{"frame", "vnl", "link", "internal/..."}},
	{"internal/tapio", []string{"frame", "vnl", "link", "internal/gso", "internal/deadline"}},
	{"links/tap", []string{"vnl", "link", "internal/..."}},
	{"links/macvtap", []string{"vnl", "link", "internal/..."}},
	{"internal/unixsock", []string{"frame", "link", "internal/account", "internal/sockfile", "internal/sockio", "internal/transport"}},
	{"links/null", []string{"frame", "vnl", "link", "internal/..."}},
	{"links/ptp", []string{"frame", "vnl", "link", "internal/..."}},
	{"links/qemu", []string{"frame", "vnl", "link", "internal/..."}},
	{"links/seqpacket", []string{"frame", "vnl", "link", "internal/..."}},
	{"internal/udpio", []string{"frame", "vnl", "link", "internal/account", "internal/deadline", "internal/gso"}},
	{"links/udp", []string{"frame", "vnl", "link", "internal/..."}},
	{"links/vxlan", []string{"frame", "vnl", "link", "internal/..."}},
	{"links/vxvde", []string{"frame", "vnl", "link", "internal/..."}},
	{"vde", []string{"frame", "pool", "vnl", "link", "links/...", "internal/deadline", "internal/gso", "internal/wire"}},
	{"impair", []string{"frame", "pool", "link", "vde", "internal/deadline", "internal/delayline", "internal/gso", "internal/jsonconf"}},
	{"vswitch/internal/...", []string{"frame", "internal/..."}},
	{"vswitch/node", []string{"frame", "vnl", "link", "vswitch", "internal/jsonconf"}},
	{"vswitch/console", []string{"frame", "vswitch", "internal/..."}},
	{"vswitch", []string{"frame", "pool", "ringbuf", "link", "vde", "impair", "vswitch/internal/...", "internal/..."}},
	{"testutil", []string{"frame", "pool", "ringbuf", "link", "vde", "vswitch", "internal/openfiles"}},
	{"internal/recordtb", nil},
	{"internal/openfiles", nil},
	{"internal/testframe", nil},
	{"internal/testpeers", []string{"frame", "link", "testutil"}},
	{"internal/testaccounts", []string{"vswitch"}},
	{"internal/conntest", []string{"frame", "vde", "testutil"}},
	{"internal/switchtest", []string{"frame", "pool", "vde", "testutil", "internal/testframe", "internal/testpeers"}},
	{"examples/...", []string{"frame", "pool", "ringbuf", "vnl", "link", "vde", "vswitch", "netstack"}},
	{"capture/...", []string{"frame", "vde"}},
	{"api/...", []string{"api/...", "frame", "impair", "vde", "vswitch"}},
	{"metrics/...", []string{"pool", "vde", "vswitch", "impair"}},
	{"netstack/...", []string{"netstack/...", "frame", "pool", "link", "vde"}},
	{"wgtun", []string{"frame", "vde", "netstack"}},
	{"bench/...", []string{"bench/...", "frame", "pool", "ringbuf", "vde", "vswitch", "netstack/...", "testutil"}},
	{"cmd/...", []string{"cmd/...", "frame", "pool", "ringbuf", "vnl", "link", "links/...", "impair", "vde", "vswitch", "vswitch/node", "netstack/...", "capture/...", "api/...", "metrics", "vswitch/console"}},
	{"internal/soak/...", []string{"frame", "pool", "vde", "vswitch", "impair", "netstack/...", "testutil", "internal/testframe", "internal/testpeers"}},
	{"internal/libtest", nil},
	{"internal/webtest", nil},
	{"internal/tools/...", []string{"internal/tools/..."}},
}

// forTests lists the internal packages that serve tests. A row has to name them:
// "internal/..." does not stand for them.
var forTests = []string{"internal/openfiles", "internal/recordtb", "internal/testaccounts", "internal/testframe", "internal/testpeers", "internal/conntest", "internal/switchtest", "internal/libtest", "internal/webtest", "internal/soak/...", "internal/tools/..."}

// ownDependencies lists the nested modules, which may depend on what they like.
// Everything else is the SDK, and what it needs its users have to carry.
var ownDependencies = []string{"api/...", "capture/...", "metrics/...", "netstack/...", "wgtun", "bench/...", "cmd/...", "internal/libtest", "internal/webtest", "internal/soak/...", "internal/tools/..."}

func matches(pattern, pkg string) bool {
	if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
		return pkg == dir || strings.HasPrefix(pkg, dir+"/")
	}
	return pkg == pattern
}

func TestImports(t *testing.T) {
	fset := token.NewFileSet()
	for _, file := range sources(t, ".go") {
		f, err := parser.ParseFile(fset, file, nil, parser.ImportsOnly)
		if err != nil {
			t.Error(err)
			continue
		}
		pkg := path.Dir(file)
		test := strings.HasSuffix(file, "_test.go")
		anything := func(pattern string) bool { return matches(pattern, pkg) }
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			ours, isOurs := strings.CutPrefix(imported, module)
			switch {
			case imported == "C":
				t.Errorf("%s uses cgo", file)
			case isOurs && !test:
				checkFloor(t, file, pkg, ours)
			case isOurs || slices.ContainsFunc(ownDependencies, anything):
			case !sdkMayImport(imported, test || pkg == "testutil"):
				t.Errorf("%s imports %s: the SDK depends on no more than golang.org/x/sys and golang.org/x/sync, tests also on goleak", file, imported)
			}
		}
	}
}

func checkFloor(t *testing.T, file, pkg, imported string) {
	t.Helper()
	i := slices.IndexFunc(floors, func(f floor) bool { return matches(f.pkg, pkg) })
	if i < 0 {
		t.Errorf("%s: package %s has no row in the table of imports_test.go", file, pkg)
		return
	}
	isForTests := slices.ContainsFunc(forTests, func(pattern string) bool { return matches(pattern, imported) })
	if !slices.ContainsFunc(floors[i].may, func(pattern string) bool {
		return matches(pattern, imported) && !(isForTests && pattern == "internal/...")
	}) {
		t.Errorf("%s imports %s, which package %s may not", file, imported, pkg)
	}
}

// sdkMayImport reports whether the SDK may depend on a package of others.
func sdkMayImport(imported string, test bool) bool {
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	return strings.HasPrefix(imported, "golang.org/x/sys/") ||
		strings.HasPrefix(imported, "golang.org/x/sync/") ||
		test && imported == "go.uber.org/goleak"
}

// sources returns the names of all files in the repository with one of the
// endings, with slashes, leaving out what tools make and keep.
func sources(t *testing.T, endings ...string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch base := d.Name(); {
			case name == ".", base == ".ci", base == ".github":
			case strings.HasPrefix(base, "."), base == "testdata", base == "scratch":
				return fs.SkipDir
			}
			return nil
		}
		for _, e := range endings {
			if strings.HasSuffix(d.Name(), e) {
				names = append(names, filepath.ToSlash(name))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Fatalf("no files with endings %q", endings)
	}
	return names
}

// read returns the text of a file.
func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
