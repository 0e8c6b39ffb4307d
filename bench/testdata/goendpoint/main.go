// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Command goendpoint is an endpoint of a benchmark on package vde, in a process of
// its own.
//
//	goendpoint ROLE NETWORK SIZES BATCH
//
// NETWORK is "shm:", "streams:" or "sockets:" and a locator: how frames are to go.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-vde/sdk/bench/internal/peer"
	"github.com/go-vde/sdk/frame"
	"github.com/go-vde/sdk/vde"
)

// endpoint moves frames in batches.
type endpoint struct {
	*vde.Conn
	bufs, windows [][]byte
}

func (s *endpoint) Send(frames [][]byte) (int, error) { return s.WriteBatch(frames) }

func (s *endpoint) Recv() ([][]byte, error) {
	copy(s.windows, s.bufs)
	n, err := s.ReadBatch(s.windows)
	return s.windows[:n], err
}

func (s *endpoint) Calls() uint64 { return s.Stats().RxCalls }

func run(role, network, list, batch string) error {
	var sizes []int
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < peer.MinSize {
			return fmt.Errorf("size %q", word)
		}
		sizes = append(sizes, n)
	}
	n, err := strconv.Atoi(batch)
	if err != nil {
		return err
	}
	how, vnl, _ := strings.Cut(network, ":")
	mode, streams := vde.SharedMemoryNever, vde.StreamsNever
	switch how {
	case "shm":
		mode = vde.SharedMemoryAlways
	case "streams":
		streams = vde.StreamsAlways
	}
	size := max(slices.Max(sizes), frame.DefaultMaxSize)
	c, err := vde.Open(context.Background(), vnl, vde.WithSharedMemory(mode), vde.WithStreams(streams), vde.WithMaxFrameSize(size))
	if err != nil {
		return err
	}
	if c.Caps().SharedMemory != (how == "shm") {
		return errors.New("the switch did not take the offer of shared memory")
	}
	if _, err := c.SyscallConn(); (err == nil) != (how == "sockets") {
		return errors.New("frames go another way than they should")
	}
	s := &endpoint{Conn: c, windows: make([][]byte, 64)}
	for range s.windows {
		s.bufs = append(s.bufs, make([]byte, size))
	}
	return peer.Serve(s, role, sizes, n, os.Stdin, os.Stdout)
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: goendpoint ROLE NETWORK SIZES BATCH")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "goendpoint:", err)
		os.Exit(1)
	}
}
