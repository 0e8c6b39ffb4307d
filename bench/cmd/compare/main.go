// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Command compare prints a table of two files of benchmark results, BASE and HEAD,
// with a verdict for each benchmark. It exits with status 1 if HEAD is worse
// anywhere.
//
//	go run ./cmd/compare base.txt head.txt
//
// A benchmark is worse if its median is worse by more than 3 % (-limit) beyond its
// spread, which is half the distance between the quartiles of its results, the
// larger one of the two files, and if a Mann-Whitney U test tells the two samples
// apart. The test needs four results of each. To make the files, run
// scripts/compare.sh.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
)

// peers are the units in which benchmarks report what programs of others did
// beside ours. They show how much the machine itself changed between the runs.
const peers = `^(c|vde_switch|fdbased|fdbased-fifo|unix)-`

func main() {
	limit := flag.Float64("limit", 3, "how much worse, in per cent beyond the spread, a median may be")
	ignore := flag.String("peers", peers, "units that match this regular `expression` get no verdict")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: compare [flags] BASE HEAD")
		flag.PrintDefaults()
	}
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	worse, err := run(flag.Arg(0), flag.Arg(1), *ignore, *limit, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(2)
	}
	if worse > 0 {
		os.Exit(1)
	}
}

func run(base, head, ignore string, limit float64, out io.Writer) (worse int, err error) {
	peer, err := regexp.Compile(ignore)
	if err != nil {
		return 0, err
	}
	a, errA := readFile(base)
	b, errB := readFile(head)
	if err := errors.Join(errA, errB); err != nil {
		return 0, err
	}
	c := compare(a, b, peer, limit)
	w := bufio.NewWriter(out)
	c.print(w, limit)
	return c.worse(), w.Flush()
}

func readFile(name string) (samples, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return read(f, name)
}
