// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// switchOptions are the flags of vde switch.
type switchOptions struct {
	config        vswitch.Config
	mode, dirMode string
	policy        string
	sharedMemory  string
	logLevel      string
}

func newSwitch() *cobra.Command {
	var o switchOptions
	cmd := &cobra.Command{
		Use:   "switch DIR",
		Short: "Run a switch in the foreground that serves the control directory DIR",
		Long: `Runs a switch that every VDE program can join by the name DIR, until it
is interrupted or terminated; then it hangs up on all clients and removes what
it created.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runSwitch(cmd.Context(), cmd.ErrOrStderr(), args[0], o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	f := cmd.Flags()
	f.IntVarP(&o.config.NumPorts, "ports", "n", vswitch.DefaultNumPorts, "highest port number")
	f.BoolVarP(&o.config.Hub, "hub", "x", false, "be a hub: every frame to every port")
	f.StringVarP(&o.mode, "mode", "m", "", "permissions of the sockets, octal (default 0600)")
	f.StringVar(&o.dirMode, "dirmode", "", "permissions of DIR, octal (default 02700, or what --mode lets in)")
	f.StringVarP(&o.config.Group, "group", "g", "", "group of DIR and the sockets")
	f.IntVar(&o.config.MaxFrameSize, "max-frame", frame.DefaultMaxSize, "longest frame in bytes, header included")
	f.DurationVar(&o.config.AgeingTime, "ageing-time", vswitch.DefaultAgeingTime, "how long an FDB entry is kept after its last frame")
	f.StringVar(&o.policy, "policy", vswitch.Backpressure.String(), "at a full queue: backpressure, tail-drop or head-drop")
	f.DurationVar(&o.config.DefaultPort.Wait, "wait", vswitch.DefaultWait, "longest delay at a full queue under the policy backpressure")
	f.StringVar(&o.sharedMemory, "shared-memory", vde.SharedMemorySameUser.String(), "whose frames may go through shared memory: same-user, always or never")
	f.BoolVar(&o.config.NoPolling, "no-polling", false, "sleep at once where an answer is expected through shared memory: less processor time, later answers")
	f.StringVar(&o.logLevel, "log", "info", "what to log: debug, info, warn or error")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("policy", cobra.FixedCompletions([]string{"backpressure", "tail-drop", "head-drop"}, cobra.ShellCompDirectiveNoFileComp)))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("shared-memory", cobra.FixedCompletions([]string{"same-user", "always", "never"}, cobra.ShellCompDirectiveNoFileComp)))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("log", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

// maxPorts is the highest port number that a client can ask for.
const maxPorts = 1<<23 - 1

// parse checks the flags, of which 0 means the default, and fills in the configuration,
// whose log goes to log.
func (o *switchOptions) parse(log io.Writer) error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.logLevel)); err != nil {
		return usageErrorf("--log %q: give debug, info, warn or error", o.logLevel)
	}
	o.config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: level}))
	const minFrame = frame.HeaderLen + frame.TagLen
	switch c := &o.config; {
	case c.NumPorts < 0 || c.NumPorts > maxPorts:
		return usageErrorf("--ports %d: give 1 to %d", c.NumPorts, maxPorts)
	case c.MaxFrameSize != 0 && c.MaxFrameSize < minFrame || c.MaxFrameSize > vswitch.MaxFrameSizeLimit:
		return usageErrorf("--max-frame %d: give %d to %d bytes", c.MaxFrameSize, minFrame, vswitch.MaxFrameSizeLimit)
	case c.DefaultPort.Wait < 0 && c.DefaultPort.Wait != vswitch.Forever:
		return usageErrorf("--wait %v: give a positive time", c.DefaultPort.Wait)
	}
	if err := o.config.DefaultPort.Policy.UnmarshalText([]byte(o.policy)); err != nil {
		return usageErrorf("--policy: %w", err)
	}
	if err := o.config.SharedMemory.UnmarshalText([]byte(o.sharedMemory)); err != nil {
		return usageErrorf("--shared-memory: %w", err)
	}
	var err error
	if o.config.Mode, err = parseMode("--mode", o.mode, 0o777); err != nil {
		return err
	}
	o.config.DirMode, err = parseMode("--dirmode", o.dirMode, 0o3777)
	return err
}

func runSwitch(ctx context.Context, log io.Writer, dir string, o switchOptions) error {
	if err := o.parse(log); err != nil {
		return err
	}
	sw := vswitch.New(o.config)
	listener, err := sw.Listen(dir)
	if err != nil {
		return errors.Join(err, sw.Close())
	}
	o.config.Logger.Info("serving", "dir", listener.Dir())
	err = listener.Serve(ctx)
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Cause(ctx))) {
		err = nil // told to stop
	}
	return errors.Join(err, sw.Close())
}

// parseMode reads an octal number; the empty string is 0, for the default.
func parseMode(flag, s string, most uint64) (fs.FileMode, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 8, 32)
	if err != nil || n > most {
		return 0, usageErrorf("%s %q: give an octal number up to %#o", flag, s, most)
	}
	mode := fs.FileMode(n & 0o777)
	if n&0o2000 != 0 {
		mode |= fs.ModeSetgid
	}
	if n&0o1000 != 0 {
		mode |= fs.ModeSticky
	}
	return mode, nil
}
