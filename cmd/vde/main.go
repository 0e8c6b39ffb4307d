// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Command vde puts programs and people on Virtual Distributed Ethernet networks:
// a switch in the foreground, TCP/IP hosts that download, serve and ping, a doctor
// for networks that cannot be joined, captures, and a demonstration of what the SDK does.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), endSignals()...)
	defer stop()
	if err := newRoot().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "vde:", err)
		os.Exit(1)
	}
}

// endSignals returns the signals that tell a command to end. SIGHUP, which is sent
// when the terminal is closed, is one of them unless it is ignored, as under nohup.
func endSignals() []os.Signal {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		signals = append(signals, syscall.SIGHUP)
	}
	return signals
}

// newRoot returns the command with all its subcommands. Cobra adds help and
// completion.
func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "vde",
		Short:         "Virtual Distributed Ethernet: switch, hosts, demonstration",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newCapture(), newDemo(), newDoctor(), newGet(), newPing(), newServe(), newSwitch(), newVersion())
	return root
}
