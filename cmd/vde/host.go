// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
)

// hostOptions are the flags of commands that are a TCP/IP host on the network.
type hostOptions struct {
	netOption
	addrs   []string
	gateway string
	dns     []string
	mac     string
	cfg     netstack.HostConfig
}

func (o *hostOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	o.registerNet(cmd)
	f.StringSliceVar(&o.addrs, "addr", nil, "own address with the length of its network, as in 10.0.0.2/24; may be repeated")
	f.BoolVar(&o.cfg.DHCP, "dhcp", false, "ask for an IPv4 address, in place of --addr or besides")
	f.StringVar(&o.gateway, "gateway", "", "next hop to other networks")
	f.StringSliceVar(&o.dns, "dns", nil, "address of a name server; may be repeated")
	f.IntVar(&o.cfg.MTU, "mtu", netstack.DefaultMTU, "longest IP packet in bytes; all hosts of a network agree on it")
	f.StringVar(&o.mac, "mac", "", "own Ethernet address (default: a random one)")
}

// open joins the network as a host.
func (o *hostOptions) open(ctx context.Context, description string) (*netstack.Host, error) {
	if err := o.parse(); err != nil {
		return nil, err
	}
	maxFrame := max(o.cfg.MTU+frame.HeaderLen, frame.DefaultMaxSize)
	conn, err := vde.Open(ctx, o.vnl, drivers(), vde.WithDescription(description), vde.WithMaxFrameSize(maxFrame))
	if err != nil {
		return nil, err
	}
	host, err := netstack.NewHostContext(ctx, conn, o.cfg)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return host, nil
}

// parse fills in the configuration.
func (o *hostOptions) parse() error {
	if len(o.addrs) == 0 && !o.cfg.DHCP {
		return usageErrorf("give --addr, as in --addr 10.0.0.2/24, or --dhcp")
	}
	if o.cfg.MTU < 68 || o.cfg.MTU > netstack.MaxMTU {
		return usageErrorf("--mtu %d: give 68 to %d bytes", o.cfg.MTU, netstack.MaxMTU)
	}
	for _, s := range o.addrs {
		prefix, err := netip.ParsePrefix(s)
		if err != nil {
			return usageErrorf("--addr %q: give an address with the length of its network, as in 10.0.0.2/24", s)
		}
		o.cfg.Addrs = append(o.cfg.Addrs, prefix)
	}
	for _, s := range o.dns {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return usageErrorf("--dns %q: give an IP address", s)
		}
		o.cfg.DNS = append(o.cfg.DNS, addr)
	}
	var err error
	if o.gateway != "" {
		if o.cfg.Gateway, err = netip.ParseAddr(o.gateway); err != nil {
			return usageErrorf("--gateway %q: give an IP address", o.gateway)
		}
	}
	if o.mac != "" {
		if o.cfg.MAC, err = frame.ParseMAC(o.mac); err != nil {
			return usageErrorf("--mac: %w", err)
		}
	}
	return nil
}

// webClient returns an HTTP client that reaches the world through host only.
func webClient(host *netstack.Host) *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: host.DialContext, DisableKeepAlives: true}}
}

// A transfer is bytes that hosts have moved.
type transfer struct {
	bytes   int64
	elapsed time.Duration
}

func (t transfer) print(out io.Writer) {
	fmt.Fprintf(out, "%d bytes in %.2f s, %.2f Gbit/s.\n", t.bytes, t.elapsed.Seconds(), float64(t.bytes)*8/1e9/t.elapsed.Seconds())
}

// A namedHost is a row of hostTable.
type namedHost struct {
	name string
	*netstack.Host
}

// hostTable prints what each host has sent and received, and returns the number
// of frames that their endpoints dropped.
func hostTable(out io.Writer, hosts ...namedHost) (dropped uint64, err error) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "host\tframes out\tper call\tframes in\tper call\tretransmits\tdropped\t")
	for _, h := range hosts {
		s := h.Stats()
		c := s.Endpoint.Conn
		lost := s.Endpoint.TxDropped() + c.TxUnsent + c.RxRunts + c.RxTruncated + c.RxDiscarded
		dropped += lost
		fmt.Fprintf(w, "%s\t%d\t%s\t%d\t%s\t%d\t%d\t\n", h.name, c.TxFrames, quotient(c.TxFrames, c.TxCalls),
			c.RxFrames, quotient(c.RxFrames, c.RxCalls), s.TCPRetransmits, lost)
	}
	return dropped, w.Flush()
}

func quotient(a, b uint64) string {
	if b == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f", float64(a)/float64(b))
}
