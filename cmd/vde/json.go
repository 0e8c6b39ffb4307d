// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"encoding/json"
	"io"

	"github.com/spf13/cobra"
)

// A jsonOption is the flag of commands whose results a program may read.
type jsonOption struct {
	json bool
}

func (o *jsonOption) registerJSON(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "print a JSON object")
}

// text returns where what is for a person goes: to out, or nowhere.
func (o *jsonOption) text(out io.Writer) io.Writer {
	if o.json {
		return io.Discard
	}
	return out
}

// printJSON writes v as a JSON object.
func printJSON(out io.Writer, v any) error {
	enc := json.NewEncoder(out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
