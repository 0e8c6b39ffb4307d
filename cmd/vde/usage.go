// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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

// flagError returns err, of a flag that cannot be read, in words of the command line: package
// pflag repeats the value and names functions of package strconv.
func flagError(_ *cobra.Command, err error) error {
	var invalid *pflag.InvalidValueError
	if !errors.As(err, &invalid) {
		return err
	}
	return usageErrorf("--%s %q: %s", invalid.GetFlag().Name, invalid.GetValue(), wantedOf(invalid))
}

// wantedOf says what can be given for a flag, or what its own parser has said.
func wantedOf(e *pflag.InvalidValueError) string {
	flag := e.GetFlag()
	switch flag.Value.Type() {
	case "duration":
		return wantedTime
	case "bool":
		return "give true or false"
	case "int", "uint16", "uint64":
		switch {
		case errors.Is(e, strconv.ErrRange):
			return "the number is too large or too small"
		case flag.Value.Type() != "int":
			return "give a whole number that is not negative"
		}
		return wantedNumber
	}
	return errors.Unwrap(e).Error()
}

// What can be given for a number and a time.
const (
	wantedNumber = "give a whole number"
	wantedTime   = "give a time with its unit, such as 100s or 20ms"
)

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
