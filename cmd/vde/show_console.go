// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/vswitch"
	"github.com/go-vde/sdk/vswitch/console"
)

// printKnown writes m as one JSON object, without the fields that a console does not tell
// and those that are zero or empty.
func printKnown(out io.Writer, m proto.Message) error {
	b, err := protojson.MarshalOptions{Multiline: true, Indent: "  "}.Marshal(m)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", b)
	return err
}

// showConsolePorts shows the ports that have an endpoint, or all that exist.
func showConsolePorts(ctx context.Context, c *console.Client, out io.Writer, all, asJSON bool) error {
	ports, err := c.Ports(ctx, all)
	if err != nil {
		return err
	}
	vlans, err := c.VLANs(ctx, true)
	if err != nil {
		return err
	}
	tagged := make(map[int][]uint16)
	for _, v := range vlans {
		for _, p := range v.Ports {
			if p.Tagged {
				tagged[p.Number] = append(tagged[p.Number], v.ID)
			}
		}
	}
	list := &pb.ListPortsResponse{}
	for _, p := range ports {
		list.Ports = append(list.Ports, consolePort(p, tagged[p.Number]))
	}
	if asJSON {
		return printKnown(out, list)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PORT\tVLAN\tFRAMES IN\tFRAMES OUT\tENDPOINTS")
	for _, p := range list.GetPorts() {
		in, to := "-", "-"
		if s := p.GetStats(); s != nil {
			in, to = strconv.FormatUint(s.GetIn().GetFrames(), 10), strconv.FormatUint(s.GetOut().GetFrames(), 10)
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%s\n", p.GetNumber(), vlanText(p.GetConfig()), in, to, endpointText(p.GetEndpoints()))
	}
	return w.Flush()
}

// consolePort returns what a console tells of a port as the API says it.
func consolePort(p console.Port, tagged []uint16) *pb.Port {
	m := &pb.Port{Number: uint32(p.Number), Config: &pb.PortConfig{Vlan: uint32(p.VLAN)}}
	slices.Sort(tagged)
	for _, v := range tagged {
		m.Config.Tagged = append(m.Config.Tagged, &pb.VLANRange{First: uint32(v), Last: uint32(v)})
	}
	if p.Counters {
		m.Stats = &pb.PortStats{
			Port: m.Number, In: &pb.InStats{Frames: p.In.Frames, Bytes: p.In.Bytes}, Out: &pb.OutStats{Frames: p.Out.Frames, Bytes: p.Out.Bytes},
		}
	}
	for _, e := range p.Endpoints {
		m.Endpoints = append(m.Endpoints, &pb.Endpoint{Id: e.ID, Kind: validText(e.Module), Description: validText(e.Description)})
	}
	return m
}

// validText returns what a message can hold of a text of others.
func validText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// An fdbFilter says which entries to show; numbers below 0 stand for all.
type fdbFilter struct {
	port, vlan int
	mac        string
}

func (f fdbFilter) has(e vswitch.FDBEntry) bool {
	return (f.port < 0 || f.port == e.Port) && (f.vlan < 0 || f.vlan == int(e.VLAN)) && strings.HasPrefix(e.MAC.String(), strings.ToLower(f.mac))
}

// showConsoleFDB shows the forwarding database, in the order in which the API does.
func showConsoleFDB(ctx context.Context, c *console.Client, out io.Writer, filter fdbFilter, asJSON bool) error {
	entries, err := c.FDB(ctx)
	if errors.Is(err, console.ErrOutOfStep) {
		return fmt.Errorf("%w (vde_switch cuts the list of more than some hundred addresses)", err)
	}
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b vswitch.FDBEntry) int {
		if a.VLAN != b.VLAN {
			return int(a.VLAN) - int(b.VLAN)
		}
		return a.MAC.Compare(b.MAC)
	})
	list := &pb.ListFDBResponse{}
	for _, e := range entries {
		if filter.has(e) {
			list.Entries = append(list.Entries, &pb.FDBEntry{Mac: e.MAC.String(), Vlan: uint32(e.VLAN), Port: uint32(e.Port), Age: durationpb.New(e.Age)})
		}
	}
	list.Total = uint32(len(list.Entries))
	if asJSON {
		return printKnown(out, list)
	}
	return printFDB(out, list.GetEntries())
}

// A consoleEvent is what vde events --json prints of a console.
type consoleEvent struct {
	Time time.Time `json:"time"`
	Code int       `json:"code"`
	Path string    `json:"path"`
	Text string    `json:"text"`
}

// showConsoleEvents shows what a console tells after debug/add until ctx ends, or count
// events have come.
func showConsoleEvents(ctx context.Context, c *console.Client, count uint64, out io.Writer, asJSON bool) error {
	if err := c.Subscribe(ctx, ""); err != nil {
		if errors.Is(err, console.NoCommand) {
			err = errors.New("this vde_switch tells no events: it was built without debugging")
		}
		return err
	}
	for n := uint64(0); ; {
		e, err := c.NextEvent(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // told to stop
		case errors.Is(err, console.ErrClosed):
			return errSwitchClosed
		case err != nil:
			return err
		}
		if err := printConsoleEvent(out, consoleEvent{time.Now(), e.Code, e.Path, e.Text}, asJSON); err != nil {
			return err
		}
		if n++; n == count {
			return nil
		}
	}
}

func printConsoleEvent(out io.Writer, e consoleEvent, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(e)
	}
	_, err := fmt.Fprintf(out, "%s %-11s %s\n", e.Time.Format("15:04:05.000"), printable(e.Path), printable(e.Text))
	return err
}
