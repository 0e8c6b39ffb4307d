// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/spf13/pflag"

	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

// errShutdown is the cause of the end that a console's command shutdown brings.
var errShutdown = errors.New("shutdown from mgmt command")

// errConsole is in the cause of the end of a switch whose console cannot go on.
var errConsole = errors.New("console")

// consoleOptions are the flags about the management console of vde_switch.
type consoleOptions struct {
	path, mode, group string

	perm   fs.FileMode // what mode says
	access *console.Access
}

func (o *consoleOptions) register(f *pflag.FlagSet) {
	f.StringVarP(&o.path, "mgmt", "M", "", "socket of a management console as that of vde_switch")
	f.StringVar(&o.mode, "mgmtmode", "", "permissions of the console's socket, octal (default 0600)")
	f.StringVar(&o.group, "mgmtgroup", "", "group of the console's socket")
}

// parse checks the flags.
func (o *consoleOptions) parse() (err error) {
	o.perm, err = parseMode("--mgmtmode", o.mode, 0o777)
	return err
}

// use takes what the settings say, those of flags included.
func (o *consoleOptions) use(f *config.File) {
	o.path, o.perm, o.group = f.Console.Path, f.Console.Mode, f.Console.Group
}

// prepare has the switch made from cfg keep the console's access lists.
func (o *consoleOptions) prepare(cfg *vswitch.Config) {
	o.access = &console.Access{Next: cfg.Admit}
	cfg.Admit = o.access.Admit
}

// serve serves the console, if there is to be one, until ctx ends or stop is called, which
// waits for its end. end is called with errShutdown by the command shutdown, and if the
// console cannot go on.
func (o *consoleOptions) serve(ctx context.Context, sw *vswitch.Switch, opts console.Options, end func(error)) (server *console.Server, stop func(), err error) {
	opts.Access, opts.Shutdown = o.access, func() { end(errShutdown) }
	server = console.New(sw, opts)
	if o.path == "" {
		return server, func() {}, nil
	}
	l, err := console.Listen(o.path, o.perm&fs.ModePerm, o.group)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(ctx, l); ctx.Err() == nil {
			end(fmt.Errorf("%w: %w", errConsole, err))
		}
	}()
	return server, func() { cancel(); <-done }, nil
}
