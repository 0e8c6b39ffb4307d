// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Command vde puts programs and people on Virtual Distributed Ethernet networks:
// a switch in the foreground, cables between networks, TCP/IP hosts that download,
// serve and ping, a doctor for networks that cannot be joined, captures, and a demonstration of what the SDK does.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() { os.Exit(runMain()) }

// runMain runs the command that the arguments of the program name and returns the exit
// status.
func runMain() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, stopHangups := withHangups(ctx)
	defer stopHangups()
	return runCommand(ctx, newRoot(), os.Args, os.Stderr)
}

// runCommand runs the command of root that args, the program's name first, stand for. What
// is wrong goes to messages.
func runCommand(ctx context.Context, root *cobra.Command, args []string, messages io.Writer) int {
	root.SetArgs(commandLine(args))
	started := false
	watchStart(root, &started)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		return complain(messages, cmd, err, started)
	}
	return 0
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
	root.SetFlagErrorFunc(flagError)
	root.AddCommand(newCapture(), newDemo(), newDisconnect(), newDoctor(), newEvents(), newFDB(), newGet(), newMan(), newMirror(),
		newPing(), newPlug(), newPorts(), newReload(), newServe(), newSet(), newStats(), newSwitch(), newCompat(), newTop(), newVersion())
	return root
}
