// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/netstack"
)

// pingOptions are the flags of vde ping.
type pingOptions struct {
	hostOptions
	jsonOption
	count    int
	interval time.Duration
	timeout  time.Duration
	size     int
}

const maxPing = 65507 // of IPv4: 65535 bytes less the headers

func newPing() *cobra.Command {
	var o pingOptions
	cmd := &cobra.Command{
		Use:   "ping ADDRESS",
		Short: "Send ICMP echo requests to a host on the network",
		Long: `Joins the network as a TCP/IP host and sends ICMP echo requests to ADDRESS,
until it is interrupted or --count have been sent. Fails if no reply came. With
--json, one object at the end has the times of all replies.`,
		Example: "  vde ping 10.0.0.1 --net /run/vde.ctl --addr 10.0.0.2/24 --count 3",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runPing(cmd.Context(), cmd.OutOrStdout(), args[0], o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.register(cmd)
	o.registerJSON(cmd)
	f := cmd.Flags()
	f.IntVarP(&o.count, "count", "c", 0, "requests to send; 0: until interrupted")
	f.DurationVarP(&o.interval, "interval", "i", time.Second, "time from one request to the next")
	f.DurationVarP(&o.timeout, "timeout", "W", time.Second, "how long to wait for each reply")
	f.IntVarP(&o.size, "size", "s", 56, "bytes of data in a request")
	return cmd
}

func runPing(ctx context.Context, out io.Writer, to string, o pingOptions) (err error) {
	addr, err := netip.ParseAddr(to)
	if err != nil {
		return usageErrorf("%q: give an IP address", to)
	}
	switch {
	case o.count < 0:
		return usageErrorf("--count %d: give 0 or more", o.count)
	case o.size < 0 || o.size > maxPing:
		return usageErrorf("--size %d: give 0 to %d bytes", o.size, maxPing)
	case o.interval <= 0 || o.timeout <= 0:
		return usageErrorf("--interval, --timeout: give positive times")
	}
	host, err := o.open(ctx, "vde ping")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.Close()) }()

	var p pings
	next := time.NewTicker(o.interval)
	defer next.Stop()
	for o.count == 0 || p.sent < o.count {
		if p.sent > 0 {
			select {
			case <-next.C:
			case <-ctx.Done():
			}
		}
		if ctx.Err() != nil || host.Err() != nil {
			break
		}
		p.ping(ctx, o.text(out), host, addr, o)
	}
	p.summary(o.text(out), addr)
	if o.json {
		if err := printJSON(out, pingResult{addr, p.sent, len(p.times), p.times}); err != nil {
			return err
		}
	}
	if err := host.Err(); err != nil {
		return err
	}
	if len(p.times) == 0 {
		return fmt.Errorf("no reply from %v", addr)
	}
	return nil
}

// A pingResult is what vde ping --json prints.
type pingResult struct {
	Address    netip.Addr      `json:"address"`
	Sent       int             `json:"sent"`
	Answered   int             `json:"answered"`
	RoundTrips []time.Duration `json:"round_trips_ns"`
}

// pings are the requests sent so far and the round-trip times of those answered.
type pings struct {
	sent  int
	times []time.Duration
}

func (p *pings) ping(ctx context.Context, out io.Writer, host *netstack.Host, addr netip.Addr, o pingOptions) {
	data := make([]byte, o.size)
	for i := range data {
		data[i] = byte(i)
	}
	patience, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	p.sent++
	rtt, err := host.PingData(patience, addr, data)
	switch {
	case err == nil:
		p.times = append(p.times, rtt)
		fmt.Fprintf(out, "%d bytes from %v: seq=%d time=%v\n", o.size+8, addr, p.sent, rtt.Round(time.Microsecond))
	case ctx.Err() != nil: // interrupted
		p.sent--
	case errors.Is(err, context.DeadlineExceeded):
		fmt.Fprintf(out, "no reply from %v: seq=%d within %v\n", addr, p.sent, o.timeout)
	default:
		fmt.Fprintf(out, "seq=%d: %s\n", p.sent, printableLines(err.Error()))
	}
}

func (p *pings) summary(out io.Writer, addr netip.Addr) {
	fmt.Fprintf(out, "%v: %d sent, %d answered", addr, p.sent, len(p.times))
	if n := len(p.times); n > 0 {
		least, most, sum := p.times[0], p.times[0], time.Duration(0)
		for _, t := range p.times {
			least, most, sum = min(least, t), max(most, t), sum+t
		}
		fmt.Fprintf(out, "; round trip min/mean/max %v/%v/%v", least.Round(time.Microsecond),
			(sum / time.Duration(n)).Round(time.Microsecond), most.Round(time.Microsecond))
	}
	fmt.Fprintln(out)
}
