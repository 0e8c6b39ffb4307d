// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Testsum reads what go test -json prints, from one run or several in a row, and
// shows it to a person: a line per package as go test prints it, the whole
// output of what failed, and at the end what was skipped and why, and the
// totals. Lines that are not JSON pass through.
//
// Its exit status is 1 if anything failed or if no test ran.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

func main() {
	s := newSummary(os.Stdout)
	if err := s.read(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	if !s.close() {
		os.Exit(1)
	}
}

// An event is a line of go test -json; see go doc test2json and go help
// buildjson.
type event struct {
	Action      string
	Package     string
	ImportPath  string // of build events
	Test        string
	Output      string
	FailedBuild string
}

// A key names a test, or with an empty name what a package prints outside its
// tests.
type key struct{ pkg, test string }

type summary struct {
	w     io.Writer
	start time.Time

	output map[key][]string    // of what still runs
	order  map[string][]key    // per package, in order of first output
	failed map[string][]string // tests, per package that still runs
	build  map[string][]string // compiler output per import path

	packages, failedPackages int
	passed, failedTests      int
	skipped                  map[string][]string // tests by reason
}

func newSummary(w io.Writer) *summary {
	return &summary{
		w:       w,
		start:   time.Now(),
		output:  map[key][]string{},
		order:   map[string][]key{},
		failed:  map[string][]string{},
		build:   map[string][]string{},
		skipped: map[string][]string{},
	}
}

// read takes events until r ends.
func (s *summary) read(r io.Reader) error {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if line[0] != '{' || json.Unmarshal(line, &e) != nil {
				fmt.Fprintf(s.w, "%s\n", strings.TrimSuffix(string(line), "\n"))
			} else {
				s.event(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *summary) event(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		s.build[e.ImportPath] = append(s.build[e.ImportPath], e.Output)
	case "output":
		if e.Test == "" && isPackageLine(e.Output) {
			fmt.Fprint(s.w, e.Output)
			return
		}
		if _, ok := s.output[k]; !ok {
			s.order[e.Package] = append(s.order[e.Package], k)
		}
		s.output[k] = append(s.output[k], e.Output)
	case "pass", "skip", "fail":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e)
		}
	}
}

// isPackageLine reports whether line is the one by which go test sums up a
// package.
func isPackageLine(line string) bool {
	for _, p := range []string{"ok  \t", "FAIL\t", "?   \t"} {
		if strings.HasPrefix(line, p) {
			return true
		}
	}
	return false
}

func (s *summary) endTest(e event) {
	k := key{e.Package, e.Test}
	switch e.Action {
	case "pass":
		s.passed++
		s.output[k] = nil
	case "skip":
		reason := skipReason(s.output[k])
		s.skipped[reason] = append(s.skipped[reason], e.Test)
		s.output[k] = nil
	case "fail":
		s.failedTests++
		s.failed[e.Package] = append(s.failed[e.Package], e.Test)
	}
}

func (s *summary) endPackage(e event) {
	s.packages++
	if e.Action == "fail" {
		s.failedPackages++
		fmt.Fprintf(s.w, "--- output of %s\n", e.Package)
		for _, line := range s.build[e.FailedBuild] {
			fmt.Fprint(s.w, line)
		}
		// What passed has given up its output; what was running when the
		// process ended has not, and may be the reason.
		for _, k := range s.order[e.Package] {
			for _, line := range s.output[k] {
				if !strings.HasPrefix(line, "=== ") {
					fmt.Fprint(s.w, line)
				}
			}
		}
		for _, t := range s.failed[e.Package] {
			fmt.Fprintf(s.w, "--- failed: %s %s\n", e.Package, t)
		}
	}
	for _, k := range s.order[e.Package] {
		delete(s.output, k)
	}
	delete(s.order, e.Package)
	delete(s.failed, e.Package)
}

// skipReason finds what a test said when it skipped: the last line it logged,
// without the file it stands in.
func skipReason(output []string) string {
	for _, line := range slices.Backward(output) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "---") || strings.HasPrefix(line, "===") {
			continue
		}
		if _, reason, ok := strings.Cut(line, ".go:"); ok {
			if _, reason, ok = strings.Cut(reason, ": "); ok {
				return reason
			}
		}
		return line
	}
	return "no reason given"
}

// close prints the end of the report and says whether all is well.
func (s *summary) close() bool {
	skips := 0
	reasons := make([]string, 0, len(s.skipped))
	for r, tests := range s.skipped {
		reasons = append(reasons, r)
		skips += len(tests)
	}
	slices.Sort(reasons)
	if skips > 0 {
		fmt.Fprintf(s.w, "\nskipped:\n")
	}
	for _, r := range reasons {
		tests := s.skipped[r]
		const show = 5
		more := ""
		if len(tests) > show {
			more = fmt.Sprintf(" and %d more", len(tests)-show)
		}
		fmt.Fprintf(s.w, "  %s\n      %s%s\n", r, strings.Join(tests[:min(show, len(tests))], ", "), more)
	}
	if s.passed+s.failedTests == 0 {
		fmt.Fprintln(s.w, "\nno test ran")
	}
	fmt.Fprintf(s.w, "\n%d packages, %d failed, %s\n", s.packages, s.failedPackages, time.Since(s.start).Round(time.Second))
	fmt.Fprintf(s.w, "%d passed, %d failed, %d skipped\n", s.passed, s.failedTests, skips)
	return s.failedPackages == 0 && s.failedTests == 0 && s.passed > 0
}
