// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build !unix

package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/links/vdestream"
)

func hasTerminal() bool { return false }

// streams closes the standard streams.
type streams struct{}

// Close closes the standard streams.
func (streams) Close() error {
	_ = os.Stdin.Close()
	return os.Stdout.Close()
}

func standardStreams(int) (vdestream.Pipes, error) {
	return vdestream.Pipes{In: os.Stdin, Out: os.Stdout, Closer: streams{}}, nil
}

// daemonOptions are the flags of vde_plug about processes, of which there are none
// here.
type daemonOptions struct {
	daemon  bool
	pidFile string
}

func (*daemonOptions) register(*cobra.Command) {}

func (*daemonOptions) start(bool) (bool, error) { return false, nil }

func (*daemonOptions) ready() (ended func(), err error) { return func() {}, nil }
