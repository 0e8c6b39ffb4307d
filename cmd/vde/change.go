// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/cmd/vde/internal/config"
	"github.com/go-vde/sdk/vswitch"
)

// changeCommand returns a command whose first argument says what to change.
func changeCommand(o *controlOption, cmd *cobra.Command, change func(ctx context.Context, c *api.Client, what string, out io.Writer) error) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		c, err := o.dial(ctx, args[1:])
		if err != nil {
			return err
		}
		defer c.Close()
		return message(change(ctx, c, args[0], cmd.OutOrStdout()))
	}
	o.register(cmd)
	return cmd
}

func newSet() *cobra.Command {
	o := newControlOption()
	return changeCommand(&o, &cobra.Command{
		Use:   "set WHAT [NET]",
		Short: "Change the configuration of a running switch",
		Long: `Changes a running switch. No frame is lost that the change does not concern. WHAT is

  PORT:KEY=VALUE,...  settings of a port, those of vde switch --port; others stay
  PORT:default        the settings of a port that has none of its own
  PORT:delay=20ms,loss=0.01
                      a bad network at a port: delay, jitter, loss, duplicate, reorder, rate
                      and impair-queue, as those of vde plug but for both directions; with
                      in- or out- before them for frames from what is attached, or to it
  PORT:impair=none    a good network again
  hub=on, hub=off     hub mode
  ports=N             the highest port number
  ageing-time=TIME    how long an FDB entry is kept after its last frame, as in 5m
  fdb=flush           forget the addresses that were learned`,
		Example: `  vde set 3:vlan=10,tagged=20+30 /run/lab.ctl
  vde set 3:out-rate=10M,seed=1 /run/lab.ctl
  vde set hub=on`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: o.completePorts(":"),
	}, func(ctx context.Context, c *api.Client, what string, _ io.Writer) error {
		if port, _, ok := strings.Cut(what, ":"); ok {
			return setPort(ctx, c, port, what)
		}
		return setSwitch(ctx, c, what)
	})
}

// setPort changes a port; what is the whole argument.
func setPort(ctx context.Context, c *api.Client, port, what string) error {
	n, err := parsePortNumber(port)
	if err != nil {
		return err
	}
	if _, settings, _ := strings.Cut(what, ":"); settings == "default" {
		_, err := c.ResetPort(ctx, &pb.ResetPortRequest{Port: proto.Uint32(n)})
		return err
	}
	answer, err := c.GetPort(ctx, &pb.GetPortRequest{Port: proto.Uint32(n)})
	if err != nil {
		return err
	}
	pc, err := api.DecodePortConfig(answer.GetPort().GetConfig())
	if err != nil {
		return err
	}
	settings := &config.File{Config: vswitch.Config{Ports: map[int]vswitch.PortConfig{int(n): pc}}}
	if err := parsePort(what, settings); err != nil {
		return err
	}
	// Somebody else may have changed it meanwhile.
	_, err = c.SetPort(ctx, &pb.SetPortRequest{Port: proto.Uint32(n), Config: api.EncodePortConfig(settings.Ports[int(n)]), Etag: answer.GetPort().GetEtag()})
	return err
}

// setSwitch changes what concerns all ports.
func setSwitch(ctx context.Context, c *api.Client, what string) (err error) {
	key, value, _ := strings.Cut(what, "=")
	switch {
	case key == "hub" && (value == "on" || value == "off"):
		_, err = c.SetHub(ctx, &pb.SetHubRequest{Hub: proto.Bool(value == "on")})
	case key == "ports":
		n, parseErr := parsePortNumber(value)
		if parseErr != nil {
			return parseErr
		}
		_, err = c.SetNumPorts(ctx, &pb.SetNumPortsRequest{NumPorts: n})
	case key == "ageing-time":
		d, parseErr := time.ParseDuration(value)
		if parseErr != nil {
			return usageErrorf("ageing-time=%s: give a time, as in 5m", value)
		}
		_, err = c.SetAgeingTime(ctx, &pb.SetAgeingTimeRequest{AgeingTime: durationpb.New(d)})
	case what == "fdb=flush":
		_, err = c.FlushFDB(ctx, &pb.FlushFDBRequest{})
	default:
		return usageErrorf("%s: give PORT:KEY=VALUE, hub=on or hub=off, ports=N, ageing-time=TIME, or fdb=flush", what)
	}
	return err
}

func parsePortNumber(text string) (uint32, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxPorts {
		return 0, usageErrorf("%q: give the number of a port, 0 to %d", text, maxPorts)
	}
	return uint32(n), nil
}

func newMirror() *cobra.Command {
	o := newControlOption()
	var stop bool
	cmd := changeCommand(&o, &cobra.Command{
		Use:   "mirror PORT:PORT|list [NET]",
		Short: "Copy the frames of one port of a running switch to another",
		Long: `Copies every frame that comes from the first port or goes to it to the second port also, until
--stop. With list, it shows which ports are mirrored.`,
		Example: `  vde mirror 1:5 /run/lab.ctl
  vde mirror --stop 1:5 /run/lab.ctl
  vde mirror list`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: o.completePorts(":"),
	}, func(ctx context.Context, c *api.Client, what string, out io.Writer) error {
		if what == "list" {
			return printMirrors(ctx, c, out)
		}
		m, err := config.ParseMirror(what)
		if err != nil {
			return usageError{err}
		}
		src, dst := proto.Uint32(uint32(m.Src)), proto.Uint32(uint32(m.Dst))
		if stop {
			_, err = c.Unmirror(ctx, &pb.UnmirrorRequest{Src: src, Dst: dst})
		} else {
			_, err = c.Mirror(ctx, &pb.MirrorRequest{Src: src, Dst: dst})
		}
		return err
	})
	cmd.Flags().BoolVar(&stop, "stop", false, "no longer copy them")
	return cmd
}

func printMirrors(ctx context.Context, c *api.Client, out io.Writer) error {
	answer, err := c.ListMirrors(ctx, &pb.ListMirrorsRequest{})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PORT\tTO PORT")
	for _, m := range answer.GetMirrors() {
		fmt.Fprintf(w, "%d\t%d\n", m.GetSrc(), m.GetDst())
	}
	return w.Flush()
}

func newDisconnect() *cobra.Command {
	o := newControlOption()
	return changeCommand(&o, &cobra.Command{
		Use:   "disconnect PORT[/ENDPOINT] [NET]",
		Short: "Hang up on what is attached to a port of a running switch",
		Long: `Hangs up on all endpoints of a port, or on the one with the number ENDPOINT, which vde events
and vde ports --json tell. The other side sees what it would see if the switch went away;
some programs join again.`,
		Example:           "  vde disconnect 3 /run/lab.ctl",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: o.completePorts(""),
	}, func(ctx context.Context, c *api.Client, what string, _ io.Writer) error {
		port, endpoint, some := strings.Cut(what, "/")
		n, err := parsePortNumber(port)
		if err != nil {
			return err
		}
		r := &pb.DisconnectRequest{Port: &n}
		if some {
			if r.Endpoint, err = strconv.ParseUint(endpoint, 10, 64); err != nil || r.Endpoint == 0 {
				return usageErrorf("%q: give the number of an endpoint behind the slash", what)
			}
		}
		_, err = c.Disconnect(ctx, r)
		return err
	})
}
