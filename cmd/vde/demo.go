// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// demoOptions are what the demonstration can be told.
type demoOptions struct {
	frames int
	size   int
	quiet  bool
}

func newDemo() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a switch, plug in four stations and move traffic between them",
		Long: `Starts a switch inside this process that also serves a temporary control
directory, plugs in two stations from inside the process and two through the
sockets, as any VDE program would, and moves numbered frames between all four.
Prints the port table, rates and losses. Needs nothing installed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	cmd.Flags().IntVar(&o.frames, "frames", 250_000, "frames that each station sends")
	cmd.Flags().IntVar(&o.size, "size", 1514, "bytes per frame, header included")
	cmd.Flags().BoolVar(&o.quiet, "quiet", false, "no progress bar")
	return cmd
}

func runDemo(ctx context.Context, out, progress io.Writer, o demoOptions) (err error) {
	if o.size < minFrame || o.size > frame.DefaultMax {
		return fmt.Errorf("--size %d: give %d to %d bytes", o.size, minFrame, frame.DefaultMax)
	}
	if o.frames < 1 {
		return fmt.Errorf("--frames %d: give a positive number", o.frames)
	}
	// Short, because the name of a socket has to fit 107 bytes.
	tmp, err := os.MkdirTemp("", "vde")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)

	// All stations here read all the time, so a wait for one of them ends soon
	// however busy the machine is, and nothing need be lost.
	sw := vswitch.New(vswitch.Config{Name: "demo", Port: vswitch.PortConfig{Wait: time.Second}})
	listener, err := sw.Listen(filepath.Join(tmp, "ctl.d"))
	if err != nil {
		return errors.Join(err, sw.Close())
	}
	served := make(chan error, 1)
	go func() { served <- listener.Serve(ctx) }()
	defer func() {
		err = errors.Join(err, sw.Close())
		if e := <-served; !errors.Is(e, vswitch.ErrClosed) && ctx.Err() == nil {
			err = errors.Join(err, e)
		}
	}()
	fmt.Fprintf(out, "Switch in this process, serving %s to every VDE program.\n", listener.Dir())

	stations, err := plugIn(ctx, sw, listener.Dir())
	defer func() {
		for _, s := range stations {
			err = errors.Join(err, s.conn.Close())
		}
	}()
	if err != nil {
		return err
	}
	if err := greet(stations); err != nil {
		return err
	}
	flows := make([]*flow, len(stations))
	for i, s := range stations {
		flows[i] = &flow{from: s, to: stations[(i+1)%len(stations)], frames: o.frames, size: o.size}
	}
	fmt.Fprintf(out, "Each of %d stations sends %d frames of %d bytes to the next one.\n\n", len(stations), o.frames, o.size)

	bar := newBar(progress, o.frames*len(flows), o.quiet)
	start := time.Now()
	err = run(ctx, flows, func(n int) { _ = bar.Add(n) })
	_ = bar.Finish()
	if err != nil {
		return err
	}
	return report(out, sw, flows, time.Since(start))
}

// plugIn returns two stations inside the process and two that come through the
// control directory, in turn.
func plugIn(ctx context.Context, sw *vswitch.Switch, dir string) (stations []*station, err error) {
	for i, name := range []string{"a", "b", "c", "d"} {
		s := &station{name: name, mac: frame.MAC{2, 'd', 'e', 'm', 'o', byte(i + 1)}}
		if i%2 == 0 {
			s.how = "in process"
			s.conn, err = sw.Attach(vde.WithDescription("station " + name))
		} else {
			s.how = "socket"
			s.conn, err = vde.Open(ctx, dir, vde.WithDescription("station "+name))
		}
		if err != nil {
			return stations, err
		}
		stations = append(stations, s)
	}
	return stations, nil
}

// greet makes the stations known: each broadcasts a frame, and has received
// everybody else's when greet returns.
func greet(stations []*station) error {
	for _, s := range stations {
		hello := frame.AppendHeader(nil, frame.Broadcast(), s.mac, frame.EtherTypeExperimental)
		if _, err := s.conn.Write(append(hello, make([]byte, frame.MinLen-len(hello))...)); err != nil {
			return err
		}
	}
	buf := make([]byte, frame.MinLen)
	for _, s := range stations {
		if err := s.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		for heard := []net.Addr{}; len(heard) < len(stations)-1; {
			_, from, err := s.conn.ReadFrom(buf)
			if err != nil {
				return fmt.Errorf("station %s waits for the others' broadcasts: %w", s.name, err)
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

func newBar(w io.Writer, frames int, quiet bool) *progressbar.ProgressBar {
	return progressbar.NewOptions(frames,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetVisibility(!quiet),
		progressbar.OptionSetDescription("frames"),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("frames"),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(w) }),
	)
}
