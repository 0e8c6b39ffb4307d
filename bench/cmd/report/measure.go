// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
)

// A suite is a benchmark function.
type suite struct {
	name   string
	longer int // times the usual time: percentiles need many samples
}

var suites = []suite{{"Direct", 1}, {"Switch", 1}, {"Streams", 1}, {"RTT", 3}, {"Ports", 1}, {"Connections", 1}, {"TCP", 1}, {"TCPLatency", 3}, {"Tap", 1}, {"UDP", 1}}

func (s suite) file() string { return strings.ToLower(s.name) + ".txt" }

func chosen(names []string) (some []suite, err error) {
	for _, name := range names {
		i := slices.IndexFunc(suites, func(s suite) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no benchmark %q", name)
		}
		some = append(some, suites[i])
	}
	return some, nil
}

// errNoResults says that there is nothing to make a report of.
var errNoResults = errors.New("no results")

// A session is one run of this program.
type session struct {
	options
	suites  []suite
	dir     string // of programs built for it
	start   time.Time
	bar     *progressbar.ProgressBar
	round   int
	skipped []string // what could not be run, with the reason
	failed  []string // benchmarks
}

const histogramFile = "histograms.txt"

// measure runs the benchmarks and leaves their results in files. It returns an
// error that names those that failed, after all others have run.
func measure(ctx context.Context, o options, names []suite, progress io.Writer) (err error) {
	before := loadAverage()
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return errors.Join(errNoResults, err)
	}
	defer os.RemoveAll(dir)
	s := &session{options: o, suites: names, dir: dir, start: time.Now()}
	s.bar = progressbar.NewOptions64(o.budget.Milliseconds(),
		progressbar.OptionSetWriter(progress),
		progressbar.OptionSetDescription("building"),
		progressbar.OptionSetElapsedTime(true),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(progress) }),
	)
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", s.binary(), ".")
	build.Stderr = progress
	if err := build.Run(); err != nil {
		return fmt.Errorf("%w: build the benchmarks: %w", errNoResults, err)
	}
	if err := s.empty(); err != nil {
		return errors.Join(errNoResults, err)
	}
	var longest time.Duration
	for s.round = 1; s.round <= o.least || time.Since(s.start)+longest < o.budget; s.round++ {
		begin := time.Now()
		for _, suite := range names {
			if err := s.run(ctx, suite); err != nil {
				return err
			}
		}
		longest = max(longest, time.Since(begin))
	}
	s.round--
	if err := s.describeStacks(); err != nil {
		return err
	}
	if o.only == "" { // profiles are of all benchmarks
		if err := s.profile(ctx); err != nil {
			return err
		}
	}
	_ = s.bar.Finish()
	if err := s.describe(before); err != nil {
		return err
	}
	if len(s.failed) > 0 {
		return fmt.Errorf("these failed: %s", strings.Join(s.failed, ", "))
	}
	return nil
}

func (s *session) binary() string { return filepath.Join(s.dir, "bench.test") }

// empty removes the results that are going to be replaced. Histograms of other
// benchmarks stay.
func (s *session) empty() error {
	if err := os.MkdirAll(s.results, 0o777); err != nil {
		return err
	}
	for _, suite := range s.suites {
		head := fmt.Sprintf("# go test -run '^$' -bench '^Benchmark%s$' -benchtime %v; all rounds, one after the other\n", suite.name, s.time(suite))
		if err := os.WriteFile(filepath.Join(s.results, suite.file()), []byte(head), 0o666); err != nil {
			return err
		}
	}
	name := filepath.Join(s.results, histogramFile)
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var kept strings.Builder
	for line := range strings.Lines(string(text)) {
		first, _, _ := strings.Cut(line, "/")
		if !slices.ContainsFunc(s.suites, func(s suite) bool { return s.name == first }) {
			kept.WriteString(line)
		}
	}
	return os.WriteFile(name, []byte(kept.String()), 0o666)
}

func (s *session) time(of suite) time.Duration { return time.Duration(of.longer) * s.benchtime }

// run runs a suite once. It returns an error only if the session cannot go on.
func (s *session) run(ctx context.Context, of suite) error {
	file, err := os.OpenFile(filepath.Join(s.results, of.file()), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer file.Close()
	histograms, err := filepath.Abs(filepath.Join(s.results, histogramFile))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, s.binary(),
		"-test.run=^$", "-test.v", "-test.bench=^Benchmark"+of.name+"$", "-test.benchtime="+s.time(of).String(), "-test.timeout=5m",
		fmt.Sprintf("-reversed=%v", s.round%2 == 0), "-programs="+s.dir, "-histograms="+histograms)
	// What it has started ends with it: those programs watch their standard input.
	cmd.WaitDelay = 5 * time.Second
	output, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	failed := len(s.failed)
	var problems strings.Builder
	cmd.Stderr = &problems
	if err := cmd.Start(); err != nil {
		return err
	}
	fmt.Fprintf(file, "# round %d\n", s.round)
	writeErr := s.follow(output, file)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && len(s.failed) == failed {
		s.failed = append(s.failed, fmt.Sprintf("Benchmark%s (%v) %s", of.name, err, firstLine(problems.String())))
	}
	return writeErr
}

// firstLine is where a Go program that crashes says why; what follows are its
// goroutines.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

func lastLines(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// follow copies results to the file, keeps what was skipped and what failed, and
// moves the bar on.
func (s *session) follow(output io.Reader, file io.Writer) (err error) {
	in := bufio.NewScanner(output)
	in.Buffer(nil, 1<<20)
	var remark string
	for in.Scan() {
		line := in.Text()
		switch name, rest, isResult := strings.Cut(line, "\t"); {
		case strings.HasPrefix(line, "Benchmark") && isResult && strings.TrimSpace(rest) != "":
			if _, e := fmt.Fprintln(file, line); e != nil {
				err = e
			}
		case strings.HasPrefix(line, "Benchmark"):
			s.bar.Describe(fmt.Sprintf("round %d, %s", s.round, strings.TrimPrefix(name, "Benchmark")))
		case strings.HasPrefix(line, "--- SKIP: "):
			s.skipped = addNew(s.skipped, strings.TrimPrefix(line, "--- SKIP: Benchmark")+": "+remark)
		case strings.HasPrefix(line, "--- FAIL: "):
			s.failed = addNew(s.failed, strings.TrimPrefix(line, "--- FAIL: ")+": "+remark)
		case isConfiguration(line) && s.round == 1:
			if _, e := fmt.Fprintln(file, line); e != nil {
				err = e
			}
		case strings.HasPrefix(line, "    "):
			_, text, _ := strings.Cut(strings.TrimSpace(line), ": ")
			remark = text
		}
		_ = s.bar.Set64(min(time.Since(s.start), s.budget-1).Milliseconds())
	}
	return errors.Join(err, in.Err())
}

// isConfiguration reports whether a line says where benchmarks run: "goos: linux".
func isConfiguration(line string) bool {
	key, _, ok := strings.Cut(line, ": ")
	return ok && slices.Contains([]string{"goos", "goarch", "pkg", "cpu"}, key)
}

func addNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
