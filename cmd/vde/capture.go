// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"github.com/go-vde/sdk/capture"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// captureOptions are the flags of vde capture.
type captureOptions struct {
	netOption
	jsonOption
	output  string
	snapLen int
	count   uint64
	port    string // of a running switch
	create  func(ctx context.Context, name string) (io.WriteCloser, error)
}

func newCapture() *cobra.Command {
	o := captureOptions{create: createCapture}
	cmd := &cobra.Command{
		Use:   "capture [VNL]",
		Short: "Write the frames that reach a port of the network to a pcapng file",
		Long: `Joins the network that --net names, or VNL, which is the same, and writes every
frame that reaches its port to a pcapng file, which Wireshark and tcpdump
read, until it is interrupted. What has come is in the file at once, so that it
can be watched while it grows. A switch sends a port what is for everybody and
for unknown addresses; to see everything, capture on a hub, or on the port that
another one is mirrored to. With --port, it writes what comes from a port of a running
switch and goes to it, without joining. With --json, an object at the end says what has
been captured.`,
		Example: `  vde capture --net /run/vde.ctl -w - | tcpdump -n -r -
  vde capture --port 3 /run/lab.ctl -w port3.pcapng`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			vnl, err := o.orArg(args)
			if err != nil {
				return err
			}
			return runCapture(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), vnl, o)
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	o.registerNet(cmd)
	o.registerJSON(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.output, "write", "w", "", "file to write, - for the standard output")
	f.IntVarP(&o.snapLen, "snaplen", "s", 0, "bytes of each frame to keep; 0 keeps all")
	f.StringVarP(&o.port, "port", "p", "", "capture what passes at port `N` of a switch that serves its API")
	f.Uint64VarP(&o.count, "count", "c", 0, "frames after which to end; 0: until interrupted")
	cobra.CheckErr(cmd.MarkFlagRequired("write"))
	control := controlOption{&o.netOption}
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("port", control.completePorts("")))
	return cmd
}

// createCapture creates the file of a capture.
func createCapture(ctx context.Context, name string) (io.WriteCloser, error) {
	return openOutput(ctx, name)
}

func runCapture(ctx context.Context, out, messages io.Writer, vnl string, o captureOptions) (err error) {
	switch {
	case o.snapLen < 0:
		return usageErrorf("--snaplen %d: give 0 or more", o.snapLen)
	case o.json && o.output == "-":
		return usageErrorf("--json and --write - both write to the standard output")
	}
	if o.port != "" {
		return runPortCapture(ctx, out, messages, vnl, o)
	}
	var r recording
	r.conn, err = vde.Open(ctx, vnl, drivers(), vde.WithDescription("vde capture"), vde.WithMaxFrameSize(longest), vde.WithFrameHook(r.hook))
	if err != nil {
		return err
	}
	defer r.conn.Close()
	if o.output == "-" {
		_, err = r.run(ctx, out, messages, o)
		return err
	}
	f, err := o.create(ctx, o.output)
	if err != nil {
		return err
	}
	n, err := r.run(ctx, f, o.text(messages), o)
	err = errors.Join(err, f.Close())
	if o.json {
		err = errors.Join(err, printJSON(out, captureResult{r.conn.LocalAddr().String(), o.output, n, r.conn.Stats()}))
	}
	return err
}

// A captureResult is what vde capture --json prints.
type captureResult struct {
	Network string    `json:"network"`
	File    string    `json:"file"`
	Frames  uint64    `json:"frames"`
	Conn    vde.Stats `json:"conn"`
}

// A recording is a capture in progress. Its connection is opened first, so that a
// capture which cannot begin leaves an earlier file alone, and the hook has to be given
// to the connection when it is opened. It is called for frames that are read, which
// run does when it has set port.
type recording struct {
	conn *vde.Conn
	port *capture.Interface
}

func (r *recording) hook(d vde.Direction, f frame.Frame) { r.port.Record(d, f) }

// run writes what comes on the connection to out, until ctx ends or enough has come. It
// returns the number of frames.
func (r *recording) run(ctx context.Context, out, messages io.Writer, o captureOptions) (n uint64, err error) {
	file, err := capture.NewFile(out, o.snapLen)
	if err != nil {
		return 0, err
	}
	defer func() {
		// After a failed write, Close returns the error of that write.
		if closeErr := file.Close(); err == nil {
			err = closeErr
		}
	}()
	if r.port, err = file.Interface("vde"); err != nil {
		return 0, err
	}
	r.port.CountDrops(r.conn)
	if err := file.Flush(); err != nil {
		return 0, err
	}
	fmt.Fprintf(messages, "Capturing on %s.\n", printable(r.conn.LocalAddr().String()))
	defer context.AfterFunc(ctx, func() { r.conn.Close() })()
	n, err = receive(r.conn, file, o.count)
	fmt.Fprintf(messages, "%d frames captured.\n", n)
	return n, err
}

// receive reads frames from conn, whose hook writes them to file, until count
// have come, or until conn is closed if count is 0. It returns their number. It
// flushes the file after each batch.
func receive(conn *vde.Conn, file *capture.File, count uint64) (n uint64, err error) {
	bufs := make([][]byte, 64)
	for i := range bufs {
		bufs[i] = make([]byte, longest)
	}
	windows := make([][]byte, len(bufs))
	for count == 0 || n < count {
		want := len(bufs)
		if left := count - n; count > 0 && left < uint64(want) {
			want = int(left)
		}
		copy(windows, bufs)
		k, err := conn.ReadBatch(windows[:want])
		n += uint64(k)
		if errors.Is(err, net.ErrClosed) {
			return n, nil // told to stop
		}
		if err != nil {
			return n, err
		}
		if err := file.Flush(); err != nil {
			return n, err
		}
	}
	return n, nil
}
