// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/impair"
)

// commandLine returns the arguments of a process as those of newRoot: a process
// called vde_plug is vde plug, and what follows an equals sign there is no flag.
func commandLine(argv []string) []string {
	args := slices.Clone(argv[1:])
	if filepath.Base(argv[0]) == "vde_plug" {
		args = append([]string{"plug"}, args...)
	}
	if len(args) == 0 || args[0] != "plug" {
		return args
	}
	if i := slices.Index(args, "="); i >= 0 && !slices.Contains(args[:i], "--") {
		args = slices.Insert(args, i, "--")
	}
	return args
}

// impairOptions are the flags that make a line a bad one.
type impairOptions struct {
	values map[string]*string
	seed   uint64
}

// impairments are the flags with a value for each direction.
var impairments = []struct {
	name, usage string
	set         func(i *impair.Impairment, value string) error
}{
	{"delay", "`time` that a frame is under way", durationOf(func(i *impair.Impairment) *time.Duration { return &i.Delay })},
	{"jitter", "largest deviation from the delay, as `time`", durationOf(func(i *impair.Impairment) *time.Duration { return &i.Jitter })},
	{"loss", "`probability` that a frame is lost, 0 to 1", probabilityOf(func(i *impair.Impairment) *float64 { return &i.Loss })},
	{"duplicate", "`probability` that a frame comes twice", probabilityOf(func(i *impair.Impairment) *float64 { return &i.Duplicate })},
	{"reorder", "`probability` that a frame skips the delay", probabilityOf(func(i *impair.Impairment) *float64 { return &i.Reorder })},
	{"rate", "`bits` per second, also as 10k, 10M or 1G", func(i *impair.Impairment, value string) (err error) {
		i.Rate, err = parseRate(value)
		return err
	}},
	{"impair-queue", "`frames` that may be under way", func(i *impair.Impairment, value string) (err error) {
		i.Queue, err = strconv.Atoi(value)
		return err
	}},
}

func durationOf(field func(*impair.Impairment) *time.Duration) func(*impair.Impairment, string) error {
	return func(i *impair.Impairment, value string) (err error) {
		*field(i), err = time.ParseDuration(value)
		return err
	}
}

func probabilityOf(field func(*impair.Impairment) *float64) func(*impair.Impairment, string) error {
	return func(i *impair.Impairment, value string) (err error) {
		*field(i), err = strconv.ParseFloat(value, 64)
		return err
	}
}

// parseRate reads a number with one of the suffixes k, M and G, for thousands.
func parseRate(text string) (int64, error) {
	factor := 1.0
	if n := len(text) - 1; n >= 0 {
		if i := strings.IndexByte("kMG", text[n]); i >= 0 {
			factor = [...]float64{1e3, 1e6, 1e9}[i]
			text = text[:n]
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && !(f*factor >= -1e15 && f*factor <= 1e15) {
		err = strconv.ErrRange
	}
	return int64(f * factor), err
}

func (o *impairOptions) register(cmd *cobra.Command) {
	o.values = map[string]*string{}
	for _, i := range impairments {
		o.values[i.name] = cmd.Flags().String(i.name, "", i.usage)
	}
	cmd.Flags().Uint64Var(&o.seed, "seed", 0, "of the random numbers: with the same one, the same frames meet the same fate")
}

// config returns the line that the flags describe, or nil for a good one.
func (o *impairOptions) config() (*impair.Config, error) {
	cfg := impair.Config{Seed: o.seed}
	given := false
	for _, i := range impairments {
		text := *o.values[i.name]
		if text == "" {
			continue
		}
		given = true
		out, in, both := strings.Cut(text, ",")
		if !both {
			in = out
		}
		err := i.set(&cfg.Out, out)
		if err == nil {
			err = i.set(&cfg.In, in)
		}
		if err != nil {
			return nil, usageErrorf("--%s %q: %w", i.name, text, err)
		}
	}
	if !given {
		return nil, nil
	}
	if err := cfg.Validate(); err != nil {
		return nil, usageError{err}
	}
	return &cfg, nil
}
