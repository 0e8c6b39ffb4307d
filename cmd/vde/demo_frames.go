// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// framesOptions are the flags of vde demo frames.
type framesOptions struct {
	jsonOption
	frames int
	size   int
	quiet  bool
}

func newDemoFrames() *cobra.Command {
	var o framesOptions
	cmd := &cobra.Command{
		Use:   "frames",
		Short: "Move Ethernet frames between four endpoints of a switch",
		Long: `Starts a switch inside this process that also serves a temporary control
directory, makes two endpoints inside the process and two through that directory,
as another program would, and moves numbered frames between all four.
Prints the port table, rates and losses. Needs nothing installed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemoFrames(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	cmd.Flags().IntVar(&o.frames, "frames", 250_000, "frames that each endpoint sends")
	cmd.Flags().IntVar(&o.size, "size", 1514, "bytes per frame, header included")
	cmd.Flags().BoolVar(&o.quiet, "quiet", false, "no progress bar")
	o.registerJSON(cmd)
	return cmd
}

func runDemoFrames(ctx context.Context, results, progress io.Writer, o framesOptions) (err error) {
	out := o.text(results)
	if o.size < minFrame || o.size > frame.DefaultMaxSize {
		return usageErrorf("--size %d: give %d to %d bytes", o.size, minFrame, frame.DefaultMaxSize)
	}
	if o.frames < 1 {
		return usageErrorf("--frames %d: give a positive number", o.frames)
	}
	network, err := startNetwork(ctx, out, frame.DefaultMaxSize)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, network.close()) }()

	endpoints, err := join(ctx, network.Switch, network.dir)
	defer func() {
		for _, s := range endpoints {
			err = errors.Join(err, s.conn.Close())
		}
	}()
	if err != nil {
		return err
	}
	if err := greet(endpoints); err != nil {
		return err
	}
	flows := make([]*flow, len(endpoints))
	for i, s := range endpoints {
		flows[i] = &flow{from: s, to: endpoints[(i+1)%len(endpoints)], frames: o.frames, size: o.size}
	}
	fmt.Fprintf(out, "Each of %d endpoints sends %d frames of %d bytes to the next one.\n\n", len(endpoints), o.frames, o.size)

	bar := newBar(progress, int64(o.frames*len(flows)), "frames", o.quiet || o.json)
	start := time.Now()
	err = run(ctx, flows, func(n int) { _ = bar.Add(n) })
	_ = bar.Finish()
	if err != nil {
		return err
	}
	elapsed := time.Since(start)
	if o.json {
		if err := printJSON(results, resultOf(network.Switch, flows, elapsed)); err != nil {
			return err
		}
	}
	return report(out, network.Switch, flows, elapsed)
}

// join returns two endpoints inside the process and two that come through the
// control directory, in turn.
func join(ctx context.Context, sw *vswitch.Switch, dir string) (endpoints []*endpoint, err error) {
	for i, name := range []string{"a", "b", "c", "d"} {
		s := &endpoint{name: name, mac: frame.MAC{2, 'd', 'e', 'm', 'o', byte(i + 1)}}
		if i%2 == 0 {
			s.how = "in process"
			s.conn, err = sw.Attach(vde.WithDescription("endpoint " + name))
		} else {
			s.how = "outside"
			s.conn, err = vde.Open(ctx, dir, vde.WithDescription("endpoint "+name))
		}
		if err != nil {
			return endpoints, err
		}
		endpoints = append(endpoints, s)
	}
	return endpoints, nil
}

// greet makes the endpoints known: each broadcasts a frame, and has received
// everybody else's when greet returns.
func greet(endpoints []*endpoint) error {
	for _, s := range endpoints {
		hello := frame.AppendHeader(nil, frame.Broadcast(), s.mac, frame.EtherTypeExperimental)
		if _, err := s.conn.Write(append(hello, make([]byte, frame.MinLen-len(hello))...)); err != nil {
			return err
		}
	}
	buf := make([]byte, frame.MinLen)
	for _, s := range endpoints {
		if err := s.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		for heard := []net.Addr{}; len(heard) < len(endpoints)-1; {
			_, from, err := s.conn.ReadFrom(buf)
			if err != nil {
				return fmt.Errorf("endpoint %s waits for the others' broadcasts: %w", s.name, err)
			}
			if !slices.Contains(heard, from) {
				heard = append(heard, from)
			}
		}
		if err := s.conn.SetReadDeadline(time.Time{}); err != nil {
			return err
		}
	}
	return nil
}
