// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// The exit status of a command.
const (
	statusFailure = 1
	statusUsage   = 2 // the command line is wrong
)

// A usageError is about the command line, and not about what came of it.
type usageError struct{ error }

// Unwrap returns the error.
func (e usageError) Unwrap() error { return e.error }

// usageErrorf returns a usageError.
func usageErrorf(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// watchStart has *started set when a command of root has found its arguments and
// flags well formed, and starts. An error before is about the command line.
func watchStart(root *cobra.Command, started *bool) {
	if run := root.RunE; run != nil {
		root.RunE = func(cmd *cobra.Command, args []string) error {
			*started = true
			return run(cmd, args)
		}
	}
	for _, c := range root.Commands() {
		watchStart(c, started)
	}
}

// complain prints the error err of the command cmd, which may have started, and
// returns the exit status.
func complain(w io.Writer, cmd *cobra.Command, err error, started bool) int {
	fmt.Fprintln(w, "vde:", printableLines(err.Error()))
	var usage usageError
	if started && !errors.As(err, &usage) {
		return statusFailure
	}
	fmt.Fprintln(w, "\nUsage:")
	if cmd.Runnable() {
		fmt.Fprintln(w, " ", cmd.UseLine())
	}
	if cmd.HasAvailableSubCommands() {
		fmt.Fprintln(w, " ", cmd.CommandPath(), "[command]")
	}
	fmt.Fprintf(w, "\nTo see all that can be given, run %s --help.\n", cmd.CommandPath())
	return statusUsage
}
