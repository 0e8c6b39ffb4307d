// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package sdk_test

import (
	"fmt"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// documents returns the names of the documents that say what is true now, which
// CHANGELOG.md does not do.
func documents(t *testing.T) []string {
	t.Helper()
	return slices.DeleteFunc(sources(t, ".md"), func(name string) bool { return path.Base(name) == "CHANGELOG.md" })
}

// nestedModules returns the directories of the modules below the root, and for
// each whether go.work has it.
func nestedModules(t *testing.T) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\t\./(\S+)$`).FindAllStringSubmatch(read(t, "go.work"), -1) {
		used[m[1]] = true
	}
	modules := map[string]bool{}
	for _, name := range sources(t, "go.mod") {
		if dir := path.Dir(name); dir != "." {
			modules[dir] = used[dir]
			delete(used, dir)
		}
	}
	for dir := range used {
		t.Errorf("go.work names %s, which has no go.mod", dir)
	}
	return modules
}

var (
	sentence = regexp.MustCompile(`[^.]*(?:\.[^\s][^.]*)*`)
	outside  = regexp.MustCompile("(?:not in|outside|not part of) `go\\.work`")
	quoted   = regexp.MustCompile("`([^`]+)`")
	ourPath  = regexp.MustCompile(`github\.com/go-vde/sdk(?:/[a-z][\w-]*)+`)
)

// checkModules returns what is wrong with the modules that a document names: a
// sentence that calls a module one outside go.work has to name it, and to be
// right.
func checkModules(text string, modules map[string]bool) (wrong []string) {
	text = strings.Join(strings.Fields(withoutFences(text)), " ")
	for _, s := range sentence.FindAllString(text, -1) {
		if !outside.MatchString(s) {
			continue
		}
		named := 0
		for _, m := range quoted.FindAllStringSubmatch(s, -1) {
			dir := strings.TrimSuffix(m[1], "/go.mod")
			if inWork, ok := modules[dir]; ok {
				named++
				if inWork {
					wrong = append(wrong, fmt.Sprintf("%s is in go.work", dir))
				}
			}
		}
		if named == 0 {
			wrong = append(wrong, fmt.Sprintf("names no module: %q", strings.TrimSpace(s)))
		}
	}
	return wrong
}

// TestDocsModules looks for modules that documents name, and for those that they
// say go.work lacks.
func TestDocsModules(t *testing.T) {
	modules := nestedModules(t)
	for _, doc := range documents(t) {
		text := read(t, doc)
		for _, w := range checkModules(text, modules) {
			t.Errorf("%s: %s", doc, w)
		}
		for _, name := range ourPath.FindAllString(text, -1) {
			dir := strings.TrimPrefix(name, module)
			if first, _, _ := strings.Cut(dir, "/"); first == "commits" || strings.HasSuffix(first, "_test") {
				continue // a page of the repository's host, or a package of tests
			}
			if _, err := os.Stat(dir); err != nil {
				t.Errorf("%s names %s: %v", doc, name, err)
			}
		}
	}
	lists := read(t, "docs/architecture.md")
	for dir := range modules {
		if !strings.Contains(lists, "`"+dir+"`") {
			t.Errorf("docs/architecture.md does not name the module %s", dir)
		}
	}
	// That the check finds what it is for.
	if w := checkModules("The module is not in `go.work`, so `make test` leaves it out.", modules); len(w) != 1 {
		t.Error(w)
	}
	if w := checkModules("`netstack` is outside `go.work`.", map[string]bool{"netstack": true}); len(w) != 1 {
		t.Error(w)
	}
}

var (
	use          = regexp.MustCompile(`Use: +"([a-z]+)[ "]`)
	flag         = regexp.MustCompile(`\.\w+Var(P)?\(&[\w.]+, "([a-z-]+)"(?:, "(\w)")?`)
	vdeCommand   = regexp.MustCompile(`(?:^|[\s|&(]|\./cmd/)vde ([a-z]+)((?:[ \t][^|;&\n]*)?)`)
	flagMention  = regexp.MustCompile(`(?:^|\s)(--[a-z-]+|-[a-zA-Z])\b`)
	goRun        = regexp.MustCompile(`go (?:run|install|test|build)(?: -\S+)* (\./\S*|\.)`)
	repositoryAt = regexp.MustCompile(`^([a-z.][\w.-]*)/[\w./-]*$`)
)

// vdeSubcommands reads the subcommands and flags of vde from its source.
func vdeSubcommands(t *testing.T) (names, flags map[string]bool) {
	t.Helper()
	names = map[string]bool{"help": true, "completion": true}
	flags = map[string]bool{"--help": true, "-h": true}
	for _, name := range sources(t, ".go") {
		if !strings.HasPrefix(name, "cmd/vde/") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		text := read(t, name)
		for _, m := range use.FindAllStringSubmatch(text, -1) {
			names[m[1]] = true
		}
		for _, m := range flag.FindAllStringSubmatch(text, -1) {
			flags["--"+m[2]] = true
			if m[1] == "P" {
				flags["-"+m[3]] = true
			}
		}
	}
	return names, flags
}

// code returns the inline code of a document and the lines of its fenced blocks,
// except those of Go programs and of output.
func code(text string) (snippets []string) {
	for _, m := range quoted.FindAllStringSubmatch(withoutFences(text), -1) {
		snippets = append(snippets, strings.Join(strings.Fields(m[1]), " "))
	}
	for _, block := range fence.FindAllString(text, -1) {
		if head, body, _ := strings.Cut(block, "\n"); strings.HasPrefix(head, "```sh") {
			snippets = append(snippets, strings.Split(body, "\n")...)
		}
	}
	return snippets
}

// TestDocsPrograms looks for the subcommands and flags of vde, the directories
// given to the go command, and the files that documents name.
func TestDocsPrograms(t *testing.T) {
	names, flags := vdeSubcommands(t)
	if len(names) < 8 || len(flags) < 20 {
		t.Fatalf("only %d subcommands and %d flags found", len(names), len(flags))
	}
	check := func(snippet string) (wrong []string) {
		for _, m := range vdeCommand.FindAllStringSubmatch(snippet, -1) {
			if !names[m[1]] {
				wrong = append(wrong, "there is no vde "+m[1])
			}
			for _, f := range flagMention.FindAllStringSubmatch(m[2], -1) {
				if !flags[f[1]] {
					wrong = append(wrong, "vde has no flag "+f[1])
				}
			}
		}
		return wrong
	}
	for _, doc := range documents(t) {
		for _, snippet := range code(read(t, doc)) {
			for _, w := range check(snippet) {
				t.Errorf("%s: %q: %s", doc, snippet, w)
			}
			// Commands are meant for the root, or for the directory of a module.
			for _, m := range goRun.FindAllStringSubmatch(snippet, -1) {
				if dir := strings.TrimSuffix(m[1], "..."); dir != "./" && dir != "." && !exists(dir) && !exists(path.Join("bench", dir)) {
					t.Errorf("%s: %q: there is no %s", doc, snippet, dir)
				}
			}
			if m := repositoryAt.FindStringSubmatch(snippet); m != nil && isDir(m[1]) && !exists(snippet) {
				t.Errorf("%s: there is no %s", doc, snippet)
			}
		}
	}
	for _, snippet := range []string{"vde dance", "vde switch --no-such /tmp/x", "go run ./cmd/vde dance", "sudo vde switch x | vde dance"} {
		if len(check(snippet)) != 1 {
			t.Errorf("%q: %q", snippet, check(snippet))
		}
	}
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// TestDocsCI checks that the targets which continuous integration calls exist,
// and that the variables given to them are ones that they use.
func TestDocsCI(t *testing.T) {
	workflow := read(t, ".github/workflows/ci.yml")
	var calls []string
	if m := regexp.MustCompile(`(?m)^ +target:\n((?: +- .*\n)+)`).FindStringSubmatch(workflow); m != nil {
		for _, item := range strings.Split(strings.TrimSpace(m[1]), "\n") {
			calls = append(calls, strings.TrimPrefix(strings.TrimSpace(item), "- "))
		}
	} else {
		t.Error(".github/workflows/ci.yml has no list of targets")
	}
	for _, m := range regexp.MustCompile(`(?m)^step make (.*)$`).FindAllStringSubmatch(read(t, ".ci/run"), -1) {
		calls = append(calls, m[1])
	}
	makefile := read(t, "Makefile")
	for _, call := range calls {
		if w := checkCall(makefile, call); w != "" {
			t.Error(w)
		}
	}
	if checkCall(makefile, "bench BENCHTIME=1x BENCHCOUNT=1") == "" || checkCall(makefile, "no-such") == "" {
		t.Error("a wrong call passes")
	}
}

// checkCall returns what is wrong with a call of make.
func checkCall(makefile, call string) string {
	words := strings.Fields(call)
	rule := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(words[0]) + `:.*\n((?:\t.*\n?)*)`).FindStringSubmatch(makefile)
	if rule == nil {
		return "make " + call + ": no such target"
	}
	for _, word := range words[1:] {
		if name, _, ok := strings.Cut(word, "="); ok && !strings.Contains(rule[1], "$("+name+")") {
			return "make " + call + ": the target does not use " + name
		}
	}
	return ""
}

// A figure is a number that documents state and that is set elsewhere. Each
// pattern has one group, the number; source is a file, or empty for all Go files
// but tests, where it is set once.
type figure struct {
	doc, stated    string
	source, setter string
}

var figures = []figure{
	{"docs/reliability.md", "`make fuzz` runs each target for (\\d+ seconds)", "Makefile", `FUZZTIME \?= (\w+)`},
	{"docs/reliability.md", "`\\.ci/run` for (\\d+ seconds)", ".ci/run", `make fuzz FUZZTIME=(\w+)`},
	{"docs/reliability.md", "the hosted workflow for (\\d+ seconds)", ".github/workflows/ci.yml", `fuzz FUZZTIME=(\w+)`},
	{"CONTRIBUTING.md", "`FUZZTIME=(\\w+)`", "Makefile", `FUZZTIME \?= (\w+)`},
	{"CONTRIBUTING.md", "`SOAKTIME=(\\w+)`", "Makefile", `SOAKTIME \?= (\w+)`},
	{"CONTRIBUTING.md", "`BENCH=pattern BENCHCOUNT=(\\d+)", "scripts/bench.sh", `BENCHCOUNT:-(\d+)`},
	{"CONTRIBUTING.md", "BENCHTIME=(\\w+)`", "scripts/bench.sh", `BENCHTIME:-(\w+)`},
	{"CONTRIBUTING.md", "docs/performance.md; (\\d+ minutes)", "Makefile", `into docs/performance.md, (\d+ minutes)`},
	{"docs/netstack.md", "`DHCPTimeout` \\((\\d+ seconds)\\)", "", `defaultDHCPTimeout += (.*)`},
	{"docs/netstack.md", "`IPv6Timeout` \\((\\d+ seconds)\\)", "", `defaultIPv6Timeout += (.*)`},
	{"docs/netstack.md", "`MaxRTO` \\| (\\d+ s) ", "", `defaultMaxRTO += (.*)`},
	{"docs/netstack.md", "`MTU` \\| (\\d+) ", "netstack/config.go", `\tDefaultMTU = (\d+)`},
	{"docs/netstack.md", "the limit is (\\d+)", "", `\tMaxMTU = (\d+)`},
	{"docs/netstack.md", "`Queue` \\| (\\d+) frames", "", `defaultQueue = (\d+)`},
	{"docs/netstack.md", "needs Go ([\\d.]+), as gVisor", "netstack/go.mod", `\ngo (.*)`},
	{"docs/reliability.md", "`HostConfig.MaxRTO`, (\\d+ seconds)", "", `defaultMaxRTO += (.*)`},
	{"docs/protocol.md", "or (\\d+ seconds) without a deadline", "", `joinTimeout = (.*)`},
	{"SECURITY.md", "after (\\d+ seconds) if that has no deadline", "", `joinTimeout = (.*)`},
	{"docs/recipes.md", "longest frame is (\\d+) bytes", "", `\tDefaultMaxSize += (\d+)`},
	{"docs/libvdeplug.md", "`WithMaxFrameSize`, default (\\d+)", "", `\tDefaultMaxSize += (\d+)`},
	{"docs/libvdeplug.md", "; (\\d+ seconds) without a deadline", "", `joinTimeout = (.*)`},
}

// TestDocsFigures compares numbers in documents with the files that set them.
func TestDocsFigures(t *testing.T) {
	var all strings.Builder
	for _, name := range sources(t, ".go") {
		if !strings.HasSuffix(name, "_test.go") {
			all.WriteString(read(t, name))
		}
	}
	for _, f := range figures {
		text := all.String()
		if f.source != "" {
			text = read(t, f.source)
		}
		if w := f.check(strings.Join(strings.Fields(read(t, f.doc)), " "), text); w != "" {
			t.Error(w)
		}
	}
	f := figure{"a", "for (\\d+ seconds)", "b", `TIME=(\w+)`}
	for _, wrong := range [][2]string{{"for 10 seconds", "TIME=6s"}, {"for ever", "TIME=6s"}, {"for 6 seconds and for 7 seconds", "TIME=6s"}, {"for 6 seconds", ""}} {
		if f.check(wrong[0], wrong[1]) == "" {
			t.Errorf("%q agrees with %q", wrong[0], wrong[1])
		}
	}
	if w := f.check("for 60 seconds", "TIME=1m"); w != "" {
		t.Error(w)
	}
}

// check returns how the number in a document differs from the one that is set.
func (f figure) check(doc, source string) string {
	set := regexp.MustCompile(f.setter).FindAllStringSubmatch(source, -1)
	if len(set) != 1 {
		return fmt.Sprintf("%s: %q is set in %d places", f.source, f.setter, len(set))
	}
	stated := regexp.MustCompile(f.stated).FindAllStringSubmatch(doc, -1)
	if len(stated) == 0 {
		return fmt.Sprintf("%s does not state %q", f.doc, f.stated)
	}
	for _, m := range stated {
		if normal(m[1]) != normal(set[0][1]) {
			return fmt.Sprintf("%s says %s, but %s sets %s", f.doc, m[1], f.source, set[0][1])
		}
	}
	return ""
}

// normal returns a duration in one form, however it is written, and any other
// text as it is.
func normal(text string) string {
	text = strings.ReplaceAll(text, " ", "")
	short := strings.NewReplacer("seconds", "s", "minutes", "m", "*time.Second", "s", "*time.Minute", "m").Replace(text)
	if d, err := time.ParseDuration(short); err == nil {
		return d.String()
	}
	return text
}
