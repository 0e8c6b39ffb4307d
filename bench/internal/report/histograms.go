// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Histograms holds the times of each benchmark, in nanoseconds, of all rounds
// together.
type Histograms map[string]*hdrhistogram.Histogram

// ReadHistograms reads lines of a benchmark's name and an encoded histogram.
// Those of the same name are added up.
func ReadHistograms(r io.Reader) (Histograms, error) {
	hs := Histograms{}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 16<<20)
	for n := 1; in.Scan(); n++ {
		name, code, ok := strings.Cut(in.Text(), " ")
		if !ok {
			return nil, fmt.Errorf("line %d is not a name and a histogram", n)
		}
		h, err := hdrhistogram.Decode([]byte(code))
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if all, ok := hs[name]; ok {
			all.Merge(h)
		} else {
			hs[name] = h
		}
	}
	return hs, in.Err()
}
