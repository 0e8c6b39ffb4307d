// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/netstack"
	"github.com/go-vde/sdk/vde"
	"github.com/go-vde/sdk/vswitch"
)

// demoOptions are the flags of vde demo.
type demoOptions struct {
	jsonOption
	mebibytes int
	mtu       int
	quiet     bool
}

func newDemo() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Download a file by HTTP from one TCP/IP host to another through a switch",
		Long: `Starts a switch inside this process that also serves a temporary control
directory, and two TCP/IP hosts on it: one inside the process that serves HTTP,
one that joins by that directory, as another program would, and downloads. Prints the rate,
retransmissions, frames per call and drops. Needs nothing installed, no
privileges, and leaves nothing behind.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemo(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), o)
		},
	}
	f := cmd.Flags()
	f.IntVar(&o.mebibytes, "size", 1024, "MiB to download")
	f.IntVar(&o.mtu, "mtu", netstack.DefaultMTU, "longest IP packet in bytes")
	f.BoolVar(&o.quiet, "quiet", false, "no progress bar")
	o.registerJSON(cmd)
	cmd.AddCommand(newDemoFrames())
	return cmd
}

func (o demoOptions) check() error {
	if o.mebibytes < 1 {
		return usageErrorf("--size %d: give a positive number", o.mebibytes)
	}
	if o.mtu < 68 || o.mtu > netstack.MaxMTU {
		return usageErrorf("--mtu %d: give 68 to %d bytes", o.mtu, netstack.MaxMTU)
	}
	return nil
}

// A demoResult is what vde demo --json prints.
type demoResult struct {
	MTU       int                `json:"mtu"`
	Transport string             `json:"transport"`
	Bytes     int64              `json:"bytes"`
	Seconds   float64            `json:"seconds"`
	Server    netstack.HostStats `json:"server"`
	Client    netstack.HostStats `json:"client"`
	Dropped   uint64             `json:"dropped"`
}

func runDemo(ctx context.Context, results, progress io.Writer, o demoOptions) (err error) {
	out := o.text(results)
	if err := o.check(); err != nil {
		return err
	}
	maxFrame := max(o.mtu+frame.HeaderLen, frame.DefaultMaxSize)
	network, err := startNetwork(ctx, out, maxFrame)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, network.close()) }()

	port, err := network.Attach(vde.WithDescription("server"), vde.WithMaxFrameSize(maxFrame))
	if err != nil {
		return err
	}
	server, err := newHost(port, "10.0.0.1/24", o.mtu)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	port, err = vde.Open(ctx, network.dir, vde.WithDescription("client"), vde.WithMaxFrameSize(maxFrame))
	if err != nil {
		return err
	}
	client, err := newHost(port, "10.0.0.2/24", o.mtu)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close()) }()

	f := newFile(int64(o.mebibytes) << 20)
	serving, stop := context.WithCancel(ctx)
	defer stop()
	listener, err := server.Listen("tcp", ":80")
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- serveHTTP(serving, server, listener, f) }()

	fmt.Fprintf(out, "Host 10.0.0.2, which joined through %s, downloads from host 10.0.0.1, on a port inside this process. MTU %d.\n\n", transport(port), o.mtu)
	t, sum, err := f.download(ctx, client, progress, o.quiet || o.json)
	stop()
	if err = errors.Join(err, <-served); err != nil {
		return err
	}
	if sum != f.sum.Sum32() {
		return errors.New("the file received is not the one sent")
	}
	t.print(out)
	fmt.Fprintln(out)
	dropped, err := hostTable(out, namedHost{"server", server}, namedHost{"client", client})
	dropped += network.dropped()
	fmt.Fprintf(out, "\n%d frames were dropped, by the switch or by the hosts.\n", dropped)
	if err == nil && o.json {
		err = printJSON(results, demoResult{o.mtu, transport(port), t.bytes, t.elapsed.Seconds(), server.Stats(), client.Stats(), dropped})
	}
	return err
}

// transport returns the name of what carries c's frames.
func transport(c *vde.Conn) string {
	if c.Caps().SharedMemory {
		return "shared memory"
	}
	return "sockets"
}

func newHost(conn *vde.Conn, addr string, mtu int) (*netstack.Host, error) {
	host, err := netstack.NewHost(conn, netstack.HostConfig{Addrs: []netip.Prefix{netip.MustParsePrefix(addr)}, MTU: mtu})
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return host, nil
}

// A file is made up while it is served, once.
type file struct {
	size  int64
	block []byte // random, and sent again and again
	sum   hash.Hash32
}

func newFile(size int64) *file {
	f := &file{size: size, block: make([]byte, 1<<20), sum: crc32.New(crc32.MakeTable(crc32.Castagnoli))}
	_, _ = rand.NewChaCha8([32]byte{}).Read(f.block) // never fails
	return f
}

// ServeHTTP implements http.Handler.
func (f *file) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", strconv.FormatInt(f.size, 10))
	w.Header().Set("Content-Type", "application/octet-stream")
	for left := f.size; left > 0; {
		block := f.block[:min(left, int64(len(f.block)))]
		n, err := w.Write(block)
		f.sum.Write(block[:n])
		left -= int64(n)
		if err != nil {
			return // the client will miss the rest
		}
	}
}

// download fetches the file as host and returns its checksum.
func (f *file) download(ctx context.Context, host *netstack.Host, progress io.Writer, quiet bool) (t transfer, sum uint32, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://10.0.0.1/file", nil)
	if err != nil {
		return t, 0, err
	}
	start := time.Now()
	response, err := webClient(host).Do(request)
	if err != nil {
		return t, 0, err
	}
	defer response.Body.Close()
	bar := newBar(progress, f.size, "bytes", quiet)
	received := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	t.bytes, err = io.CopyBuffer(io.MultiWriter(received, bar), response.Body, make([]byte, 256<<10))
	t.elapsed = time.Since(start)
	_ = bar.Finish()
	return t, received.Sum32(), err
}

// A network is a switch that serves a temporary control directory.
type network struct {
	*vswitch.Switch
	dir    string
	tmp    string
	served chan error
}

func startNetwork(ctx context.Context, out io.Writer, maxFrame int) (*network, error) {
	// Short, because the name of a socket has to fit 107 bytes.
	tmp, err := os.MkdirTemp("", "vde")
	if err != nil {
		return nil, err
	}
	// All clients read all the time, so a wait for one of them ends soon however busy
	// the machine is, and nothing need be lost.
	sw := vswitch.New(vswitch.Config{Name: "demo", MaxFrameSize: maxFrame, DefaultPort: vswitch.PortConfig{Wait: time.Second}})
	listener, err := sw.Listen(filepath.Join(tmp, "ctl.d"))
	if err != nil {
		return nil, errors.Join(err, sw.Close(), os.RemoveAll(tmp))
	}
	n := &network{Switch: sw, dir: listener.Dir(), tmp: tmp, served: make(chan error, 1)}
	go func() { n.served <- listener.Serve(ctx) }()
	fmt.Fprintf(out, "Switch in this process, serving %s to every VDE program.\n", n.dir)
	return n, nil
}

// dropped returns how many frames the switch has dropped.
func (n *network) dropped() (frames uint64) {
	for _, p := range n.Stats().Ports {
		frames += p.In.Dropped.Sum() + p.Out.Dropped.Sum()
	}
	return frames
}

// close ends the switch and removes its directory.
func (n *network) close() error {
	err := n.Switch.Close()
	if e := <-n.served; !errors.Is(e, vswitch.ErrClosed) && !errors.Is(e, context.Canceled) {
		err = errors.Join(err, e)
	}
	return errors.Join(err, os.RemoveAll(n.tmp))
}
