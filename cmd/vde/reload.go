// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
)

func newReload() *cobra.Command {
	var asJSON jsonOption
	o := newControlOption()
	cmd := &cobra.Command{
		Use:   "reload [NET]",
		Short: "Have a running switch read its configuration file again",
		Long: `Has a running switch read its
configuration file again, as SIGHUP does, and prints the settings that have changed. If
the file is wrong, or what has changed needs a new start, nothing is changed.`,
		Example: `  vde reload /run/lab.ctl`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.dial(cmd.Context(), args)
			if err != nil {
				return err
			}
			defer c.Close()
			return message(reload(cmd.Context(), c, cmd.OutOrStdout(), asJSON.json))
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.register(cmd)
	asJSON.registerJSON(cmd)
	return cmd
}

// A reloadResult is what vde reload --json prints.
type reloadResult struct {
	Changed []string `json:"changed"` // keys
}

func reload(ctx context.Context, c *api.Client, out io.Writer, asJSON bool) error {
	answer, err := c.Reload(ctx, &pb.ReloadRequest{})
	if err != nil {
		return err
	}
	changes := answer.GetChanges()
	if asJSON {
		return printJSON(out, reloadResult{append([]string{}, changes...)})
	}
	if len(changes) == 0 {
		_, err = fmt.Fprintln(out, "Nothing has changed.")
	}
	for _, key := range changes {
		_, err = fmt.Fprintln(out, "changed", printable(key))
	}
	return err
}
