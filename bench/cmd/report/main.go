// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Command report measures the SDK next to its alternatives and writes the results
// into docs/performance.md. Run it in the directory of module bench:
//
//	go run ./cmd/report
//
// It builds the benchmarks and the peers, runs all benchmarks in rounds, every
// other round in reverse order, and writes results/*.txt, which benchstat reads,
// the tables and ratios in docs/performance.md, and the pictures in
// docs/performance. Its results are meaningful on an idle machine only; the
// document holds the load average before and after.
//
// With -render it measures nothing and writes the document and the pictures from
// the results that are stored.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"
)

type options struct {
	quick     bool
	budget    time.Duration
	benchtime time.Duration
	least     int
	only      string
	render    bool
	results   string
	document  string
	plots     string
}

func main() {
	var o options
	flag.BoolVar(&o.quick, "quick", false, "take under 3 minutes instead of 15: fewer and shorter rounds")
	flag.DurationVar(&o.budget, "budget", 0, "start no round that would end after this `time` (default 14m, quick 2m15s)")
	flag.DurationVar(&o.benchtime, "benchtime", 0, "how long each benchmark runs in each round (default 200ms, quick 20ms)")
	flag.IntVar(&o.least, "rounds", 0, "make at least `n` rounds, whatever they take (default 3, quick 1)")
	flag.StringVar(&o.only, "only", "", "run only these benchmarks, such as Direct,RTT, and keep the results of the others")
	flag.BoolVar(&o.render, "render", false, "measure nothing: write the document and the pictures from the stored results")
	flag.StringVar(&o.results, "results", "results", "`directory` of the raw results")
	flag.StringVar(&o.document, "document", "../docs/performance.md", "`file` to write the tables into")
	flag.StringVar(&o.plots, "plots", "../docs/performance", "`directory` of the pictures")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	o.defaults()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func (o *options) defaults() {
	budget, benchtime, least := 14*time.Minute, 200*time.Millisecond, 3
	if o.quick {
		budget, benchtime, least = 135*time.Second, 20*time.Millisecond, 1
	}
	if o.budget == 0 {
		o.budget = budget
	}
	if o.benchtime == 0 {
		o.benchtime = benchtime
	}
	if o.least == 0 {
		o.least = least
	}
}

func run(ctx context.Context, o options, out, progress io.Writer) error {
	if err := inModule(); err != nil {
		return err
	}
	var failed error
	if !o.render {
		names := suites
		if o.only != "" {
			var err error
			if names, err = chosen(strings.Split(o.only, ",")); err != nil {
				return err
			}
		}
		if failed = measure(ctx, o, names, progress); errors.Is(failed, errNoResults) || ctx.Err() != nil {
			return failed
		}
	}
	if err := render(o); err != nil {
		return errors.Join(failed, err)
	}
	for _, written := range []string{o.results, o.document, o.plots} {
		if path, err := filepath.Abs(written); err == nil {
			fmt.Fprintln(out, "written:", path)
		}
	}
	return failed
}

// inModule checks that the current directory is that of module bench.
func inModule() error {
	text, err := os.ReadFile("go.mod")
	if err != nil || !strings.HasPrefix(string(text), "module github.com/go-vde/sdk/bench\n") {
		return errors.New("run this in the directory of module github.com/go-vde/sdk/bench")
	}
	return nil
}
