// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

// compatName is the program whose arguments vde switch --compat takes.
const compatName = "vde_switch"

// compatOptions are the arguments of vde_switch.
type compatOptions struct {
	numPorts       int
	hub, fstp      bool
	macAddr        string
	priority       int
	hashSize       int
	sock           string
	mode, dirMode  string
	group          string
	background     bool
	pidFile        string
	rcFile         string
	console        consoleOptions
	debugClients   int
	taps           []string
	noStdin        bool
	version        bool
	daemon         daemonOptions
	config         vswitch.Config
	consoleOptions console.Options
}

func newCompat() *cobra.Command {
	var o compatOptions
	cmd := &cobra.Command{
		Use:   compatName + " [OPTIONS]",
		Short: "Run a switch with the arguments of vde_switch",
		Long: `Runs a switch with the arguments of vde_switch, as vde switch --compat and when the
program is called vde_switch. In the foreground it takes commands of the console from the
standard input, and ends with it. Long options may be shortened and may have one dash.

There is no spanning tree: --fstp is taken and has no effect.`,
		Example: `  vde switch --compat -s /run/lab.ctl -M /run/lab.mgmt -d -p /run/lab.pid
  vde_switch -n 65535 -x -d -s /run/lab.ctl -p /run/lab.pid`,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.register(cmd.Flags())
	return cmd
}

func (o *compatOptions) register(f *pflag.FlagSet) {
	f.IntVarP(&o.numPorts, "numports", "n", 32, "number of ports, port 0 included")
	f.BoolVarP(&o.hub, "hub", "x", false, "be a hub")
	f.BoolVarP(&o.fstp, "fstp", "F", false, "taken, and without effect")
	f.StringVar(&o.macAddr, "macaddr", "", "`MAC` address that the console shows")
	f.IntVar(&o.priority, "priority", console.DefaultPriority, "priority that the console shows")
	f.IntVar(&o.hashSize, "hashsize", console.DefaultHashSize, "size of the FDB that the console shows")
	f.StringVarP(&o.sock, "sock", "s", "", "control directory (default /var/run/vde.ctl for root, ~/.vde2/default.switch for others)")
	f.StringVarP(&o.mode, "mode", "m", "", "permissions of the sockets, octal (default 0600)")
	f.StringVar(&o.dirMode, "dirmode", "", "permissions of the control directory, octal")
	f.StringVarP(&o.group, "group", "g", "", "group of the control directory and the sockets")
	f.BoolVarP(&o.background, "daemon", "d", false, "go on in the background once the switch serves")
	f.StringVarP(&o.pidFile, "pidfile", "p", "", "file to write the process id to; links and files of other users are refused")
	f.StringVarP(&o.rcFile, "rcfile", "f", "", "commands of the console to begin with (default ~/.vde2/vde_switch.rc or /etc/vde2/vde_switch.rc)")
	o.console.register(f)
	f.IntVarP(&o.debugClients, "debugclients", "D", 0, "taken, and without effect: there may be any number")
	f.StringSliceVarP(&o.taps, "tap", "t", nil, "tap interface to connect; may be repeated")
	f.BoolVar(&o.noStdin, "nostdin", false, "do not read commands from the standard input in the foreground")
	f.BoolVarP(&o.version, "version", "v", false, "print the version")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "vdesock" || name == "unix" {
			name = "sock"
		}
		return pflag.NormalizedName(name)
	})
}

// longOptions are the long options, aliases included.
var longOptions = []string{
	"numports", "hub", "fstp", "macaddr", "priority", "hashsize", "sock", "vdesock", "unix", "mode", "dirmode", "group",
	"daemon", "pidfile", "rcfile", "mgmt", "mgmtmode", "mgmtgroup", "debugclients", "tap", "nostdin", "version", "help",
}

// compatLine returns the arguments of vde_switch as those of newRoot: long options may be
// shortened, and may have one dash, as for getopt_long_only.
func compatLine(args []string) []string {
	line := []string{compatName}
	for i, arg := range args {
		if arg == "--" {
			return append(line, args[i:]...)
		}
		if name, ok := longOption(arg); ok {
			arg = name
		}
		line = append(line, arg)
	}
	return line
}

// longOption returns arg in full and with two dashes, if it is a long option.
func longOption(arg string) (string, bool) {
	text, ok := strings.CutPrefix(arg, "-")
	if !ok || len(text) < 2 {
		return "", false // no option, or a short one
	}
	text = strings.TrimPrefix(text, "-")
	name, value, hasValue := strings.Cut(text, "=")
	found := ""
	for _, long := range longOptions {
		if long == name {
			found = long
			break
		}
		if strings.HasPrefix(long, name) {
			if found != "" {
				return "", false // ambiguous
			}
			found = long
		}
	}
	if found == "" || name == "" {
		return "", false
	}
	if hasValue {
		return "--" + found + "=" + value, true
	}
	return "--" + found, true
}

// parse checks the arguments and fills in the configurations.
func (o *compatOptions) parse() (err error) {
	if o.numPorts < 2 || o.numPorts > maxPorts+1 {
		return usageErrorf("--numports %d: give 2 to %d", o.numPorts, maxPorts+1)
	}
	if o.priority < 0 || o.priority > 0xffff || o.hashSize < 1 || o.hashSize > 1<<30 {
		return usageErrorf("--priority %d, --hashsize %d: out of range", o.priority, o.hashSize)
	}
	if o.macAddr != "" {
		if o.consoleOptions.MAC, err = frame.ParseMAC(o.macAddr); err != nil {
			return usageErrorf("--macaddr %s: %w", o.macAddr, err)
		}
	}
	o.config.NumPorts, o.config.Hub, o.config.Group = o.numPorts-1, o.hub, o.group
	if o.config.Mode, err = parseMode("--mode", o.mode, 0o777); err != nil {
		return err
	}
	if o.config.DirMode, err = parseMode("--dirmode", o.dirMode, 0o3777); err != nil {
		return err
	}
	if err := o.console.parse(); err != nil {
		return err
	}
	o.consoleOptions.Priority, o.consoleOptions.HashSize, o.consoleOptions.Mode = o.priority, o.hashSize, o.config.Mode
	o.console.prepare(&o.config)
	if o.sock == "" {
		if o.sock, err = defaultSock(); err != nil {
			return err
		}
	}
	return nil
}

// defaultSock returns the default control directory, whose parent is made for users.
func defaultSock() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/run/vde.ctl", nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("no control directory: give --sock: %w", err)
	}
	dir := filepath.Join(home, ".vde2")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Join(dir, "default.switch"), nil
}

func (o *compatOptions) run(ctx context.Context, in io.Reader, out, messages io.Writer) (err error) {
	if o.version {
		_, err := fmt.Fprintf(out, "VDE %s\n%s\n", console.DefaultVersion, console.DefaultNotice)
		return err
	}
	if err := o.parse(); err != nil {
		return err
	}
	o.daemon.daemon, o.daemon.pidFile = o.background, o.pidFile
	if again, err := o.daemon.start(false); again || err != nil {
		return err
	}
	log := messages
	if o.background {
		log = daemonLog()
	}
	o.config.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	sw := vswitch.New(o.config)
	defer func() { err = errors.Join(err, sw.Close()) }()
	listener, err := sw.Listen(o.sock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, listener.Close()) }()
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	if err := o.attachTaps(ctx, sw); err != nil {
		return err
	}
	o.consoleOptions.Dir, o.consoleOptions.Logger = listener.Dir(), o.config.Logger
	server, stop, err := o.console.serve(ctx, sw, o.consoleOptions, end)
	if err != nil {
		return err
	}
	defer stop()
	o.runScript(ctx, server, messages)
	ended, err := o.daemon.ready()
	if err != nil {
		return err
	}
	defer ended()
	if !o.background && !o.noStdin {
		go o.terminal(ctx, server, in, out, end)
	}
	return o.serve(ctx, listener, messages)
}

// attachTaps connects the tap interfaces.
func (o *compatOptions) attachTaps(ctx context.Context, sw *vswitch.Switch) error {
	for _, name := range o.taps {
		l, err := vde.OpenLink(ctx, "tap://"+name, drivers())
		if err == nil {
			_, err = sw.AttachLink(l, vswitch.LinkConfig{Kind: "tuntap", Description: name})
		}
		if err != nil {
			return fmt.Errorf("tap interface %s: %w", name, err)
		}
	}
	return nil
}

// runScript runs the commands to begin with. As in vde_switch, none of them is a reason
// not to begin.
func (o *compatOptions) runScript(ctx context.Context, server *console.Server, messages io.Writer) {
	paths := []string{o.rcFile}
	if o.rcFile == "" {
		paths = []string{"/etc/vde2/vde_switch.rc"}
		if home, err := os.UserHomeDir(); err == nil {
			paths = []string{filepath.Join(home, ".vde2", "vde_switch.rc"), paths[0]}
		}
	}
	for _, path := range paths {
		err := server.Run(ctx, path)
		if err == nil {
			return
		}
		if o.rcFile != "" {
			fmt.Fprintf(messages, "%s: %s\n", compatName, printable(err.Error()))
		}
	}
}

// errEndOfInput is the cause of the end of a switch in the foreground.
var errEndOfInput = errors.New("EOF on stdin, cleaning up and exiting")

// terminal answers the commands of the standard input, and ends the switch with it.
func (o *compatOptions) terminal(ctx context.Context, server *console.Server, in io.Reader, out io.Writer, end func(error)) {
	f, ok := in.(*os.File)
	prompts := ok && term.IsTerminal(int(f.Fd()))
	if server.Terminal(ctx, in, out, prompts) == nil {
		end(errEndOfInput)
	}
}

// serve serves until ctx ends, and says why it has.
func (o *compatOptions) serve(ctx context.Context, listener *vswitch.Listener, messages io.Writer) error {
	err := listener.Serve(ctx)
	cause := context.Cause(ctx)
	if cause == nil || errors.Is(cause, errConsole) {
		return err
	}
	text := cause.Error()
	if errors.Is(cause, errShutdown) {
		text = "Shutdown from mgmt command" // as vde_switch has it
	}
	fmt.Fprintf(messages, "%s: %s\n", compatName, text)
	return nil
}
