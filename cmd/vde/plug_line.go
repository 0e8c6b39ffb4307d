// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/impair"
)

// commandLine returns the arguments of a process as those of newRoot: a process
// called vde_plug is vde plug, and what follows an equals sign there is no flag. One
// called vde_switch is vde switch --compat.
func commandLine(argv []string) []string {
	args := slices.Clone(argv[1:])
	switch {
	case filepath.Base(argv[0]) == "vde_plug":
		args = append([]string{"plug"}, args...)
	case filepath.Base(argv[0]) == compatName:
		return compatLine(args)
	case len(args) > 1 && args[0] == "switch" && args[1] == "--compat":
		return compatLine(args[2:])
	}
	if len(args) == 0 || args[0] != "plug" {
		return args
	}
	if i := slices.Index(args, "="); i >= 0 && !slices.Contains(args[:i], "--") {
		args = slices.Insert(args, i, "--")
	}
	return args
}

// impairOptions are the flags that make a line a bad one, each with a value for each
// direction.
type impairOptions struct {
	delay, jitter, loss, duplicate, reorder, rate, queue string
	seed                                                 uint64
}

func (o *impairOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.delay, "delay", "", "`time` that a frame is under way")
	f.StringVar(&o.jitter, "jitter", "", "largest deviation from the delay, as `time`")
	f.StringVar(&o.loss, "loss", "", "`probability` that a frame is lost, 0 to 1")
	f.StringVar(&o.duplicate, "duplicate", "", "`probability` that a frame comes twice")
	f.StringVar(&o.reorder, "reorder", "", "`probability` that a frame skips the delay")
	f.StringVar(&o.rate, "rate", "", "`bits` per second, also as 10k, 10M or 1G")
	f.StringVar(&o.queue, "impair-queue", "", "`frames` that may be under way")
	f.Uint64Var(&o.seed, "seed", 0, "of the random numbers: with the same one, the same frames meet the same fate")
}

// An impairFlag is the name and the value of a flag, what reads it, and what can be given.
type impairFlag struct {
	name, value string
	set         func(i *impair.Impairment, value string) error
	wants       string
}

func (o *impairOptions) flags() []impairFlag {
	const probability = "give a probability, from 0 to 1"
	return []impairFlag{
		{"delay", o.delay, durationOf(func(i *impair.Impairment) *time.Duration { return &i.Delay }), wantedTime},
		{"jitter", o.jitter, durationOf(func(i *impair.Impairment) *time.Duration { return &i.Jitter }), wantedTime},
		{"loss", o.loss, probabilityOf(func(i *impair.Impairment) *float64 { return &i.Loss }), probability},
		{"duplicate", o.duplicate, probabilityOf(func(i *impair.Impairment) *float64 { return &i.Duplicate }), probability},
		{"reorder", o.reorder, probabilityOf(func(i *impair.Impairment) *float64 { return &i.Reorder }), probability},
		{"rate", o.rate, func(i *impair.Impairment, value string) (err error) {
			i.Rate, err = config.ParseRate(value)
			return err
		}, "give a number of bits per second, such as 64k, 10M or 1G"},
		{"impair-queue", o.queue, func(i *impair.Impairment, value string) (err error) {
			i.Queue, err = strconv.Atoi(value)
			return err
		}, "give a number of frames"},
	}
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

// check returns an error if text, for one direction, is not what f takes.
func (f *impairFlag) check(text string) error {
	var alone impair.Config
	err := f.set(&alone.Out, text)
	if err == nil {
		err = alone.Validate()
	}
	if err != nil {
		return usageErrorf("--%s %q: %s", f.name, f.value, f.wants)
	}
	return nil
}

// config returns the line that the flags describe, or nil for a good one.
func (o *impairOptions) config() (*impair.Config, error) {
	cfg := impair.Config{Seed: o.seed}
	given := false
	for _, f := range o.flags() {
		if f.value == "" {
			continue
		}
		given = true
		out, in, both := strings.Cut(f.value, ",")
		if !both {
			in = out
		}
		for _, text := range []string{out, in} {
			if err := f.check(text); err != nil {
				return nil, err
			}
		}
		if err := errors.Join(f.set(&cfg.Out, out), f.set(&cfg.In, in)); err != nil {
			return nil, err
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
