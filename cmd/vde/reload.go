// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"connectrpc.com/connect/v2"
	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
)

func newReload() *cobra.Command {
	var o jsonOption
	cmd := &cobra.Command{
		Use:   "reload NET",
		Short: "Have a running switch read its configuration file again",
		Long: `Has the switch at NET, its control directory or the place of its API, read its
configuration file again, as SIGHUP does, and prints the settings that have changed. If
the file is wrong, or what has changed needs a new start, nothing is changed.`,
		Example: `  vde reload /run/lab.ctl`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runReload(cmd.Context(), cmd.OutOrStdout(), args[0], o.json)
		},
	}
	o.registerJSON(cmd)
	return cmd
}

// A reloadResult is what vde reload --json prints.
type reloadResult struct {
	Changed []string `json:"changed"` // keys
}

func runReload(ctx context.Context, out io.Writer, target string, asJSON bool) error {
	client, err := api.Dial(ctx, target)
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := client.Reload(ctx, &pb.ReloadRequest{})
	if err != nil {
		var failure *connect.Error
		if errors.As(err, &failure) {
			return errors.New(failure.Message())
		}
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
