// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import "github.com/spf13/cobra"

// A netOption is the flag by which each command that joins a network takes its name.
type netOption struct {
	vnl string
}

func (o *netOption) registerNet(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.vnl, "net", "", "the network to join: a control directory or a locator such as vde:///run/vde.ctl[3] (default: the default network of this machine)")
}

// orArg returns the network that --net names, or that the argument does in its place,
// for commands that have no other argument.
func (o *netOption) orArg(args []string) (string, error) {
	switch {
	case len(args) == 0:
		return o.vnl, nil
	case o.vnl != "":
		return "", usageErrorf("the network is given twice, as --net %q and as %q", o.vnl, args[0])
	}
	return args[0], nil
}
