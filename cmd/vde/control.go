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
	"strconv"
	"strings"
	"time"

	"connectrpc.com/connect/v2"
	"github.com/go-vde/sdk/api"
	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/links/vdeplug"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vnl"
	"github.com/go-vde/sdk/vswitch"
	"github.com/spf13/cobra"
)

// A controlOption is the flag and argument that name a running switch.
type controlOption struct {
	*netOption
}

func newControlOption() controlOption { return controlOption{new(netOption)} }

func (o *controlOption) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.vnl, "net", "", "the switch: its control directory, a locator of that, the path of its API's socket, or the URL that --http printed; for vde ports, vde fdb and vde events also the path of a console's socket (default: the default network of this machine)")
}

// target returns what to dial for the switch that args, which has one element at most, or
// the flag names.
func (o *controlOption) target(args []string) (string, error) {
	name, err := o.orArg(args)
	if err != nil {
		return "", err
	}
	return controlTarget(name)
}

// dial connects to the API of the switch that args or the flag names.
func (o *controlOption) dial(ctx context.Context, args []string) (*api.Client, error) {
	c, console, err := o.dialEither(ctx, args)
	if console != nil {
		console.Close()
		target, _ := o.target(args) // it has worked before
		return nil, consoleError(target)
	}
	return c, err
}

// dialAPI connects to the API at target.
func dialAPI(ctx context.Context, target string) (*api.Client, error) {
	c, err := api.Dial(ctx, target)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w (is it a switch of vde switch, without --no-api? To ask a vde_switch, give the path of its management socket)", err)
	}
	return c, err
}

// controlTarget returns what to dial for a name of a network.
func controlTarget(name string) (string, error) {
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
		return name, nil
	}
	if info, err := os.Stat(name); err == nil && info.Mode().Type() == fs.ModeSocket {
		return name, nil
	}
	l, err := vde.FindLocator(name)
	if err != nil {
		return "", err
	}
	if l.Scheme != vnl.DefaultScheme {
		return "", usageErrorf("%s: only a switch with a control directory can be asked, or a URL", name)
	}
	dirs, err := vdeplug.Dirs(l)
	if err != nil {
		return "", err
	}
	for _, dir := range dirs {
		if _, err := os.Stat(dir); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("there is no switch in %s: %w", strings.Join(dirs, " or "), fs.ErrNotExist)
}

// message returns the error of a call without its code, which is for programs.
func message(err error) error {
	var e *connect.Error
	if errors.As(err, &e) {
		return errors.New(e.Message())
	}
	return err
}

// completePorts completes the number of a port that has an endpoint, followed by suffix, of
// the network that the flag names.
func (o *controlOption) completePorts(suffix string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), time.Second)
		defer cancel()
		c, err := o.dial(ctx, nil)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer c.Close()
		var list []string
		for p, err := range c.Ports(ctx, &pb.ListPortsRequest{Active: true, NoStats: true}) {
			if err != nil {
				break
			}
			list = append(list, fmt.Sprintf("%d%s\t%s", p.GetNumber(), suffix, endpointText(p.GetEndpoints())))
		}
		directive := cobra.ShellCompDirectiveNoFileComp
		if suffix != "" {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return list, directive
	}
}

// endpointText says what is attached to a port.
func endpointText(endpoints []*pb.Endpoint) string {
	var texts []string
	for _, e := range endpoints {
		text, _, _ := strings.Cut(e.GetDescription(), " user=")
		kind := printable(e.GetKind())
		if e.GetUplink() {
			kind += ", uplink"
		}
		if e.GetDown() {
			kind += ", down"
		}
		texts = append(texts, fmt.Sprintf("%s (%s)", printable(text), kind))
	}
	return strings.Join(texts, ", ")
}

// vlanText says which VLANs a port is in, as in 10, tagged 20+30-39.
func vlanText(c *pb.PortConfig) string {
	text := "none"
	if c.GetVlan() != vswitch.NoVLAN {
		text = strconv.Itoa(int(c.GetVlan()))
	}
	var tagged []string
	for _, r := range c.GetTagged() {
		switch {
		case r.GetFirst() <= 1 && r.GetLast() == vswitch.NoVLAN-1:
			return text + ", tagged all"
		case r.GetLast() > r.GetFirst():
			tagged = append(tagged, fmt.Sprintf("%d-%d", r.GetFirst(), r.GetLast()))
		default:
			tagged = append(tagged, strconv.Itoa(int(r.GetFirst())))
		}
	}
	if len(tagged) > 0 {
		text += ", tagged " + strings.Join(tagged, "+")
	}
	return text
}

// dropsOf returns how many frames were dropped for any cause.
func dropsOf(s *pb.PortStats) (n uint64) {
	for _, causes := range []map[string]uint64{s.GetIn().GetDropped(), s.GetOut().GetDropped()} {
		for _, v := range causes {
			n += v
		}
	}
	return n
}

// A watchOption is the flag that repeats what a command shows.
type watchOption struct {
	every time.Duration
}

func (o *watchOption) registerWatch(cmd *cobra.Command) {
	f := cmd.Flags()
	f.DurationVar(&o.every, "watch", 0, "show it again every so often, until interrupted")
	f.Lookup("watch").NoOptDefVal = "2s"
}

// minWatch is the shortest time between two requests of a command.
const minWatch = 100 * time.Millisecond

// run calls show once, or again and again. On a terminal each begins at the top.
func (o *watchOption) run(ctx context.Context, out io.Writer, show func(out io.Writer) error) error {
	if o.every == 0 {
		return show(out)
	}
	if o.every < minWatch {
		return usageErrorf("--watch %v: give %v or more", o.every, minWatch)
	}
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	for {
		var b strings.Builder
		if err := show(&b); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if isTerminal(out) {
			fmt.Fprint(out, "\x1b[H\x1b[2J")
		}
		if _, err := io.WriteString(out, b.String()); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
