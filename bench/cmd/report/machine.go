// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/go-vde/sdk/bench/internal/gvisor"
)

// machineFile says what the last run of all benchmarks was measured on, and how.
const machineFile = "machine.md"

// laterFile is the same of a later run of some of them.
func laterFile(only string) string {
	return "later-" + strings.ToLower(strings.ReplaceAll(only, ",", "-")) + ".md"
}

// laterFiles returns the paths of all such files.
func laterFiles(dir string) ([]string, error) {
	return filepath.Glob(filepath.Join(dir, laterFile("*")))
}

// settingsFile holds the settings of the TCP stacks.
const settingsFile = "settings.md"

// describeStacks writes down the settings of the TCP stacks that were measured.
func (s *session) describeStacks() error {
	if !slices.ContainsFunc(s.suites, func(s suite) bool { return s.name == "TCP" }) {
		return nil
	}
	text, err := gvisor.Describe()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(s.results, settingsFile), []byte(text), 0o666)
}

// describe writes down what was measured on, and how. A run of some benchmarks is
// described beside those before, a run of all in place of them.
func (s *session) describe(loadBefore string) error {
	file, benchmarks := machineFile, "all benchmarks"
	var rows [][2]string
	if s.only != "" {
		file, benchmarks = laterFile(s.only), strings.ReplaceAll(s.only, ",", ", ")
		rows = append(rows, [2]string{"measured later", benchmarks})
	} else {
		outdated, err := laterFiles(s.results)
		if err != nil {
			return err
		}
		for _, name := range outdated {
			if err := os.Remove(name); err != nil {
				return err
			}
		}
	}
	rows = append(rows, s.conditions(benchmarks, loadBefore)...)
	var b strings.Builder
	b.WriteString("| | |\n|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s |\n", r[0], r[1])
	}
	for i, line := range s.skipped {
		if i == 0 {
			b.WriteString("\nNot measured here:\n\n")
		}
		fmt.Fprintf(&b, "- `%s`\n", line)
	}
	for i, line := range s.failed {
		if i == 0 {
			b.WriteString("\nFailed here:\n\n")
		}
		fmt.Fprintf(&b, "- `%s`\n", line)
	}
	return os.WriteFile(filepath.Join(s.results, file), []byte(b.String()), 0o666)
}

// conditions are what was measured on, and how.
func (s *session) conditions(benchmarks, loadBefore string) [][2]string {
	command := "go run ./cmd/report " + strings.Join(os.Args[1:], " ")
	return [][2]string{
		{"machine", fmt.Sprintf("%s, %d processors, %s", field("/proc/cpuinfo", "model name"), runtime.NumCPU(), memory())},
		{"kernel", output("uname", "-srm")},
		{"system", strings.Trim(field("/etc/os-release", "PRETTY_NAME"), `"`)},
		{"Go", output("go", "env", "GOVERSION") + ", GOMAXPROCS " + fmt.Sprint(runtime.GOMAXPROCS(0))},
		{"this repository", revision()},
		{"`vde_switch`", version("vde-switch", "vde_switch")},
		{"libvdeplug, `vde_plug`", version("libvdeplug2", "vde_plug")},
		{"gcc", first(output("gcc", "--version"))},
		{"gVisor", module("gvisor.dev/gvisor")},
		{"gvisor-tap-vsock", module("github.com/containers/gvisor-tap-vsock")},
		{"command", "`" + strings.TrimSpace(command) + "`, in directory `bench`"},
		{"repetitions", fmt.Sprintf("%d rounds of %s, %v each (round trips %v), every other round in reverse order", s.round, benchmarks, s.benchtime, 3*s.benchtime)},
		{"duration", fmt.Sprintf("%v, ended %s", time.Since(s.start).Round(time.Second), time.Now().UTC().Format("2006-01-02 15:04 MST"))},
		{"load average", fmt.Sprintf("%s before, %s at the end, of which the benchmarks are a part", loadBefore, loadAverage())},
	}
}

func output(name string, args ...string) string {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return "not here"
	}
	return strings.TrimSpace(string(out))
}

func first(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// field returns the first value of a name in a file of lines such as "name: value"
// or "name=value".
func field(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if i := strings.IndexAny(line, ":="); i > 0 && strings.TrimSpace(line[:i]) == name {
			return strings.TrimSpace(line[i+1:])
		}
	}
	return "unknown"
}

func memory() string {
	var kib int
	if _, err := fmt.Sscanf(field("/proc/meminfo", "MemTotal"), "%d kB", &kib); err != nil {
		return "memory unknown"
	}
	return fmt.Sprintf("%.1f GiB of memory", float64(kib)/(1<<20))
}

func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// version returns the version of a Debian package, or of a program elsewhere.
func version(pkg, program string) string {
	if v := output("dpkg-query", "-W", "-f", "${Package} ${Version}", pkg); v != "not here" {
		return v
	}
	return first(output(program, "--version"))
}

func module(path string) string {
	return output("go", "list", "-m", "-f", "{{.Version}}", path)
}

// revision names the commit that was measured, and says if the files differ.
func revision() string {
	commit := output("git", "rev-parse", "--short=12", "HEAD")
	if changes := output("git", "status", "--porcelain", "--untracked-files=no", "--", "..", ":!../docs/performance.md", ":!../docs/performance", ":!results"); changes != "" {
		commit += ", with changes"
	}
	return commit
}
