// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

// Command cgoendpoint is an endpoint of a benchmark on libvdeplug by way of cgo,
// which is what a Go program had to do without package vde. It is built by the
// benchmarks if the library's header is there.
//
//	cgoendpoint ROLE NETWORK SIZES BATCH
package main

/*
#cgo LDFLAGS: -lvdeplug
#include <stdlib.h>
#include <libvdeplug.h>

static VDECONN *endpoint_open(char *network)
{
	struct vde_open_args args = {0, NULL, 0700};
	return vde_open(network, "bench cgo", &args);
}
*/
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"

	"github.com/go-vde/sdk/bench/internal/peer"
)

// endpoint moves a frame with each call into C.
type endpoint struct {
	conn  *C.VDECONN
	buf   []byte
	one   [1][]byte
	calls uint64
}

func (s *endpoint) Send(frames [][]byte) (int, error) {
	for i, f := range frames {
		if n, err := C.vde_send(s.conn, unsafe.Pointer(&f[0]), C.size_t(len(f)), 0); n < 0 {
			return i, fmt.Errorf("vde_send: %w", err)
		}
	}
	return len(frames), nil
}

func (s *endpoint) Recv() ([][]byte, error) {
	for {
		s.calls++
		n, err := C.vde_recv(s.conn, unsafe.Pointer(&s.buf[0]), C.size_t(len(s.buf)), 0)
		if n < 0 {
			return nil, fmt.Errorf("vde_recv: %w", err)
		}
		if n >= peer.MinSize {
			s.one[0] = s.buf[:n]
			return s.one[:], nil
		}
	}
}

func (s *endpoint) Calls() uint64 { return s.calls }

// Close does nothing: the process is about to end, and the other goroutine may be
// inside the library.
func (s *endpoint) Close() error { return nil }

func run(role, network, list string) error {
	var sizes []int
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < peer.MinSize {
			return fmt.Errorf("size %q", word)
		}
		sizes = append(sizes, n)
	}
	name := C.CString(network)
	defer C.free(unsafe.Pointer(name))
	conn, err := C.endpoint_open(name)
	if conn == nil {
		return fmt.Errorf("vde_open: %w", err)
	}
	return peer.Serve(&endpoint{conn: conn, buf: make([]byte, 1<<16)}, role, sizes, 1, os.Stdin, os.Stdout)
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: cgoendpoint ROLE NETWORK SIZES BATCH")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "cgoendpoint:", err)
		os.Exit(1)
	}
}
