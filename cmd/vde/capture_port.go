// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "github.com/go-vde/sdk/api/switchv1"
	"github.com/go-vde/sdk/capture"
)

// runPortCapture writes what passes at a port of a running switch.
func runPortCapture(ctx context.Context, out, messages io.Writer, net string, o captureOptions) error {
	number, err := parsePortNumber(o.port)
	if err != nil {
		return err
	}
	control := controlOption{&netOption{net}}
	c, err := control.dial(ctx, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	stream, err := c.Capture(ctx, &pb.CaptureRequest{Port: proto.Uint32(number), SnapLen: uint32(o.snapLen), MaxFrames: o.count})
	if err != nil {
		return message(err)
	}
	if _, err := stream.Receive(); err != nil {
		return message(err) // there is no such port: an earlier file stays
	}
	if o.output == "-" {
		_, err = recordPort(ctx, stream, out, messages, o)
		return err
	}
	f, err := o.create(ctx, o.output)
	if err != nil {
		return err
	}
	n, err := recordPort(ctx, stream, f, o.text(messages), o)
	err = errors.Join(err, f.Close())
	if o.json {
		err = errors.Join(err, printJSON(out, portCaptureResult{withoutToken(net), number, o.output, n.frames, n.dropped}))
	}
	return err
}

// withoutToken returns the name of a switch as it can be shown: a URL that --http has printed
// has a token behind the #.
func withoutToken(name string) string {
	if strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://") {
		name, _, _ = strings.Cut(name, "#")
	}
	return name
}

// A portCaptureResult is what vde capture --port --json prints.
type portCaptureResult struct {
	Network string `json:"network"`
	Port    uint32 `json:"port"`
	File    string `json:"file"`
	Frames  uint64 `json:"frames"`
	Dropped uint64 `json:"dropped"` // copies that were not captured
}

// captured counts frames.
type captured struct{ frames, dropped uint64 }

// recordPort writes what comes on stream to out, until ctx ends or the stream does.
func recordPort(ctx context.Context, stream pb.SwitchServiceCaptureClientStream, out, messages io.Writer, o captureOptions) (n captured, err error) {
	file, err := capture.NewFile(out, o.snapLen)
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	port, err := file.Interface("port" + o.port)
	if err != nil {
		return n, err
	}
	if err := file.Flush(); err != nil {
		return n, err
	}
	fmt.Fprintf(messages, "Capturing at port %s.\n", o.port)
	for {
		answer, err := stream.Receive()
		switch {
		case ctx.Err() != nil, errors.Is(err, io.EOF):
			fmt.Fprintf(messages, "%d frames captured, %d not.\n", n.frames, n.dropped)
			return n, nil
		case err != nil:
			return n, message(err)
		}
		drops := answer.GetDropped() - n.dropped
		n.dropped = answer.GetDropped()
		for _, f := range answer.GetFrames() {
			port.RecordCopy(f.GetTime().AsTime(), f.GetData(), int(f.GetLength()), drops)
			n.frames++
			drops = 0
		}
		if err := file.Flush(); err != nil {
			return n, err
		}
	}
}
