// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vswitch/console"
)

// showOptions are the flags that all commands have which show a running switch.
type showOptions struct {
	controlOption
	jsonOption
	watchOption
}

func (o *showOptions) register(cmd *cobra.Command) {
	o.controlOption.register(cmd)
	o.registerJSON(cmd)
	o.registerWatch(cmd)
}

// A showFunc shows something of a running switch as its API tells it.
type showFunc func(ctx context.Context, c *api.Client, out io.Writer) error

// A showConsoleFunc shows something of a running switch as its console tells it.
type showConsoleFunc func(ctx context.Context, c *console.Client, out io.Writer) error

// command makes cmd show something of a running switch, and returns it. fromConsole is nil
// if consoles do not tell it.
func (o *showOptions) command(cmd *cobra.Command, show showFunc, fromConsole showConsoleFunc) *cobra.Command {
	cmd.Args, cmd.ValidArgsFunction = cobra.MaximumNArgs(1), cobra.NoFileCompletions
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx := cmd.Context()
		if fromConsole == nil {
			c, err := o.dial(ctx, args)
			if err != nil {
				return err
			}
			defer c.Close()
			return o.watchOption.run(ctx, cmd.OutOrStdout(), func(out io.Writer) error { return message(show(ctx, c, out)) })
		}
		c, con, err := o.dialEither(ctx, args)
		if err != nil {
			return err
		}
		if con != nil {
			defer con.Close()
			return o.watchOption.run(ctx, cmd.OutOrStdout(), func(out io.Writer) error { return fromConsole(ctx, con, out) })
		}
		defer c.Close()
		return o.watchOption.run(ctx, cmd.OutOrStdout(), func(out io.Writer) error { return message(show(ctx, c, out)) })
	}
	o.register(cmd)
	return cmd
}

// printProto writes m as one JSON object.
func printProto(out io.Writer, m proto.Message) error {
	b, err := protojson.MarshalOptions{Multiline: true, Indent: "  ", EmitUnpopulated: true}.Marshal(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", b)
	return err
}

func newPorts() *cobra.Command {
	o := showOptions{controlOption: newControlOption()}
	var all bool
	cmd := o.command(&cobra.Command{
		Use: "ports [NET]", Short: "Show the ports of a running switch",
		Long: `Shows the ports of a running switch that are in use: what is attached, VLANs, FDB entries,
and counters. On the console of a vde_switch, it shows what that tells.`,
	}, func(ctx context.Context, c *api.Client, out io.Writer) error {
		list := &pb.ListPortsResponse{}
		for p, err := range c.Ports(ctx, &pb.ListPortsRequest{Active: !all}) {
			if err != nil {
				return err
			}
			list.Ports = append(list.Ports, p)
		}
		if o.json {
			return printProto(out, list)
		}
		return printPorts(out, list.GetPorts())
	}, func(ctx context.Context, c *console.Client, out io.Writer) error {
		return showConsolePorts(ctx, c, out, all, o.json)
	})
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also ports that have been in use or are configured")
	return cmd
}

func printPorts(out io.Writer, ports []*pb.Port) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PORT\tVLAN\tFDB\tFRAMES IN\tFRAMES OUT\tWAITING\tDROPPED\tENDPOINTS")
	for _, p := range ports {
		s, what := p.GetStats(), endpointText(p.GetEndpoints())
		if p.GetLoop().GetBlocked() {
			what = "blocked; " + what
		}
		if i := p.GetConfig().GetImpair(); i.GetIn() != nil || i.GetOut() != nil {
			what = "impaired; " + what
		}
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%d\t%d\t%d\t%s\n", p.GetNumber(), vlanText(p.GetConfig()), p.GetFdbEntries(),
			s.GetIn().GetFrames(), s.GetOut().GetFrames(), s.GetOut().GetQueued(), dropsOf(s), what)
	}
	return w.Flush()
}

func newFDB() *cobra.Command {
	o := showOptions{controlOption: newControlOption()}
	var port, vlan int
	var mac string
	cmd := o.command(&cobra.Command{
		Use: "fdb [NET]", Short: "Show the forwarding database of a running switch",
		Long: `Shows which addresses a running switch has learned, in which VLAN, behind which port, and
how long ago they were seen. On the console of a vde_switch, it shows what that tells.`,
	}, func(ctx context.Context, c *api.Client, out io.Writer) error {
		r := &pb.ListFDBRequest{Mac: mac, PageSize: 10000}
		if port >= 0 {
			r.Port = proto.Uint32(uint32(port))
		}
		if vlan >= 0 {
			r.Vlan = proto.Uint32(uint32(vlan))
		}
		list := &pb.ListFDBResponse{}
		for e, err := range c.FDB(ctx, r) {
			if err != nil {
				return err
			}
			list.Entries = append(list.Entries, e)
		}
		list.Total = uint32(len(list.Entries))
		if o.json {
			return printProto(out, list)
		}
		return printFDB(out, list.GetEntries())
	}, func(ctx context.Context, c *console.Client, out io.Writer) error {
		return showConsoleFDB(ctx, c, out, fdbFilter{port, vlan, mac}, o.json)
	})
	f := cmd.Flags()
	f.IntVarP(&port, "port", "p", -1, "only entries of this port")
	f.IntVar(&vlan, "vlan", -1, "only entries of this VLAN")
	f.StringVar(&mac, "mac", "", "only addresses that begin so, as in 02:00")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("port", o.completePorts("")))
	return cmd
}

func printFDB(out io.Writer, entries []*pb.FDBEntry) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ADDRESS\tVLAN\tPORT\tAGE")
	for _, e := range entries {
		age := "static"
		if !e.GetStatic() {
			age = e.GetAge().AsDuration().Round(time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\n", e.GetMac(), e.GetVlan(), e.GetPort(), age)
	}
	return w.Flush()
}

func newStats() *cobra.Command {
	o := showOptions{controlOption: newControlOption()}
	port := -1
	cmd := o.command(&cobra.Command{
		Use: "stats [NET]", Short: "Show the counters of a running switch",
		Long: `Shows what has become of all frames of a running switch, or of one port: how many came, how
many copies went where, and what was dropped, by cause.`,
	}, func(ctx context.Context, c *api.Client, out io.Writer) error {
		r := &pb.GetStatsRequest{}
		if port >= 0 {
			r.FirstPort, r.LastPort = uint32(port), proto.Uint32(uint32(port))
		}
		answer, err := c.GetStats(ctx, r)
		if err != nil {
			return err
		}
		switch s := answer.GetStats(); {
		case o.json:
			return printProto(out, s)
		case port < 0:
			return printStats(out, "all ports", s.GetIn(), s.GetOut())
		case len(s.GetPorts()) == 0:
			return fmt.Errorf("port %d has not been in use", port)
		default:
			return printStats(out, "port "+strconv.Itoa(port), s.GetPorts()[0].GetIn(), s.GetPorts()[0].GetOut())
		}
	}, nil)
	f := cmd.Flags()
	f.IntVarP(&port, "port", "p", -1, "only this port")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("port", o.completePorts("")))
	return cmd
}

// printStats prints the account of a port, or of all.
func printStats(out io.Writer, of string, in *pb.InStats, to *pb.OutStats) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(name string, n uint64, indent string) { fmt.Fprintf(w, "%s%s\t%d\t\n", indent, name, n) }
	fmt.Fprintf(w, "%s\t\t\n", of)
	line("frames in", in.GetFrames(), "")
	line("bytes in", in.GetBytes(), "")
	line("forwarded", in.GetForwarded(), "  ")
	line("flooded", in.GetFlooded(), "    ")
	for _, cause := range slices.Sorted(maps.Keys(in.GetDropped())) {
		line("dropped, "+cause, in.GetDropped()[cause], "  ")
	}
	line("copies out", to.GetOffered(), "")
	line("delivered", to.GetFrames(), "  ")
	line("bytes", to.GetBytes(), "    ")
	line("waiting", to.GetQueued(), "  ")
	for _, cause := range slices.Sorted(maps.Keys(to.GetDropped())) {
		line("dropped, "+cause, to.GetDropped()[cause], "  ")
	}
	return w.Flush()
}

func newEvents() *cobra.Command {
	o := newControlOption()
	var asJSON, past bool
	var kinds []string
	var count uint64
	cmd := &cobra.Command{
		Use:   "events [NET]",
		Short: "Show what happens to a running switch",
		Long: `Shows what happens to a running switch, a line for each event, until it is interrupted:
endpoints that come and go, addresses that are learned, moved and forgotten, loops, links,
changes of the configuration, and frames that are dropped. With --json, each line is an
object. On the console of a vde_switch, it shows what debug/add does.`,
		Example: `  vde events /run/lab.ctl --kind attached,detached
  vde events --past --json`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			c, con, err := o.dialEither(ctx, args)
			if err != nil {
				return err
			}
			if con != nil {
				defer con.Close()
				if past || len(kinds) > 0 {
					return usageErrorf("a console knows no past events, and no kinds of them: leave out --past and --kind")
				}
				return showConsoleEvents(ctx, con, count, cmd.OutOrStdout(), asJSON)
			}
			defer c.Close()
			r := &pb.WatchEventsRequest{Kinds: kinds}
			if past {
				r.After = proto.Uint64(0)
			}
			return message(printEvents(ctx, c, r, cmd.OutOrStdout(), asJSON, count))
		},
	}
	o.register(cmd)
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print each event as a JSON object")
	f.BoolVar(&past, "past", false, "begin with the events that the switch still knows")
	f.StringSliceVarP(&kinds, "kind", "k", nil, "only events of these `KINDS`, such as attached,dropped")
	f.Uint64VarP(&count, "count", "c", 0, "events after which to end; 0: until interrupted")
	return cmd
}

// errSwitchClosed is why a stream of a switch ends that does not fail.
var errSwitchClosed = errors.New("the switch was closed")

// printEvents prints events until ctx ends, or count have come.
func printEvents(ctx context.Context, c *api.Client, r *pb.WatchEventsRequest, out io.Writer, asJSON bool, count uint64) error {
	stream, err := c.WatchEvents(ctx, r)
	if err != nil {
		return err
	}
	for n := uint64(0); ; {
		answer, err := stream.Receive()
		switch {
		case ctx.Err() != nil:
			return nil // told to stop
		case errors.Is(err, io.EOF):
			return errSwitchClosed
		case err != nil:
			return err
		}
		for _, e := range answer.GetEvents() {
			line := eventLine(e)
			if asJSON {
				b, err := protojson.Marshal(e)
				if err != nil {
					return err
				}
				line = string(b)
			}
			if _, err := fmt.Fprintln(out, line); err != nil {
				return err
			}
			if n++; n == count {
				return nil
			}
		}
	}
}

// eventLine returns an event as people read it.
func eventLine(e *pb.Event) string {
	text := e.GetTime().AsTime().Local().Format("15:04:05.000") + " " + fmt.Sprintf("%-11s", e.GetKind())
	if e.Port != nil {
		text += " port " + strconv.Itoa(int(e.GetPort()))
	}
	if e.GetMac() != "" {
		text += " " + e.GetMac() + " VLAN " + strconv.Itoa(int(e.GetVlan()))
	}
	if e.OtherPort != nil {
		text += " (other port " + strconv.Itoa(int(e.GetOtherPort())) + ")"
	}
	if e.GetEndpoint() != 0 {
		text += fmt.Sprintf(" endpoint %d, %s, %s", e.GetEndpoint(), e.GetEndpointKind(), printable(e.GetDescription()))
	}
	if e.GetCount() != 0 {
		text += fmt.Sprintf(" %d", e.GetCount())
	}
	if e.GetCause() != "" {
		text += " " + printable(e.GetCause())
	}
	return text
}
