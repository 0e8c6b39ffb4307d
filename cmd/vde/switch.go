// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

// switchOptions are the flags of vde switch.
type switchOptions struct {
	config        vswitch.Config
	mode, dirMode string
	policy        string
	sharedMemory  string
	logLevel      string

	jsonOption
	api     apiOptions
	console consoleOptions
	compat  bool

	links, ports, mirrors []string
	requireLinks          bool
	metrics               string

	file    string                 // the configuration file, if there is one
	changed func(flag string) bool // whether a flag was given
	logFlag slog.Level             // of --log
	level   slog.LevelVar          // of what is logged
}

func newSwitch() *cobra.Command {
	cmd, _ := newSwitchCommand()
	return cmd
}

// newSwitchCommand returns the command with its flags.
func newSwitchCommand() (*cobra.Command, *switchOptions) {
	o := new(switchOptions)
	cmd := &cobra.Command{
		Use:   "switch [DIR]",
		Short: "Run a switch in the foreground that serves the control directory DIR",
		Long: `Runs a switch that every VDE program can join by the name DIR, until it
is interrupted or terminated; then it hangs up on all clients and removes what
it created.

With --link the switch is joined to other networks, such as that of another switch. An
uplink that ends, or cannot be opened yet, is opened again and again. The ports of uplinks
send probes once per second; a port at which one comes back is part of a loop and is
blocked until the loop is gone. What passes an uplink is logged at the end, and with --json
the counters of all ports are printed.

With --config the settings are taken from a file, with what flags say on top of it, and
DIR may be given there. SIGHUP has the file read again: if all of it is right, the
difference is applied to the running switch, and who is attached stays attached.
docs/configuration.md describes the file.

With --mgmt it has the management console of vde_switch, for unixterm, vdeterm and scripts.
As vde switch --compat, or when it is called vde_switch, the program takes the arguments of
vde_switch; see vde switch --compat --help.`,
		Example: `  vde switch /run/lab.ctl
  vde switch /run/lab.ctl --link /run/vde.ctl --link 3=hub:///run/hub.ctl
  vde switch /run/lab.ctl --link 3=/run/vde.ctl --port 3:vlan=none,tagged=20+30 --port 4:vlan=20
  vde switch --config lab.yaml --metrics 9100`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.compat {
				return usageErrorf("--compat: give it before all others")
			}
			o.changed = cmd.Flags().Changed
			return runSwitch(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args, o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.register(cmd)
	return cmd, o
}

// register adds the flags to cmd.
func (o *switchOptions) register(cmd *cobra.Command) {
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
	f.BoolVar(&o.config.NoStreams, "no-streams", false, "send one frame in a message to programs that do not share memory")
	f.StringArrayVar(&o.links, "link", nil, "join the network `[PORT=]LOCATOR` by a port, the lowest free one if none is given; may be repeated")
	f.BoolVar(&o.requireLinks, "require-links", false, "fail if an uplink cannot be opened at the start")
	f.StringArrayVar(&o.ports, "port", nil, "settings of a port, `PORT:KEY=VALUE,...`: vlan=N or none, tagged=N+N or all, policy, queue, wait, mac-limit, storm-limit, isolated, reserved, round-robin, loops=auto, on or off, delay, jitter, loss, duplicate, reorder, rate and impair-queue, also with in- or out- before them, seed; may be repeated")
	f.StringArrayVar(&o.mirrors, "mirror", nil, "copy the frames of port SRC to port DST, `SRC:DST`; may be repeated")
	f.StringVar(&o.metrics, "metrics", "", "serve counters for Prometheus at `[HOST:]PORT`, on the loopback interface if no host is given")
	f.StringVarP(&o.file, "config", "c", "", "take settings from `FILE`, and again at SIGHUP")
	f.StringVar(&o.logLevel, "log", "info", "what to log: debug, info, warn or error")
	o.registerJSON(cmd)
	o.api.register(f)
	o.console.register(f)
	f.BoolVar(&o.compat, "compat", false, "take the arguments of vde_switch, which follow")
	cobra.CheckErr(cmd.MarkFlagFilename("config", "yaml", "yml"))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("policy", cobra.FixedCompletions([]string{"backpressure", "tail-drop", "head-drop"}, cobra.ShellCompDirectiveNoFileComp)))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("shared-memory", cobra.FixedCompletions([]string{"same-user", "always", "never"}, cobra.ShellCompDirectiveNoFileComp)))
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("log", cobra.FixedCompletions([]string{"debug", "info", "warn", "error"}, cobra.ShellCompDirectiveNoFileComp)))
}

// maxPorts is the highest port number that a client can ask for.
const maxPorts = 1<<23 - 1

// parse checks the flags, of which 0 means the default, and fills in the configuration,
// whose log goes to log.
func (o *switchOptions) parse(log io.Writer) error {
	if err := o.logFlag.UnmarshalText([]byte(o.logLevel)); err != nil {
		return usageErrorf("--log %q: give debug, info, warn or error", o.logLevel)
	}
	o.config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: &o.level}))
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
	if o.metrics != "" {
		if _, err := config.ListenAddress(o.metrics); err != nil {
			return usageErrorf("--metrics %w", err)
		}
	}
	var err error
	if o.config.Mode, err = parseMode("--mode", o.mode, 0o777); err != nil {
		return err
	}
	if o.config.DirMode, err = parseMode("--dirmode", o.dirMode, 0o3777); err != nil {
		return err
	}
	return errors.Join(o.api.parse(), o.console.parse())
}

// A switchResult is what vde switch --json prints.
type switchResult struct {
	Dir    string        `json:"dir"`
	Switch vswitch.Stats `json:"switch"`
}

func runSwitch(ctx context.Context, out, log io.Writer, args []string, o *switchOptions) error {
	var hangups <-chan struct{}
	if o.file != "" {
		hangups = takeHangups(ctx)
	}
	sockets, err := activated(apiSocket, metricsSocket)
	if err != nil {
		return err
	}
	defer closeListeners(sockets)
	if err := o.parse(log); err != nil {
		return err
	}
	settings, err := o.settings(args)
	if err != nil {
		return err
	}
	if err := o.api.use(settings); err != nil {
		return err
	}
	o.console.use(settings)
	o.console.prepare(&settings.Config)
	sw := vswitch.New(settings.Config)
	listener, err := sw.Listen(settings.Dir)
	if err != nil {
		return errors.Join(err, sw.Close())
	}
	failing, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	live := newLiveSwitch(sw, settings, func() (*config.File, error) { return o.settings(args) }, &o.level)
	if err := errors.Join(live.start(failing, fail), live.serveMetrics(failing, sockets[metricsSocket])); err != nil {
		return errors.Join(err, live.end(), listener.Close(), sw.Close())
	}
	serving, end, err := o.serveControl(failing, live, listener.Dir(), sockets[apiSocket], log, fail)
	if err != nil {
		return errors.Join(err, live.end(), listener.Close(), sw.Close())
	}
	defer end()
	o.config.Logger.Info("serving", "dir", listener.Dir())
	live.run(failing, hangups)
	err = listener.Serve(serving)
	if ctx.Err() != nil && (err == nil || errors.Is(err, context.Cause(ctx))) || errors.Is(err, errShutdown) {
		err = nil // told to stop
	}
	fail(nil)
	err = errors.Join(err, live.end(), sw.Close())
	live.logUplinks()
	if o.json {
		err = errors.Join(err, printJSON(out, switchResult{listener.Dir(), sw.Stats()}))
	}
	return err
}

// serveControl serves the console and the API of the switch, whose control directory is dir,
// as the settings say. It returns the context to serve the switch in, and what ends both.
func (o *switchOptions) serveControl(ctx context.Context, live *liveSwitch, dir string, sockets []net.Listener, log io.Writer, fail func(error)) (context.Context, func(), error) {
	c := &live.settings.Config
	_, stop, err := o.console.serve(ctx, live.sw, console.Options{Dir: dir, Mode: c.Mode, Logger: c.Logger}, fail)
	if err != nil {
		return nil, nil, err
	}
	if o.file != "" {
		o.api.reload = live.Reload
	}
	o.api.sockets = sockets
	apis, err := o.api.start(live.sw, dir, c.Logger, log)
	if err != nil {
		stop()
		return nil, nil, err
	}
	serving, end := apis.before(ctx)
	return serving, func() { end(); stop() }, nil
}

// parseMode reads an octal number; the empty string is 0, for the default.
func parseMode(flag, s string, most uint64) (fs.FileMode, error) {
	if s == "" {
		return 0, nil
	}
	mode, ok := config.ParseMode(s, most)
	if !ok {
		return 0, usageErrorf("%s %q: give an octal number up to %#o", flag, s, most)
	}
	return mode, nil
}
