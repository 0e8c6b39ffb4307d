// Copyright 2026 The go-vde Authors
// SPDX-License-Identifier: BSD-3-Clause

//go:build linux

package vde_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/go-vde/sdk/internal/wire"
)

// startSwitch starts a hub for the examples, which have no testing.TB, and
// returns its locator. A program would name the directory of a real switch.
func startSwitch() (vnl string, stop func()) {
	dir, err := os.MkdirTemp("/tmp", "vde")
	if err != nil {
		panic(err)
	}
	ctl, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Join(dir, "ctl")})
	if err != nil {
		panic(err)
	}
	h := &exampleHub{dir: dir}
	h.running.Go(func() {
		for {
			c, err := ctl.AcceptUnix()
			if err != nil {
				return
			}
			if err := h.serve(c); err != nil {
				c.Close()
			}
		}
	})
	return "vde://" + dir, func() {
		ctl.Close()
		h.close()
		os.RemoveAll(dir)
	}
}

type exampleHub struct {
	dir     string
	running sync.WaitGroup
	mu      sync.Mutex
	ctls    []*net.UnixConn
	ports   []*net.UnixConn
}

// serve makes ctl a port.
func (h *exampleHub) serve(ctl *net.UnixConn) error {
	buf := make([]byte, wire.MaxRequestLen)
	n, err := ctl.Read(buf)
	if err != nil {
		return err
	}
	request, err := wire.ParseRequest(buf[:n])
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	path := fmt.Sprintf("%s/%03d", h.dir, len(h.ports)+1)
	port, err := net.DialUnix("unixgram", &net.UnixAddr{Net: "unixgram", Name: path}, &net.UnixAddr{Net: "unixgram", Name: request.Path})
	if err != nil {
		return err
	}
	h.ctls, h.ports = append(h.ctls, ctl), append(h.ports, port)
	reply, err := wire.AppendReply(nil, path)
	if err != nil {
		return err
	}
	if _, err := ctl.Write(reply); err != nil {
		return err
	}
	h.running.Go(func() { h.forward(port) })
	return nil
}

func (h *exampleHub) forward(port *net.UnixConn) {
	buf := make([]byte, 1<<16)
	for {
		n, err := port.Read(buf)
		if err != nil {
			return
		}
		h.mu.Lock()
		others := h.ports
		h.mu.Unlock()
		for _, p := range others {
			if p != port {
				p.Write(buf[:n])
			}
		}
	}
}

func (h *exampleHub) close() {
	h.mu.Lock()
	for i := range h.ports {
		h.ctls[i].Close()
		h.ports[i].Close()
	}
	h.mu.Unlock()
	h.running.Wait()
}
