// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	osexec "os/exec"
	"slices"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/link"
	"github.com/go-vde/sdk/links/exec"
	"github.com/go-vde/sdk/links/vdestream"
	"github.com/go-vde/sdk/vde"
)

// plugOptions are the flags of vde plug.
type plugOptions struct {
	netOption
	jsonOption
	ends      [2]endOptions
	impair    impairOptions
	daemon    daemonOptions
	descr     string
	maxFrame  int
	pipeSize  int
	capture   string
	snapLen   int
	reconnect bool
	stats     bool
	verbose   bool
}

// endOptions are the flags about one of the two networks.
type endOptions struct {
	port        int
	group, mode string
}

func newPlug() *cobra.Command {
	var o plugOptions
	cmd := &cobra.Command{
		Use:   "plug [VNL [VNL]] [= COMMAND...]",
		Short: "Join a network to another one, to a command, or to standard input and output",
		Long: `Passes frames in both directions between two networks. With one VNL, or none for
the default network, the other side is the standard input and output, with each
frame behind its length in two bytes, as dpipe and ssh connect them, or with an
equals sign that of COMMAND, which is started. It ends with status 0 when one of
the two sides does, and when it is interrupted.

Takes the options of vde_plug, and is that program when called by its name. All
that follows the equals sign is the command's.

The flags from --delay to --impair-queue make the line between the two sides a bad
one. Their values are for both directions, or two values with a comma between them:
to the first network, and from it. So --loss 0.1,0 loses a tenth of the frames that
go to the first network.`,
		Example: `  vde plug /run/vde.ctl = ssh server vde plug /run/vde.ctl
  vde plug /run/a.ctl /run/b.ctl --delay 20ms --loss 0.01 --capture line.pcapng
  dpipe vde plug /run/a.ctl = vde_plug /run/b.ctl`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), args)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.registerNet(cmd)
	o.registerJSON(cmd)
	o.register(cmd)
	o.impair.register(cmd)
	o.daemon.register(cmd)
	return cmd
}

func (o *plugOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	for i, suffix := range []string{"", "2"} {
		e, which := &o.ends[i], [...]string{"first", "second"}[i]
		f.IntVar(&e.port, "port"+suffix, 0, "port of the switch of the "+which+" network; a locator's own, as in /run/vde.ctl[3], wins")
		f.StringVarP(&e.group, "group"+suffix, [...]string{"g", "G"}[i], "", "group of the socket for the "+which+" network")
		f.StringVarP(&e.mode, "mod"+suffix, [...]string{"m", "M"}[i], "", "permissions of the socket for the "+which+" network, octal (default 0700)")
	}
	f.StringVarP(&o.descr, "descr", "D", "vde plug", "label in the port list of a switch")
	f.IntVar(&o.maxFrame, "max-frame", frame.DefaultMaxSize, "longest frame in bytes; programs of vde2 such as wirefilter take 1521")
	f.IntVar(&o.pipeSize, "pipe-size", 0, "bytes that the pipe to the other program holds (default 8192, more than which vde_plug may not be given; for vde plug 1048576 is faster)")
	f.StringVar(&o.capture, "capture", "", "pcapng file to write the frames of the first network to")
	f.IntVar(&o.snapLen, "snaplen", 0, "bytes of each frame to capture; 0 keeps all")
	f.BoolVar(&o.reconnect, "reconnect", false, "join again, or start the command again, when a side ends")
	f.BoolVar(&o.stats, "stats", false, "print what became of all frames at the end, on the standard error")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "tell what is joined and why it ends, and imply --stats")
}

// parse checks the arguments and flags. command is what follows the equals sign.
func (o *plugOptions) parse(args []string) (nets, command []string, err error) {
	nets = args
	if i := slices.Index(args, "="); i >= 0 {
		if nets, command = args[:i], args[i+1:]; len(command) == 0 {
			return nil, nil, usageErrorf("nothing follows the equals sign: give a command")
		}
	}
	if o.vnl != "" {
		nets = append([]string{o.vnl}, nets...)
	}
	switch most := 2 - min(len(command), 1); {
	case len(nets) > most:
		return nil, nil, usageErrorf("%d networks: give %d at most", len(nets), most)
	case len(nets) == 0:
		nets = []string{""}
	}
	switch {
	case o.maxFrame < frame.HeaderLen || o.maxFrame > 1<<16-1:
		return nil, nil, usageErrorf("--max-frame %d: give %d to %d bytes", o.maxFrame, frame.HeaderLen, 1<<16-1)
	case o.pipeSize < 0 || o.snapLen < 0:
		return nil, nil, usageErrorf("--pipe-size %d, --snaplen %d: give 0 or more", o.pipeSize, o.snapLen)
	case len(nets)+len(command) == 1 && (o.json || o.capture == "-"):
		return nil, nil, usageErrorf("frames go to the standard output: --json and --capture - cannot")
	case o.json && o.capture == "-":
		return nil, nil, usageErrorf("--json and --capture - both write to the standard output")
	}
	return nets, command, nil
}

// options returns the options to open end i with.
func (o *plugOptions) options(i int) ([]vde.Option, error) {
	e := o.ends[i]
	mode, err := parseMode("--mod", e.mode, 0o777)
	if err != nil {
		return nil, err
	}
	opts := []vde.Option{
		vde.WithDescription(o.descr), vde.WithMaxFrameSize(o.maxFrame), vde.WithPort(e.port),
		vde.WithSocketGroup(e.group), vde.WithSocketMode(mode & fs.ModePerm),
		vde.WithDrivers(link.Mux{"cmd": exec.Driver{Stderr: os.Stderr, Foreground: hasTerminal(), PipeSize: o.pipeSize}}),
	}
	if o.reconnect {
		opts = append(opts, vde.WithReconnect(vde.ReconnectPolicy{}))
	}
	return opts, nil
}

func (o *plugOptions) run(ctx context.Context, out, messages io.Writer, args []string) (err error) {
	nets, command, err := o.parse(args)
	if err != nil {
		return err
	}
	line, err := o.impair.config()
	if err != nil {
		return err
	}
	if again, err := o.daemon.start(len(nets)+len(command) == 1); again || err != nil {
		return err
	}
	p := plug{plugOptions: o, out: out, messages: messages, line: line}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.open(ctx, nets, command); err != nil {
		return err
	}
	ended, err := o.daemon.ready()
	if err != nil {
		return err
	}
	defer ended()
	return p.pass(ctx)
}

// openOther opens the side that is no network of the command line's first argument.
func (o *plugOptions) openOther(ctx context.Context, nets, command []string) (*vde.Conn, error) {
	opts, err := o.options(1)
	if err != nil {
		return nil, err
	}
	switch {
	case len(command) > 0:
		return vde.Open(ctx, "cmd://"+exec.Quote(command...), opts...)
	case len(nets) > 1:
		return vde.Open(ctx, nets[1], opts...)
	}
	pipes, err := standardStreams(o.pipeSize)
	if err != nil {
		return nil, err
	}
	cfg := vdestream.Config{Config: link.Config{MaxFrameSize: o.maxFrame}}
	if o.pipeSize > 0 {
		cfg.WriteSize = min(max(o.pipeSize, 4096), 1<<16)
	}
	l, err := vdestream.New(pipes, cfg)
	if err != nil {
		return nil, err
	}
	return vde.NewConn(ctx, l, vde.WithName("standard input and output"), vde.WithMaxFrameSize(o.maxFrame))
}

// commandEnd returns what is to be said about a command that has failed: it ends the
// plug as well as any end does, and is often why.
func commandEnd(err error) error {
	var exit *osexec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("the command ended: %w", exit)
	}
	return nil
}
